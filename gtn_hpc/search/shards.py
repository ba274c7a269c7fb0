"""Static shards: every rank, or job of an array, takes each N-th evaluation of a list; no manager, no message."""

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from gtn_hpc.cluster.deadline import deadline_of
from gtn_hpc.cluster.environment import detect
from gtn_hpc.config import Config
from gtn_hpc.config.searching import NonAdaptive
from gtn_hpc.core.environment import job
from gtn_hpc.core.errors import Requeue, RunError, UsageError
from gtn_hpc.core.lock import sole
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.core.status import failure_told
from gtn_hpc.farm import results
from gtn_hpc.scores.folding import fold_and_tell
from gtn_hpc.scores.journal import Journal
from gtn_hpc.scores.replay import JournalReader, Journals, read_more
from gtn_hpc.search.algorithm import Proposal
from gtn_hpc.search.algorithms import make_algorithm
from gtn_hpc.search.backlog import Backlog
from gtn_hpc.search.belonging import require_own, require_proposed
from gtn_hpc.search.ledger import rows_of
from gtn_hpc.search.pools import open_local_pool, setting_of
from gtn_hpc.search.study import Asked, pieces, requests_of
from gtn_hpc.search.watch import SILENT, Watch
from gtn_hpc.training.request import Request
from gtn_hpc.training.setting import Setting

PATIENCE = 30.0
"""Seconds that another job may take for the next of them."""

LOOK = 0.2
"""Seconds between two looks whether it has."""


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count`."""

    index: int
    count: int


def shard_of(config: Config) -> Shard:
    """What `search.shard` says, or else this process's rank.

    Raises:
        UsageError: the index is not below the count.
    """
    if config.search.shard is None:
        rank = detect()
        return Shard(rank.rank, rank.world)
    index, count = map(int, config.search.shard.split("/"))
    if index >= count:
        raise UsageError(
            f"search.shard is {index}/{count}, but parts are counted from 0.",
            remedy=f"The last of {count} is {count - 1}/{count}.",
        )
    return Shard(index, count)


def search_shard(config: Config, run: RunDirectory, curriculum: Path, watch: Watch = SILENT) -> int:
    """Scores this shard's part of `search.budget` architectures, and gives the number of rows that were missing.

    All propose the same architectures, for which the algorithm must not learn from scores. The first writes them down.
    Whoever ends last folds all rows, which one that is stopped does not; the certificate is left to a search without
    shards afterwards.

    Raises:
        UsageError: the algorithm learns from scores.
        RunError: the run began with another search, or with other proposals.
        Requeue: `watch.stop` said so, or nothing that is left would end before the deadline.
    """
    setting, shard = setting_of(config, run, curriculum), shard_of(config)
    before = read_more(reader := JournalReader(run.journal))
    require_own(before, setting, run)
    with failure_told(run, "search"):
        require_proposed(proposals := propose(config, setting), before.asks)
        missing = _missing(proposals, before, setting, shard)
        backlog = Backlog(setting.space, deadline_of(config.run, os.environ))
        for row in before.scores:
            backlog.learn(row)
        backlog.extend(missing)
        with open_local_pool(setting, run, shard.index) as pool:  # may refuse the curriculum
            if shard.index == 0:
                write_down(proposals, before, reader, setting, run)
            for score in results(pool, takewhile(lambda _: not watch.stop(), backlog.rest())):
                backlog.learn(score)
                watch.row(score)
        end_part(run, backlog, watch)
        return len(missing)


def end_part(run: RunDirectory, backlog: Backlog, watch: Watch) -> None:
    """Folds all rows of the run.

    Raises:
        Requeue: this part was stopped, or something is left that would not end before the deadline.
        RunError: no start has the time for what is left.

    Nothing is folded then: parts fold one after another, and those that are stopped together have no time for that.
    """
    if watch.stop():
        raise Requeue("The search was stopped.", remedy="Start it again: it goes on where it was.")
    backlog.require_begun()
    fold_and_tell(run, watch.warning)


def propose(config: Config, setting: Setting) -> list[Proposal]:
    """All that an algorithm proposes which is never told anything.

    Raises:
        UsageError: the algorithm learns from scores.
    """
    section = config.search
    if not isinstance(section.algorithm, NonAdaptive):
        raise UsageError(
            f"search.pool is {section.pool}, but the algorithm {section.algorithm.name} learns from scores.",
            remedy="Take search.algorithm.name random or list, or search.pool=mpi.",
        )
    algorithm = make_algorithm(config, setting.space, setting.last_step)
    asked = (algorithm.ask(number, fresh=True) for number in range(section.budget))
    return [proposal for proposal in asked if proposal is not None]


def write_down(
    proposals: list[Proposal], before: Journals, reader: JournalReader, setting: Setting, run: RunDirectory
) -> None:
    """Records the proposals that neither `before` holds nor what follows on `reader`: one job does, others wait.

    A job that is at it and writes nothing for `PATIENCE` seconds is waited for no longer; what is written twice counts
    once.

    Raises:
        RunError: that job proposes something else.
    """
    known, until = {ask.order for ask in before.asks}, time.monotonic() + PATIENCE
    follower = JournalReader(run.journal, reader.positions)
    while _unwritten(proposals, known):
        with ExitStack() as held:
            alone, found = _alone(held, run), read_more(follower).asks
            require_proposed(proposals, found)
            known |= {ask.order for ask in found}
            until = time.monotonic() + PATIENCE if found else until
            if alone or time.monotonic() >= until:
                _write(_unwritten(proposals, known), setting, run)
                return
        time.sleep(LOOK)


def _write(proposals: list[Proposal], setting: Setting, run: RunDirectory) -> None:
    """In pieces, so that others see that it goes on."""
    if not proposals:
        return
    with Journal(run.journal, f"{job()}-manager") as journal:
        for piece in pieces(proposals):
            journal.append([row for p in piece for row in rows_of(Asked(p, fresh=True), setting.space)])


def _unwritten(proposals: list[Proposal], known: set[int]) -> list[Proposal]:
    return [proposal for proposal in proposals if proposal.ask not in known]


def _alone(held: ExitStack, run: RunDirectory) -> bool:
    """Whether no other job is writing down its proposals, nor begins to while `held` is open."""
    try:
        held.enter_context(sole(run.journal / "proposals.lock", "writing down what it proposes", required=False))
    except RunError:
        return False
    return True


def _missing(proposals: Sequence[Proposal], before: Journals, setting: Setting, shard: Shard) -> list[Request]:
    known = {score.key for score in before.scores}
    mine = requests_of(proposals, setting.config.search.replicas)[shard.index :: shard.count]
    return [request for request in mine if setting.identity.key(request) not in known]
