"""Any number of independent jobs search in one run directory, without a server: each claims what no other has."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from gtn_hpc.config import Config
from gtn_hpc.core.errors import Requeue
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.farm import results
from gtn_hpc.farm.claims import Claims
from gtn_hpc.scores.folding import fold
from gtn_hpc.scores.replay import JournalReader, read_journals
from gtn_hpc.search.pools import open_local_pool, setting_of
from gtn_hpc.search.shards import propose, requests_of, write_down
from gtn_hpc.search.watch import SILENT, Watch
from gtn_hpc.training.request import Request
from gtn_hpc.training.setting import Setting

LOOK = 0.2
"""Seconds between two looks at what the other jobs have done, while there is nothing to take."""


def search_shared(config: Config, run: RunDirectory, curriculum: Path, watch: Watch = SILENT) -> int:
    """Scores what no other job has scored or is scoring, until all of `search.budget` is done; gives the number.

    Jobs may come and go at any time; what one leaves behind, another takes after `search.expiry` seconds. Every job
    proposes the same architectures, for which the algorithm must not learn from scores. The certificate is left to a
    search under a manager afterwards.

    Raises:
        UsageError: the algorithm learns from scores.
        Requeue: `watch.stop` said so.
    """
    setting, scored = setting_of(config, run, curriculum), 0
    proposals = propose(config, setting)
    write_down(proposals, read_journals(run.journal), setting, run)
    with Claims(run.journal / "claims", config.search.expiry) as claims, open_local_pool(setting, run) as pool:
        taken = _taken(requests_of(proposals, config.search.replicas), setting, run, claims, watch)
        for score in results(pool, taken):
            watch.row(score)
            scored += 1
    fold(run)
    if watch.stop():
        raise Requeue("The search was stopped.", remedy="Start it again: it goes on where it was.")
    return scored


def _taken(
    requests: Sequence[Request], setting: Setting, run: RunDirectory, claims: Claims, watch: Watch
) -> Iterator[Request]:
    """Requests that this job has claimed, until every one has a row."""
    reader, known = JournalReader(run.journal), set[str]()
    open_requests = {setting.identity.key(request): request for request in requests}
    while open_requests:
        found = False
        for key, request in list(open_requests.items()):
            known.update(_new_keys(reader))
            claims.finish(known)
            if watch.stop():
                return
            if key not in known and claims.take(key):
                found = True
                yield request
        open_requests = {key: request for key, request in open_requests.items() if key not in known}
        if open_requests and not found:
            time.sleep(LOOK)


def _new_keys(reader: JournalReader) -> Iterator[str]:
    for piece in reader.pieces():
        yield from (row["key"] for row in piece.rows if row["kind"] == "score")
