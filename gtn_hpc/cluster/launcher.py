"""Ranks end with their launcher: one that lived on would write into the run that was started in its place."""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

SLURM = b"SLURM_STEP_ID="
MARKS = (b"TORCHELASTIC_RUN_ID=", b"OMPI_COMM_WORLD_RANK=", b"PMI_RANK=", SLURM)
"""Variables by which a launcher marks the processes that it starts, in the order in which launchers are asked."""

FIRST = ("mpi", "prte", "orte", "hydra", "slurm", "srun", "torchrun", "python")
"""How commands begin that may start ranks while they are the first process of a container."""

PROC = Path("/proc")

LOOK = 1.0
"""Seconds between two looks at processes of whose end the kernel does not tell."""


def end_with_launcher() -> None:
    """From now on this process is killed when its launcher, or a process between them, ends in whatever way.

    The launcher is the nearest ancestor without the mark that this process carries (torchrun's agent, mpiexec or its
    daemon, slurmstepd). A process without a mark was started by a person, who may log out: it is left alone. One whose
    launcher has ended already, before it could look, ends at once. Linux only; elsewhere the next exchange finds the
    others missing.
    """
    if not sys.platform.startswith("linux"):
        return
    ancestors = list(_up_to_launcher())
    if ancestors and ancestors[-1] == 1 and _is_orphan():
        os.kill(os.getpid(), signal.SIGKILL)
    if ancestors:
        threading.Thread(target=_end_with, args=(ancestors,), daemon=True, name="end with launcher").start()


def _up_to_launcher() -> Iterator[int]:
    mark = _mark(os.getpid())
    pid = os.getppid()
    while mark is not None and pid > 0:
        yield pid
        if _mark(pid) != mark:
            return
        pid = _parent(pid)


def _is_orphan() -> bool:
    """Whether the first process, of the machine or of the container, has inherited this rank rather than started it.

    Slurm ends the processes of a step itself, those too that were detached on purpose. A first process with this rank's
    own mark is that of a container which the launcher started.
    """
    if _mark(os.getpid()) in (SLURM, _mark(1)):
        return False
    try:
        return not (PROC / "1" / "comm").read_text().startswith(FIRST)
    except OSError:
        return False


def _mark(pid: int) -> bytes | None:
    """The mark that `pid` was started with; None also for the processes of another user."""
    try:
        started_with = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    return next((mark for mark in MARKS if any(entry.startswith(mark) for entry in started_with)), None)


def _parent(pid: int) -> int:
    try:
        status = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return 0
    return int(status.rpartition(b")")[2].split()[1])


def _end_with(ancestors: list[int]) -> None:
    poller = select.poll()
    try:
        for pid in ancestors:
            poller.register(os.pidfd_open(pid), select.POLLIN)
        poller.poll()
    except ProcessLookupError:
        pass
    except OSError:  # an old kernel, or a container that forbids it
        while all(map(_lives, ancestors)):
            time.sleep(LOOK)
    os.kill(os.getpid(), signal.SIGKILL)


def _lives(pid: int) -> bool:
    try:
        status = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return False
    return status.rpartition(b")")[2].split()[0] not in (b"Z", b"X")
