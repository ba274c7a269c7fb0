"""What a child does: open its work once, then task after task, until its parent closes the connection."""

import os
import pickle
import resource
import sys
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

from gtn_hpc.core.errors import DeviceLost
from gtn_hpc.farm.pool import Work

AWAKE = 3e-4
"""Seconds that a child looks for its next task before it sleeps."""


@dataclass(frozen=True)
class Job:
    """The first message: the work, the worker's number, and bytes of memory that tasks may add to what is loaded."""

    work: Work[Any, Any]
    rank: int
    bytes: int | None


@dataclass(frozen=True)
class Reply:
    """To the first message (without value) and to every task: a value, or the error that was raised instead."""

    value: Any = None
    error: Exception | None = None

    @classmethod
    def unpacked(cls, content: bytes) -> "Reply":
        reply: Reply = pickle.loads(content)
        return reply


def serve(connection: Connection) -> None:
    """Returns when the parent has closed its end.

    Raises:
        DeviceLost: a task left this process without its device; what it did is to be done by another.
    """
    try:
        job: Job = connection.recv()
        with job.work.open(job.rank) as do:
            _limit(job.bytes)
            connection.send(Reply())
            while True:
                reply = reply_to(do, _next(connection))
                if isinstance(reply.error, DeviceLost):
                    raise reply.error
                connection.send_bytes(packed(reply))
    except EOFError:
        return
    except DeviceLost:
        raise
    except Exception as error:
        connection.send_bytes(packed(Reply(error=error)))


def _next(connection: Connection) -> Any:
    """The next task. It mostly comes at once, and a process that sleeps takes a while to wake."""
    end = perf_counter() + AWAKE
    while not connection.poll(0) and perf_counter() < end:
        os.sched_yield()
    return connection.recv()


def reply_to(do: Any, task: Any) -> Reply:
    try:
        return Reply(do(task))
    except Exception as error:
        error.add_note(traceback.format_exc())
        return Reply(error=error)


def packed(reply: Reply) -> bytes:
    """The reply as bytes that can be read again; what cannot be becomes an error in words."""
    try:
        content = pickle.dumps(reply)
        pickle.loads(content)
    except Exception:
        content = pickle.dumps(Reply(error=RuntimeError(f"{type(reply.error).__name__}: {reply.error}")))
    return content


def _limit(bytes_: int | None) -> None:
    """Past the limit an allocation fails (torch and numpy raise), before the machine is out of memory.

    Not where a GPU is in use: its driver maps far more than it fills.
    """
    if bytes_ is not None and not _on_gpu():
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (_data_bytes() + bytes_, hard))


def _on_gpu() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_initialized())


def _data_bytes() -> int:
    """What RLIMIT_DATA counts: data, heap and private writable mappings of this process (VmData)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmData:"))
