"""Several workers of one process, whose work is done in children: threads only wait for them."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from gtn_hpc.farm.pool import Pool, Result, Task, Work


class Threads(Pool[Task, Result]):
    """`workers` threads, each with its own opened work; worker n has rank `first` + n."""

    def __init__(self, work: Work[Task, Result], workers: int, first: int = 0) -> None:
        self.workers, self._work, self._first = workers, work, first
        self._opened = ExitStack()
        self._free: SimpleQueue[Callable[[Task], Result]] = SimpleQueue()

    def __enter__(self) -> Self:
        self._executor = ThreadPoolExecutor(self.workers, thread_name_prefix="worker")
        with ExitStack() as opening:
            for worker in range(self.workers):
                self._free.put(opening.enter_context(self._work.open(self._first + worker)))
            self._opened = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):  # Ctrl-C waits for no task
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._opened.close()
        self._executor.shutdown(cancel_futures=True)
        self._opened.close()

    def submit(self, task: Task) -> "Future[Result]":
        return self._executor.submit(self._do, task)

    def _do(self, task: Task) -> Result:
        do = self._free.get()
        try:
            return do(task)
        finally:
            self._free.put(do)
