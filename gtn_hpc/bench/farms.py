"""The same tasks on one farm or another: `[mpiexec -n 3] python -m gtn_hpc.bench.farms SYSTEM REPEATS TASK...`."""

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from gtn_hpc.core.errors import UsageError, nearest

WORKERS = 2
LIMIT_SECONDS = 60.0
LIMIT_BYTES = 1 << 30
TIMED = ("sleep", "cpu")
"""Kinds of tasks that take as long as is said."""


@dataclass(frozen=True)
class Task:
    """Takes `seconds`, asleep or `busy` on a core."""

    seconds: float
    busy: bool = False


def do(task: Task) -> None:
    end = time.perf_counter() + task.seconds
    if not task.busy:
        time.sleep(task.seconds)
    while task.busy and time.perf_counter() < end:
        pass


@dataclass(frozen=True)
class Doing:
    @contextmanager
    def open(self, rank: int) -> Iterator[Callable[[Task], None]]:  # noqa: ARG002
        yield do


def workload(name: str) -> list[Task]:
    """`sleep:MS`, `cpu:MS`, or `skewed`: 200 tasks of 10 ms, of which ten are 20 times longer.

    Raises:
        UsageError: there is no such task.
    """
    kind, _, milliseconds = name.partition(":")
    if name == "skewed":
        tasks = [Task(0.2 if index < 10 else 0.01) for index in range(200)]
        random.Random(0).shuffle(tasks)
        return tasks
    if kind not in TIMED:
        raise UsageError(f"There is no task '{name}'.", remedy=nearest(kind, (*TIMED, "skewed")))
    seconds = _seconds(milliseconds)
    if seconds is None:
        raise UsageError(f"The task '{name}' does not say how long it takes.", remedy=f"In milliseconds: {kind}:100.")
    return [Task(seconds, busy=kind == "cpu")] * max(20, round(2 / seconds))


def _seconds(milliseconds: str) -> float | None:
    try:
        seconds = float(milliseconds) / 1e3
    except ValueError:
        return None
    return seconds if 0 < seconds < LIMIT_SECONDS else None


def main(arguments: Sequence[str]) -> None:
    """The last line of the first rank's stdout is JSON: seconds of each repeat by task."""
    system, repeats, names = arguments[0], int(arguments[1]), arguments[2:]
    with ExitStack() as opened:
        run = SYSTEMS[system](opened)
        if run is None:
            return
        run([Task(0.0)] * 20)
        found: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(repeats):
            for name in names:
                tasks, began = workload(name), time.perf_counter()
                run(tasks)
                found[name].append(time.perf_counter() - began)
    print(json.dumps(found), flush=True)


Run = Callable[[Sequence[Task]], None]


def gtn(opened: ExitStack) -> Run | None:
    """Our pool over the ranks, each task in a child with limits of time and memory."""
    from gtn_hpc.cluster.environment import detect
    from gtn_hpc.farm import mpi, results
    from gtn_hpc.farm.child import Bounds, ChildDied, Nursery
    from gtn_hpc.farm.isolation import Isolated

    def verdict(task: Task, death: ChildDied) -> None:
        raise RuntimeError(f"{task}: {death}")

    ranks = detect()
    if ranks.rank > 0:
        with Nursery(["gtn_hpc.bench.farms"]) as nursery:
            mpi.serve(Isolated(Doing(), nursery, verdict, Bounds(LIMIT_SECONDS, LIMIT_BYTES)), ranks)
        return None
    pool: mpi.Ranks[Any, Any] = opened.enter_context(mpi.Ranks(ranks))
    return lambda tasks: _exhaust(results(pool, tasks))


def mpi4py_futures(opened: ExitStack) -> Run | None:
    """Bare: a task runs in the rank itself."""
    from mpi4py.futures import MPICommExecutor

    executor: Any = opened.enter_context(MPICommExecutor(root=0))
    if executor is None:
        return None
    return lambda tasks: _exhaust(as_completed([executor.submit(do, task) for task in tasks]))


def no_farm(opened: ExitStack) -> Run:  # noqa: ARG001
    """One task after the other in this process: what the machine itself makes of them."""
    return lambda tasks: _exhaust(map(do, tasks))


def parsl(opened: ExitStack) -> Run:
    """Its high-throughput executor with two workers on this host."""
    import parsl
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider

    place = opened.enter_context(tempfile.TemporaryDirectory())
    provider = LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1)
    farm = HighThroughputExecutor(
        label="htex", max_workers_per_node=WORKERS, provider=provider, address="127.0.0.1", encrypted=False
    )
    kernel = opened.enter_context(parsl.load(Config(executors=[farm], run_dir=place, usage_tracking=0)))
    app = parsl.python_app(do, data_flow_kernel=kernel)
    return lambda tasks: _exhaust(as_completed([app(task) for task in tasks]))


def _exhaust(values: Iterator[Any]) -> None:
    for value in values:
        if isinstance(value, Future):
            value.result()


SYSTEMS: dict[str, Callable[[ExitStack], Run | None]] = {
    "gtn": gtn,
    "mpi4py.futures": mpi4py_futures,
    "parsl": parsl,
    "no farm": no_farm,
}

if __name__ == "__main__":
    from gtn_hpc.bench import farms

    farms.main(sys.argv[1:])
