"""Workers that are the ranks of an MPI job: rank 0 asks, the others do the work.

While tasks are short, each worker is sent its next one before it asks: a round trip, with processes to be woken, takes
some two milliseconds. The last ones wait for whoever is free, so that none waits behind a long one.
"""

import signal
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from time import perf_counter
from types import TracebackType
from typing import Any, Generic, Self

from gtn_hpc.cluster import mpi
from gtn_hpc.cluster.environment import RankEnvironment
from gtn_hpc.cluster.launcher import end_with_launcher
from gtn_hpc.farm.pool import Pool, Result, Task, Work
from gtn_hpc.farm.serving import Reply, packed, reply_to

SHORT = 0.25
"""Seconds of a task below which the round trip counts (1 %) and the next one is sent ahead."""

MEMORY = 0.8
"""Weight of the tasks before the last in what counts as their typical length."""

LOOK = 0.5
"""Seconds between two looks at whether the pool is left, while nothing is under way."""


@dataclass
class _Desk(Generic[Task, Result]):
    """What rank 0 knows of its workers: futures under way, in the order sent, and tasks that wait."""

    ranks: int
    waiting: "deque[tuple[Future[Result], Task]]" = field(default_factory=deque)
    typical: float = float("inf")

    def __post_init__(self) -> None:
        self.under_way: dict[int, deque[Future[Result]]] = {rank: deque() for rank in range(1, self.ranks + 1)}

    @property
    def idle(self) -> bool:
        return not self.waiting and not any(self.under_way.values())

    def next_rank(self) -> int | None:
        """Who gets the next task: a free worker, or a busy one without another while many wait."""
        rank = min(self.under_way, key=lambda rank: len(self.under_way[rank]))
        most = 2 if self.typical < SHORT and len(self.waiting) > self.ranks else 1
        return rank if self.waiting and len(self.under_way[rank]) < most else None

    def note(self, seconds: float) -> None:
        known = self.typical < float("inf")
        self.typical = MEMORY * self.typical + (1 - MEMORY) * seconds if known else seconds


class Ranks(Pool[Task, Result]):
    """On rank 0: ranks 1 to `environment.world` - 1 as workers, each of which has called `serve`."""

    def __init__(self, environment: RankEnvironment) -> None:
        self.workers, self._world = environment.world - 1, environment.world
        self._desk: _Desk[Task, Result] = _Desk(self.workers)
        self._news = threading.Event()
        self._left = False
        self._failure: Exception | None = None
        self._clerk = threading.Thread(target=self._attend, name="ranks", daemon=True)

    @property
    def ahead(self) -> int:
        return 2 * self.workers if self._desk.typical < SHORT else 0

    def __enter__(self) -> Self:
        """Raises what a worker's work raised when it was opened."""
        end_with_launcher()
        _agree(None, self._world)
        self._post = mpi.Post(self._world)
        self._clerk.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._desk.waiting:
            self._desk.waiting.pop()[0].cancel()
        self._left = True
        self._news.set()
        self._clerk.join()

    def submit(self, task: Task) -> "Future[Result]":
        if self._failure is not None:
            raise self._failure
        future: Future[Result] = Future()
        self._desk.waiting.append((future, task))
        self._news.set()
        return future

    def _attend(self) -> None:
        """What cannot be exchanged fails every task, rather than let the search wait for ever."""
        try:
            self._exchange()
        except Exception as error:
            self._failure = error
            for future in [*chain(*self._desk.under_way.values()), *(future for future, _ in self._desk.waiting)]:
                if not future.done():
                    future.set_exception(error)

    def _exchange(self) -> None:
        """Sends tasks and takes answers, until the pool is left and all have answered."""
        nap = mpi.Nap()
        while not (self._left and self._desk.idle):
            if self._desk.idle:
                self._news.wait(LOOK)
                self._news.clear()
            if self._send() or self._receive():
                nap.reset()
            else:
                nap()
        for rank in self._desk.under_way:
            self._post.send(None, rank)
        self._post.flush()

    def _send(self) -> bool:
        rank = self._desk.next_rank()
        if rank is None:
            return False
        try:
            future, task = self._desk.waiting.popleft()
        except IndexError:
            return False
        if future.set_running_or_notify_cancel():
            self._desk.under_way[rank].append(future)
            self._post.send((task,), rank)
        return True

    def _receive(self) -> bool:
        found = self._post.look()
        if found is None:
            return False
        rank, (content, seconds) = found
        self._desk.note(seconds)
        reply, future = Reply.unpacked(content), self._desk.under_way[rank].popleft()
        if reply.error is None:
            future.set_result(reply.value)
        else:
            future.set_exception(reply.error)
        return True


def serve(work: Work[Any, Any], environment: RankEnvironment) -> None:
    """On the other ranks: does the tasks that rank 0 sends, until it leaves its pool.

    Raises:
        Exception: what opening the work raised on any rank.
    """
    end_with_launcher()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # a launcher forwards it to all; rank 0 decides what it means
    with ExitStack() as opened:
        failure: Exception | None = None
        try:
            do = opened.enter_context(work.open(environment.rank))
        except Exception as error:
            failure = error
        _agree(failure, environment.world)
        post = mpi.Post(environment.world)
        while (message := post.wait()) is not None:
            began = perf_counter()
            content = packed(reply_to(do, message[0]))
            post.send((content, perf_counter() - began), 0)
        post.flush()


def _agree(failure: Exception | None, world: int) -> None:
    """All ranks raise the first failure, so that none waits for the others."""
    failures = [found for found in mpi.gather_everywhere(failure, world) if found is not None]
    if failures:
        raise failures[0]
