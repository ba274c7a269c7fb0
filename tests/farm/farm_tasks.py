"""Tasks that go wrong in every way, for children."""

import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gtn_hpc.core.errors import DataError, DeviceLost


@dataclass(frozen=True)
class Trouble:
    """Its tasks name what to do, with an argument."""

    broken: bool = False
    killed: tuple[Path, int] | None = None
    lost: Path | None = None

    @contextmanager
    def open(self, rank: int) -> Iterator[Callable[[tuple[str, Any]], Any]]:
        if self.broken:
            raise DataError("there is nothing to load", remedy="Give something.")
        if self.killed is not None and killed_until(self.killed[0]) < self.killed[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.lost is not None and self.lost.exists():
            os.abort()
        yield lambda task: TASKS[task[0]](task[1])


def grow(_: object) -> None:
    """A MiB at a time, so slowly that whoever looks after it is in time."""
    held = []
    while True:
        held.append(np.ones(1 << 17))
        time.sleep(0.002)


def grow_past(_: object) -> None:
    """Where only the watchdog can end it."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    grow(_)


def hang(_: object) -> None:
    while True:
        pass


def crash_once(marker: Path) -> str:
    if marker.exists():
        return "survived"
    marker.touch()
    return str(ctypes.string_at(0))


def killed_until(count: Path) -> int:
    """SIGKILL, as the system sends it, until the file is three bytes long."""
    count.write_bytes(count.read_bytes() + b"x" if count.exists() else b"x")
    if len(count.read_bytes()) < 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return len(count.read_bytes())


def import_mpi4py(_: object) -> None:
    import mpi4py  # noqa: F401


def crash_for_good(marker: Path) -> None:
    marker.touch()
    os.abort()


def lose_device(count: Path) -> int:
    """In the process that is the first to do it."""
    found = count.read_bytes() if count.exists() else b""
    count.write_bytes(found + b"x")
    if not found:
        raise DeviceLost("no GPU any more")
    return len(count.read_bytes())


def fail(value: object) -> None:
    raise ValueError(f"not {value}")


TASKS: dict[str, Callable[[Any], Any]] = {
    "pid": lambda _: os.getpid(),
    "parent": lambda _: os.getppid(),
    "environ": lambda name: os.environ.get(name),
    "double": lambda value: 2 * value,
    "sleep": time.sleep,
    "hang": hang,
    "grow": grow,
    "grow_past": grow_past,
    "segfault": lambda _: ctypes.string_at(0),
    "exit": os._exit,
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "crash_once": crash_once,
    "crash_for_good": crash_for_good,
    "lose_device": lose_device,
    "killed_until": killed_until,
    "mpi4py": import_mpi4py,
    "fail": fail,
    "unpicklable": lambda _: lambda: None,
}


def hold_children(count: int) -> None:
    """Makes busy children, writes their process ids, and waits to be killed."""
    from concurrent.futures import ThreadPoolExecutor

    from gtn_hpc.farm.child import Bounds, Child, Nursery

    with Nursery() as nursery, ThreadPoolExecutor() as threads:
        children = [Child(nursery, Trouble(), rank, Bounds()) for rank in range(count)]
        for child in children:
            child.start()
        print(nursery._process.pid, *(child(("pid", None)) for child in children), flush=True)
        list(threads.map(lambda child: child(("hang", None)), children))
