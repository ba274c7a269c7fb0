"""Work done in a child, so that no task ends the process that asked for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic

from gtn_hpc.core.errors import ClusterError
from gtn_hpc.farm.child import Bounds, Child, ChildDied, Nursery
from gtn_hpc.farm.pool import Result, Task, Work

KILLED = 5
"""Deaths from outside in one task after which the run gives up, rather than blame the task."""

CRASHED = 2
"""Crashes in one task after which the task is at fault."""

REMEDY = "See whether the host is out of memory; start again: what was scored is kept."


@dataclass(frozen=True)
class Isolated(Generic[Task, Result]):
    """Does `work` in a child of `nursery`; `verdict` says what a task gives whose child died of it.

    A timeout is the task's, and so is a lack of memory once `again` knows no more what to try instead. A crash is tried
    once more; a kill from outside is no verdict: the task is done again, up to a set count. Nor is the end of a child
    that has no task yet: that ends the worker.
    """

    work: Work[Task, Result]
    nursery: Nursery
    verdict: Callable[[Task, ChildDied], Result]
    bounds: Bounds
    again: Callable[[Task], Task | None] = lambda task: None  # noqa: ARG005

    @contextmanager
    def open(self, rank: int) -> Iterator[Callable[[Task], Result]]:
        """Raises what opening the work raises, and ClusterError where children end while they open it."""
        child = Child(self.nursery, self.work, rank, self.bounds)
        _start(child)
        try:
            yield lambda task: self._do(child, task)
        finally:
            child.stop()

    def _do(self, child: Child[Task, Result], task: Task) -> Result:
        killed = crashed = 0
        while True:
            if not child.alive:
                _start(child)
            try:
                return child(task)
            except ChildDied as death:
                killed += death.status == "killed"
                crashed += death.status == "crashed"
                other = self.again(task) if death.status == "oom" else None
                if death.status == "timeout" or crashed == CRASHED or (death.status == "oom" and other is None):
                    return self.verdict(task, death)
                if killed == KILLED:
                    raise ClusterError(
                        f"Evaluation children were killed from outside {KILLED} times in one task.", remedy=REMEDY
                    ) from death
                task = task if other is None else other


def _start(child: Child[Task, Result]) -> None:
    for attempt in range(1, KILLED + 1):
        try:
            child.start()
            return
        except ChildDied as death:
            if death.status != "killed" or attempt == KILLED:
                raise ClusterError(
                    f"An evaluation child ended while it loaded its data: {death.detail}.", remedy=REMEDY
                ) from death
