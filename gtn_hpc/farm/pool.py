"""What a pool is, and the one that needs no other process."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, ExitStack
from itertools import islice
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
Task_in = TypeVar("Task_in", contravariant=True)
Result_out = TypeVar("Result_out", covariant=True)

PAUSE = 0.2
"""Seconds until tasks that were not to be had are asked for again, if no result comes before."""


class Work(Protocol[Task_in, Result_out]):
    """What every worker of a pool does: a record that can be sent to another process and opened there, once."""

    def open(self, rank: int) -> AbstractContextManager[Callable[[Task_in], Result_out]]:
        """Loads what all tasks share, and gives the function that does one task; `rank` is the worker's number."""


class Pool(ABC, Generic[Task, Result]):
    """Workers that all do one `Work`, which each opens when the pool is entered; tasks are given, futures come back.

    `workers` tasks run at the same time. A task that fails raises from its future; the pool goes on. No Executor: that
    takes any function each time, and this one function whose data are loaded once.
    """

    workers: int

    @property
    def ahead(self) -> int:
        """How many tasks beyond `workers` it is worth to have waiting: none, unless tasks are very short."""
        return 0

    @abstractmethod
    def submit(self, task: Task) -> "Future[Result]":
        """Gives a task to a worker that is free, or to the first that will be."""

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the workers; tasks that run are finished first, unless an error is on its way."""


def results(pool: Pool[Task, Result], tasks: Iterable[Task | None]) -> Iterator[Result]:
    """The results of `tasks` as they come; a task is taken from the iterable when a worker is free for it.

    None among `tasks` says that there may be more, but none now: they are asked again a little later.
    """
    waiting, running = iter(tasks), set[Future[Result]]()
    while True:
        pause = None
        for task in islice(waiting, max(0, pool.workers + pool.ahead - len(running))):
            if task is None:
                pause = PAUSE
                break
            running.add(pool.submit(task))
        if running:
            done, running = wait(running, pause, FIRST_COMPLETED)
            for future in done:
                yield future.result()
        elif pause is not None:
            time.sleep(pause)
        else:
            return


class InProcess(Pool[Task, Result]):
    """Does each task in this process, while it is submitted: its future is done when the caller gets it."""

    workers = 1

    def __init__(self, work: Work[Task, Result], rank: int = 0) -> None:
        self._work, self._rank = work, rank
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        self._do = self._opened.enter_context(self._work.open(self._rank))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def submit(self, task: Task) -> "Future[Result]":
        future: Future[Result] = Future()
        try:
            future.set_result(self._do(task))
        except Exception as error:
            future.set_exception(error)
        return future
