"""Any number of independent jobs search in one run directory, without a server: each claims what no other has."""

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from gtn_hpc.cluster.deadline import deadline_of
from gtn_hpc.config import Config
from gtn_hpc.core.records import Score
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.core.status import failure_told
from gtn_hpc.farm import results
from gtn_hpc.farm.claims import Claims
from gtn_hpc.scores.replay import JournalReader, read_more
from gtn_hpc.scores.rows import from_plain
from gtn_hpc.search.backlog import Backlog
from gtn_hpc.search.belonging import require_own, require_proposed
from gtn_hpc.search.pools import open_local_pool, setting_of
from gtn_hpc.search.shards import end_part, propose, write_down
from gtn_hpc.search.study import requests_of
from gtn_hpc.search.watch import SILENT, Watch
from gtn_hpc.training.request import Identity, Request
from gtn_hpc.training.setting import Setting

LOOK = 0.2
"""Seconds between two looks at what the other jobs have done, at the least."""

SHARE = 0.05
"""Of the time that may go into looking: there may be a thousand journals."""


def search_shared(config: Config, run: RunDirectory, curriculum: Path, watch: Watch = SILENT) -> int:
    """Scores what no other job has scored or is scoring, until all of `search.budget` is done; gives the number.

    Jobs may come and go at any time; what one leaves behind, another takes after `search.expiry` seconds. Every job
    proposes the same architectures, for which the algorithm must not learn from scores. The certificate is left to a
    search under a manager afterwards.

    Raises:
        UsageError: the algorithm learns from scores.
        RunError: the run began with another search, or with other proposals.
        Requeue: `watch.stop` said so, or nothing that is left would end before the deadline.
    """
    setting = setting_of(config, run, curriculum)
    before, proposals = read_more(reader := JournalReader(run.journal)), propose(config, setting)
    require_own(before, setting, run)
    with failure_told(run, "search"):
        require_proposed(proposals, before.asks)
        scored = 0
        backlog = Backlog(setting.space, deadline_of(config.run, os.environ))
        with Claims(run.journal / "claims", config.search.expiry) as claims, open_local_pool(setting, run) as pool:
            write_down(proposals, before, reader, setting, run)
            rows = Rows(reader, backlog, claims, setting.identity)
            rows.take_in(before.scores)
            key = setting.identity.key
            backlog.extend(r for r in requests_of(proposals, config.search.replicas) if key(r) not in rows.known)
            for score in results(pool, _taken(backlog, setting, rows, claims, watch)):
                watch.row(score)
                scored += 1
            rows.strike_off()
        end_part(run, backlog, watch)
        return scored


class Rows:
    """The keys of the rows that jobs have written (`known`), read now and then; their times are learnt from."""

    def __init__(self, reader: JournalReader, backlog: Backlog, claims: Claims, identity: Identity) -> None:
        self.known: set[str] = set()
        self._reader, self._backlog, self._claims, self._identity = reader, backlog, claims, identity
        self._due = 0.0

    def take_in(self, rows: Iterable[Score]) -> None:
        for row in rows:
            self._backlog.learn(row)
            self._claims.finish([row.key])
            self.known.add(row.key)

    def look(self) -> None:
        """At what was written since the last look. Cost: each journal's size, and what is new."""
        begun = time.monotonic()
        for piece in self._reader.pieces():
            scores = [from_plain(plain) for plain in piece.rows if plain["kind"] == "score"]
            self.take_in(score for score in scores if isinstance(score, Score))
        ended = time.monotonic()
        self._due = ended + max(LOOK, (ended - begun) / SHARE)

    def look_where_due(self) -> None:
        if time.monotonic() >= self._due:
            self.look()

    def strike_off(self) -> None:
        """Takes what has a row by now out of the backlog."""
        if self._backlog:
            self.look()
            self._backlog.discard(lambda request: self._identity.key(request) in self.known)

    def lack(self, key: str) -> bool:
        """Whether the work `key`, whose claim this job has just got, is still to be done.

        Who is the first to claim it need not look: jobs write no row without a claim. The row of one whose claim has
        lapsed may have come after the last look.
        """
        if self._claims.taken_over(key):
            self.look()
        return key not in self.known


def _taken(backlog: Backlog, setting: Setting, rows: Rows, claims: Claims, watch: Watch) -> Iterator[Request | None]:
    """Requests that this job has claimed, the longest first, until every other has a row or no more ends in time.

    None where other jobs hold all that is left: theirs may lapse, and what runs here meanwhile may fail.
    """
    while backlog:
        others, found = dict[str, Request](), False
        while (request := backlog.take()) is not None:
            key = setting.identity.key(request)
            rows.look_where_due()
            if watch.stop():
                return
            if key not in rows.known and claims.take(key) and rows.lack(key):
                found = True
                yield request
            else:
                others[key] = request
        rows.look_where_due()
        backlog.extend(request for key, request in others.items() if key not in rows.known)
        if backlog and not found:
            if backlog.late:
                return
            yield None
