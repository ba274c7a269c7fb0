"""Workers that are the ranks of an MPI job: rank 0 asks, the others do the work (mpi4py.futures through `cluster`)."""

import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from gtn_hpc.cluster import mpi
from gtn_hpc.cluster.environment import RankEnvironment
from gtn_hpc.farm.kinship import end_with_launcher
from gtn_hpc.farm.pool import Pool, Result, Task, Work

_OPENED: list[Callable[[Any], Any]] = []
"""What this rank does with a task: the executor sends functions by name only, so they find it here."""


class Ranks(Pool[Task, Result]):
    """On rank 0: ranks 1 to `environment.world` - 1 as workers, each of which has called `serve`."""

    def __init__(self, environment: RankEnvironment) -> None:
        self.workers, self._world = environment.world - 1, environment.world
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        """Raises what a worker's work raised when it was opened."""
        end_with_launcher()
        _agree(None, self._world)
        self._executor: Executor = self._opened.enter_context(mpi.executor(self._world))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._opened.close()

    def submit(self, task: Task) -> "Future[Result]":
        return self._executor.submit(_do, task)


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
            _OPENED.append(opened.enter_context(work.open(environment.rank)))
        except Exception as error:
            failure = error
        _agree(failure, environment.world)
        with mpi.executor(environment.world):
            pass
        _OPENED.pop()


def _agree(failure: Exception | None, world: int) -> None:
    """All ranks raise the first failure, so that none waits for the others."""
    failures = [found for found in mpi.gather_everywhere(failure, world) if found is not None]
    if failures:
        raise failures[0]


def _do(task: Any) -> Any:
    return _OPENED[-1](task)
