"""Replay of a search's evaluations on a machine that is not there: time and waste, by discrete events.

Work is given out in the order of the list, or the longest first. What is kept of the real thing, for each pool:

* `mpi`: one job of all ranks; the first gives out work, one evaluation after the other; a lost node ends the job.
* `shards`: a job for each rank, which does every N-th evaluation and nothing else.
* `shared`: a job for each rank, which takes what is next; what a lost job had taken is free again after `expiry`, for
  one that waits and has time enough.

Failures of nodes are exponential and independent of each other; a job that ended before its work did comes back after
`queue` seconds.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal, get_args

from gtn_hpc.core.errors import UsageError
from gtn_hpc.core.streams import numpy_rng

Pool = Literal["mpi", "shards", "shared"]
POOLS: tuple[Pool, ...] = get_args(Pool)

MOST_STARTS = 1_000_000
"""Starts of jobs after which a simulation is given up."""


@dataclass(frozen=True)
class Conditions:
    """A machine; times in seconds. `lead` is the warning before `walltime` (0: none), `mtbf` a node's mean time
    between failures, `startup` from a job's start to its first evaluation, `dispatch` the first rank's work for one."""

    nodes: int = 1
    ranks_per_node: int = 1
    walltime: float = math.inf
    lead: float = 0.0
    mtbf: float = math.inf
    queue: float = 0.0
    startup: float = 0.0
    dispatch: float = 0.0
    expiry: float = 120.0
    longest_first: bool = False
    seed: int = 0

    @property
    def ranks(self) -> int:
        return self.nodes * self.ranks_per_node


@dataclass(frozen=True)
class Replay:
    """What it took: `seconds` from the first start to the last end, `starts` of jobs, how many were `cut` with work
    running, and seconds of ranks: allocated, in evaluations that count, in evaluations that were lost, starting.
    What is left of the allocated seconds nobody used: waiting for the last, for a limit, for work; the first rank."""

    pool: Pool
    seconds: float
    starts: int
    cut: int
    allocated: float
    useful: float
    lost: float
    starting: float

    @property
    def efficiency(self) -> float:
        return self.useful / self.allocated

    @property
    def idle(self) -> float:
        return max(0.0, self.allocated - self.useful - self.lost - self.starting)  # sums of many floats


def replay(durations: Sequence[float], pool: Pool, conditions: Conditions) -> Replay:
    """Does evaluations of `durations` seconds; some seconds of compute for a million of them.

    Raises:
        UsageError: an evaluation does not fit into a job, or failures are so frequent that this never ends.
    """
    _require_fit(durations, pool, conditions)
    return _Simulation(durations, pool, conditions).run()


def _require_fit(durations: Sequence[float], pool: Pool, conditions: Conditions) -> None:
    if not durations or min(durations) <= 0:
        raise UsageError("A replay needs evaluations of more than 0 seconds each.", remedy="Look at the durations.")
    if pool == "mpi" and conditions.ranks < 2:
        raise UsageError("The pool mpi needs two ranks: the first only gives out work.", remedy="Take more.")
    longest = conditions.startup + conditions.dispatch + max(durations)
    if longest > conditions.walltime or conditions.startup >= conditions.walltime - conditions.lead:
        raise UsageError(
            f"A job of {conditions.walltime:.0f} s, warned {conditions.lead:.0f} s before its end, has no room for an"
            f" evaluation: starting takes {conditions.startup:.1f} s, the longest one {max(durations):.1f} s.",
            remedy="Raise the walltime, or lower the lead.",
        )


class _Source:
    """Evaluations that nobody has: those never begun, in order, and (free from, seconds) of those that were lost.
    `busy` is when the last of those given out ends."""

    def __init__(self, durations: Iterable[float], *, longest_first: bool) -> None:
        self.fresh = deque(sorted(durations, reverse=True) if longest_first else durations)
        self.again: list[tuple[float, float]] = []
        self.busy = 0.0

    def __bool__(self) -> bool:
        return bool(self.fresh or self.again)

    def take(self, now: float) -> float | None:
        """Seconds of the next that is free."""
        if self.again and self.again[0][0] <= now:
            return heapq.heappop(self.again)[1]
        return self.fresh.popleft() if self.fresh else None

    def free_within(self, stops: float, cut: float) -> float | None:
        """When the next of those lost is free, where that is before `stops` and leaves time enough until `cut`."""
        if self.again and self.again[0][0] < stops and sum(self.again[0]) <= cut:
            return self.again[0][0]
        return None

    def put_back(self, free_from: float, seconds: float) -> None:
        heapq.heappush(self.again, (free_from, seconds))


@dataclass
class _Job:
    """One job: its workers and work; of its present start when it began, stops asking, and is cut off."""

    workers: int
    ranks: int
    nodes: int
    source: _Source
    began: float = 0.0
    stops: float = 0.0
    cut: float = 0.0
    ended: float = 0.0
    active: int = 0
    losing: bool = False


class _Simulation:
    def __init__(self, durations: Sequence[float], pool: Pool, conditions: Conditions) -> None:
        self.pool, self.conditions = pool, conditions
        self.rng = numpy_rng(conditions.seed, "plan/failures")
        self.manager_free, self.order = 0.0, count()
        self.events: list[tuple[float, int, _Job]] = []
        self.starts = self.cuts = 0
        self.allocated = self.useful = self.lost = self.starting = 0.0
        self.jobs = list(self._jobs([float(seconds) for seconds in durations]))

    def _jobs(self, durations: list[float]) -> Iterator[_Job]:
        ranks, nodes = self.conditions.ranks, self.conditions.nodes
        every = _Source(durations, longest_first=self.conditions.longest_first)
        if self.pool == "mpi":
            yield _Job(ranks - 1, ranks, nodes, every)
            return
        for rank in range(min(ranks, len(durations))):
            own = _Source(durations[rank::ranks], longest_first=self.conditions.longest_first)
            yield _Job(1, 1, 1, every if self.pool == "shared" else own)

    def run(self) -> Replay:
        for job in self.jobs:
            self._start(job, 0.0)
        while self.events:
            now, _, job = heapq.heappop(self.events)
            self._work(job, now)
        seconds = max(job.ended for job in self.jobs)
        told = (self.allocated, self.useful, self.lost, self.starting)
        return Replay(self.pool, seconds, self.starts, self.cuts, *told)

    def _start(self, job: _Job, now: float) -> None:
        self.starts += 1
        if self.starts > MOST_STARTS:
            raise UsageError(
                f"The work is not done after {MOST_STARTS} starts of jobs: too many fail.", remedy="Raise the mtbf."
            )
        mean = self.conditions.mtbf / job.nodes
        failure = now + (self.rng.exponential(mean) if math.isfinite(mean) else math.inf)
        limit = now + self.conditions.walltime
        job.began, job.ended, job.active, job.losing = now, now, job.workers, False
        job.cut = min(limit, failure)
        job.stops = min(limit - self.conditions.lead, failure)
        self.manager_free = now + self.conditions.startup
        for _ in range(job.workers):
            self._at(min(self.manager_free, job.cut), job)

    def _at(self, when: float, job: _Job) -> None:
        heapq.heappush(self.events, (when, next(self.order), job))

    def _work(self, job: _Job, now: float) -> None:
        """A worker of `job` is free: it takes what there is, or waits for what will be."""
        if now >= job.stops:
            self._leave(job, now)
        elif (seconds := job.source.take(now)) is not None:
            self._evaluate(job, now, seconds)
        elif (free_from := job.source.free_within(job.stops, job.cut)) is not None:
            self._evaluate(job, free_from, job.source.take(free_from) or 0.0)
        elif self.pool == "shared":
            self._leave(job, job.stops if job.source.again else max(now, min(job.source.busy, job.stops)))
        else:
            self._leave(job, now)

    def _evaluate(self, job: _Job, now: float, seconds: float) -> None:
        begins = self._given_out(now)
        ends = min(begins + seconds, job.cut)
        job.source.busy = max(job.source.busy, ends)
        if begins + seconds <= job.cut:
            self.useful += seconds
            self._at(ends, job)
            return
        job.losing = True
        self.lost += max(0.0, job.cut - begins)
        job.source.put_back(job.cut + (self.conditions.expiry if self.pool == "shared" else 0.0), seconds)
        self._leave(job, job.cut)

    def _given_out(self, now: float) -> float:
        """When work that is asked for now begins."""
        if self.pool != "mpi":
            return now
        self.manager_free = max(now, self.manager_free) + self.conditions.dispatch
        return self.manager_free

    def _leave(self, job: _Job, now: float) -> None:
        """A worker does no more in this start; the last one ends it."""
        job.active -= 1
        job.ended = max(job.ended, now)
        if job.active:
            return
        self.cuts += job.losing
        self.allocated += job.ranks * (job.ended - job.began)
        self.starting += job.ranks * min(self.conditions.startup, job.ended - job.began)
        if job.source:
            self._start(job, job.ended + self.conditions.queue)
