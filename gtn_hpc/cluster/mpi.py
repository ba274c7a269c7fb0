"""The few words that processes started by mpiexec say over MPI itself. Needs no torch; imports mpi4py when called."""

import sys
import time
from typing import Any, TypeVar

from gtn_hpc.core.errors import ClusterError

Value = TypeVar("Value")

TICK = 0.005
"""Seconds between two looks at whether all ranks have come."""

TAG = 5
"""Of messages between a pool and its workers."""

REMEDY = "Install mpi4py for the MPI whose mpiexec starts the run (`gtn doctor` tries it), or start with torchrun."


def world(expected: int) -> Any:
    """MPI.COMM_WORLD, held against the number of processes that the launcher told.

    Raises:
        ClusterError: there is no mpi4py, it finds no MPI library, or it belongs to another MPI than the launcher.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ClusterError(f"mpi4py cannot be used: {error}.", remedy=REMEDY) from error
    if MPI.COMM_WORLD.Get_size() != expected:
        raise ClusterError(
            f"The launcher started {expected} processes, but mpi4py sees {MPI.COMM_WORLD.Get_size()}: "
            "it was built for another MPI.",
            remedy=REMEDY,
        )
    return MPI.COMM_WORLD


def broadcast(value: Value, expected: int) -> Value:
    """The `value` of rank 0 on every one of the `expected` ranks."""
    received: Value = world(expected).bcast(value, root=0)
    return received


def gather_everywhere(value: Value, expected: int) -> list[Value]:
    """The value of each of the `expected` ranks, in order of rank, on all of them."""
    communicator = world(expected)
    _meet(communicator)
    gathered: list[Value] = communicator.allgather(value)
    return gathered


def _meet(communicator: Any) -> None:
    """Waits for the other ranks, which may load for minutes, without the busy waiting of MPI's own calls."""
    request = communicator.Ibarrier()
    while not request.Test():
        time.sleep(TICK)


class Nap:
    """Waits between two looks: not at all at first, then twice as long each time, at most a millisecond."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self) -> None:
        time.sleep(self._next)
        self._next = min(1e-3, max(1e-6, 2 * self._next))

    def reset(self) -> None:
        self._next = 0.0


class Post:
    """Pickled messages between ranks, without the busy waiting of MPI's own calls. One thread of a rank at a time.

    Raises:
        ClusterError: MPI was started for the main thread only.
    """

    def __init__(self, expected: int) -> None:
        self._communicator = world(expected)
        from mpi4py import MPI

        if MPI.Query_thread() < MPI.THREAD_SERIALIZED:
            raise ClusterError("This MPI allows one thread only.", remedy="Unset MPI4PY_RC_THREADS and start again.")
        self._any, self._status, self._sent = MPI.ANY_SOURCE, MPI.Status(), list[Any]()

    def send(self, value: Any, rank: int) -> None:
        """Returns at once, also where `rank` is busy and the message large."""
        self._sent = [request for request in self._sent if not request.Test()]
        self._sent.append(self._communicator.isend(value, rank, TAG))

    def look(self) -> tuple[int, Any] | None:
        """The rank and message that came first, or None where none is there."""
        message = self._communicator.improbe(self._any, TAG, self._status)
        return None if message is None else (self._status.Get_source(), message.recv())

    def wait(self) -> Any:
        """The next message."""
        nap = Nap()
        while (found := self.look()) is None:
            nap()
        return found[1]

    def flush(self) -> None:
        """Returns when all that was sent has left."""
        nap = Nap()
        while not all(request.Test() for request in self._sent):
            nap()


def abort(code: int) -> None:
    """Ends all ranks of a started MPI at once, also those that hang; without MPI it does nothing.

    A rank that simply exits would wait in MPI's finalisation for those that hang.
    """
    module = sys.modules.get("mpi4py.MPI")
    if module is not None and module.Is_initialized() and not module.Is_finalized():
        sys.stdout.flush()
        sys.stderr.flush()
        module.COMM_WORLD.Abort(code)
