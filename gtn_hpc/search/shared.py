"""Any number of independent jobs search in one run directory, without a server: each claims what no other has."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from gtn_hpc.cluster.deadline import deadline_of
from gtn_hpc.config import Config
from gtn_hpc.core.errors import Requeue
from gtn_hpc.core.records import Score
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.farm import results
from gtn_hpc.farm.claims import Claims
from gtn_hpc.scores.folding import fold
from gtn_hpc.scores.replay import JournalReader, read_journals
from gtn_hpc.scores.rows import from_plain
from gtn_hpc.search.backlog import Backlog
from gtn_hpc.search.belonging import require_own
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
        Requeue: `watch.stop` said so, or nothing that is left would end before the deadline.
    """
    setting, scored = setting_of(config, run, curriculum), 0
    before, proposals = read_journals(run.journal), propose(config, setting)
    require_own(before, setting, run)
    write_down(proposals, before, setting, run)
    backlog = Backlog(setting.space, deadline_of(config.run, os.environ))
    for request in requests_of(proposals, config.search.replicas):
        backlog.add(request)
    with Claims(run.journal / "claims", config.search.expiry) as claims, open_local_pool(setting, run) as pool:
        for score in results(pool, _taken(backlog, setting, run, claims, watch)):
            watch.row(score)
            scored += 1
    fold(run)
    if watch.stop():
        raise Requeue("The search was stopped.", remedy="Start it again: it goes on where it was.")
    backlog.require_begun()
    return scored


def _taken(backlog: Backlog, setting: Setting, run: RunDirectory, claims: Claims, watch: Watch) -> Iterator[Request]:
    """Requests that this job has claimed, the longest first, until every one has a row or no more ends in time."""
    reader, known, held = JournalReader(run.journal), set[str](), dict[str, Request]()
    while backlog or held:
        found = False
        while (request := backlog.take()) is not None:
            held[setting.identity.key(request)] = request
            known |= _learn(reader, backlog)
            claims.finish(known)
            if watch.stop():
                return
            key = setting.identity.key(request)
            if key not in known and claims.take(key):
                found = True
                yield request
        known |= _learn(reader, backlog)
        for key, request in held.items():
            if key not in known:
                backlog.add(request)
        held = {}
        if backlog and not found:
            if backlog.late:
                return
            time.sleep(LOOK)


def _learn(reader: JournalReader, backlog: Backlog) -> set[str]:
    """The keys of rows that any job has written since the last call; their times are learnt from."""
    keys = set()
    for piece in reader.pieces():
        for plain in piece.rows:
            if plain["kind"] == "score":
                row = from_plain(plain)
                assert isinstance(row, Score)
                backlog.learn(row)
                keys.add(row.key)
    return keys
