"""A persistent child process that does tasks for this one, which outlives whatever happens to the child."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from types import TracebackType
from typing import Any, Generic, Self

from gtn_hpc.core.errors import ClusterError
from gtn_hpc.farm.pool import Result, Task, Work
from gtn_hpc.farm.serving import Job, Reply

TICK = 0.02
"""Seconds between two looks at a child's memory; an answer is taken at once."""

PAGE = os.sysconf("SC_PAGE_SIZE")

LAUNCHERS = ("OMPI_", "PMIX_", "PRTE_", "PMI_", "HYDRA_", "MPI_")
"""Variables of MPI launchers; a process that inherits them may be taken for a rank."""


class ChildDied(Exception):
    """A child ended after `seconds` of a task: `status` is timeout, oom, crashed, or killed (from outside)."""

    def __init__(self, status: str, detail: str, seconds: float) -> None:
        super().__init__(detail)
        self.status, self.detail, self.seconds = status, detail, seconds


@dataclass(frozen=True)
class Bounds:
    """Wall-clock `seconds` of a task, and `bytes` that it may add to the memory of its process."""

    seconds: float | None = None
    bytes: int | None = None


class Nursery:
    """Makes children by forking a process that has imported `modules`; made by a thread that outlives it."""

    def __init__(self, modules: Sequence[str] = ()) -> None:
        self._control, theirs = socket.socketpair()
        command = [sys.executable, "-m", "gtn_hpc.farm.nursery", str(os.getpid()), str(theirs.fileno()), *modules]
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], env=without_launcher(os.environ), stdin=subprocess.DEVNULL
        )
        theirs.close()
        self._lock = threading.Lock()

    def fork(self) -> tuple[int, Connection]:
        """Process id of a new child, and the connection to it."""
        ours, theirs = Pipe()
        pid = self._request(("fork", 0), [theirs.fileno()])
        theirs.close()
        return pid, ours

    def wait(self, pid: int) -> int:
        """The exit code of a child that is dead or dying; negative: the signal that ended it."""
        return self._request(("wait", pid))

    def _request(self, request: tuple[str, int], descriptors: Sequence[int] = ()) -> int:
        with self._lock:
            try:
                socket.send_fds(self._control, [pickle.dumps(request)], list(descriptors))
                answer = self._control.recv(4096)
            except OSError:
                answer = b""
        if not answer:
            raise ClusterError(
                f"The process that makes evaluation children ended ({self._process.wait()}).",
                remedy="Its own message stands above; start again: what was scored is kept.",
            )
        value: int = pickle.loads(answer)
        return value

    def close(self) -> None:
        self._control.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Child(Generic[Task, Result]):
    """Does `work` in a child of `nursery`, once started, and again after it died."""

    def __init__(self, nursery: Nursery, work: Work[Task, Result], rank: int, bounds: Bounds) -> None:
        self._nursery, self._job, self._bounds = nursery, Job(work, rank, bounds.bytes), bounds
        self._connection: Connection | None = None
        self._began = time.monotonic()

    def start(self) -> None:
        """Returns when the work is open.

        Raises:
            ChildDied: the child ended while it opened its work.
            Exception: what the work raised.
        """
        self._began = time.monotonic()
        self._pid, self._connection = self._nursery.fork()
        self._send(self._job)
        self._result(Bounds())
        self._base = resident(self._pid)

    @property
    def alive(self) -> bool:
        """Whether it was started and has not been found dead."""
        return self._connection is not None

    def __call__(self, task: Task) -> Result:
        """Raises ChildDied where the child did not come to an end, and what the work raised."""
        self._began = time.monotonic()
        self._send(task)
        result: Result = self._result(self._bounds)
        return result

    def _send(self, message: Any) -> None:
        assert self._connection is not None
        try:
            self._connection.send(message)
        except OSError:
            self._bury("a child that waited for a task")

    def _result(self, bounds: Bounds) -> Any:
        assert self._connection is not None
        self._watch(self._connection, bounds)
        try:
            reply: Reply = self._connection.recv()
        except (EOFError, OSError):
            self._bury("the child")
        if reply.error is not None:
            raise reply.error
        return reply.value

    def _watch(self, connection: Connection, bounds: Bounds) -> None:
        """Waits for an answer or the child's end; kills a child that is past a bound."""
        deadline = None if bounds.seconds is None else self._began + bounds.seconds
        while not connection.poll(_pause(deadline, bounds)):
            if deadline is not None and time.monotonic() >= deadline:
                self._kill("timeout", f"ended after {bounds.seconds:g} s")
            if bounds.bytes is not None and resident(self._pid) - self._base > bounds.bytes:
                self._kill("oom", f"held more than {bounds.bytes} bytes")

    def _kill(self, status: str, detail: str) -> None:
        self.stop()
        raise self._death(status, detail)

    def _bury(self, who: str) -> None:
        """Says what a child that is gone died of."""
        self._drop()
        code = self._nursery.wait(self._pid)
        if code == -signal.SIGKILL:
            raise self._death("killed", f"{who} was killed from outside")
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"left with exit code {code}"
        raise self._death("crashed", f"{who} {how}")

    def _death(self, status: str, detail: str) -> ChildDied:
        return ChildDied(status, detail, time.monotonic() - self._began)

    def stop(self) -> None:
        """Ends the child at once."""
        if self._connection is not None:
            self._drop()
            os.kill(self._pid, signal.SIGKILL)
            self._nursery.wait(self._pid)

    def _drop(self) -> None:
        assert self._connection is not None
        self._connection.close()
        self._connection = None


def _pause(deadline: float | None, bounds: Bounds) -> float | None:
    """Seconds until there is something to look after, None where an answer is all that can come."""
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    if bounds.bytes is None:
        return left
    return TICK if left is None else min(TICK, left)


def resident(pid: int) -> int:
    """Bytes that a process holds in memory, 0 where it is gone. Some 10 us: /proc/PID/status costs ten times that."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            return PAGE * int(file.read().split()[1])
    except (OSError, IndexError):
        return 0


def without_launcher(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith(LAUNCHERS)}
