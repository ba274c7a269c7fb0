"""Who is told what while a search runs."""

from collections.abc import Callable
from dataclasses import dataclass

from gtn_hpc.core.records import Score
from gtn_hpc.scores.replay import Journals
from gtn_hpc.scores.rows import CertificateRow
from gtn_hpc.search.algorithm import Outcome
from gtn_hpc.search.certificate import Certificate


@dataclass(frozen=True)
class Watch:
    """Called with what earlier starts have left, each outcome of the study, each certificate as it grows, each score
    and training of the certificate, and what is wrong with the teacher's ranking or scores.h5; nothing by default.

    `stop` is asked before every new evaluation.
    """

    begun: Callable[[Journals], None] = lambda _: None
    outcome: Callable[[Outcome], None] = lambda _: None
    certificate: Callable[[Certificate], None] = lambda _: None
    stop: Callable[[], object] = lambda: False
    warning: Callable[[str], None] = lambda _: None
    row: Callable[[Score | CertificateRow], None] = lambda _: None


SILENT = Watch()
"""Nobody is told anything."""
