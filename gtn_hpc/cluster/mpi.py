"""The few words that processes started by mpiexec say over MPI itself. Needs no torch; imports mpi4py when called."""

import sys
import time
from typing import Any, TypeVar

from gtn_hpc.core.errors import ClusterError

Value = TypeVar("Value")

TICK = 0.005
"""Seconds between two looks at whether all ranks have come."""

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


def executor(expected: int) -> Any:
    """A context manager: on rank 0 a `concurrent.futures.Executor` over the other ranks.

    On those it gives None, once rank 0 has left its own; until then they do what they are sent, in their main thread.
    """
    communicator = world(expected)
    from mpi4py.futures import MPICommExecutor

    return MPICommExecutor(communicator, root=0)


def abort(code: int) -> None:
    """Ends all ranks of a started MPI at once, also those that hang; without MPI it does nothing.

    A rank that simply exits would wait in MPI's finalisation for those that hang.
    """
    module = sys.modules.get("mpi4py.MPI")
    if module is not None and module.Is_initialized() and not module.Is_finalized():
        sys.stdout.flush()
        sys.stderr.flush()
        module.COMM_WORLD.Abort(code)
