"""Scores: journals (the truth), their fold to HDF5 (the product), and what is done with both.

`Journal` appends rows durably; `fold` makes `scores.h5`; `open` reads it as tables; `digest`, `verify` and `merge`
compare and join; `fsck` and `compact` look after the journals.
"""

from gtn_hpc.scores.comparing import Difference, digest, verify
from gtn_hpc.scores.folding import Conflict, FoldReport, Throttle, fold
from gtn_hpc.scores.journal import Journal
from gtn_hpc.scores.keys import init_key, key
from gtn_hpc.scores.lines import Damage
from gtn_hpc.scores.maintenance import Check, Compaction, compact, fsck
from gtn_hpc.scores.merging import merge
from gtn_hpc.scores.opened import ScoreTables, open
from gtn_hpc.scores.replay import JournalReader, Journals, read_journals
from gtn_hpc.scores.rows import ArchitectureRow, Ask, CertificateRow, FinalRow, Tell

__all__ = [
    "ArchitectureRow",
    "Ask",
    "CertificateRow",
    "Check",
    "Compaction",
    "Conflict",
    "Damage",
    "Difference",
    "FinalRow",
    "FoldReport",
    "Journal",
    "JournalReader",
    "Journals",
    "ScoreTables",
    "Tell",
    "Throttle",
    "compact",
    "digest",
    "fold",
    "fsck",
    "init_key",
    "key",
    "merge",
    "open",
    "read_journals",
    "verify",
]
