"""The process that children are forked from: `python -m gtn_hpc.farm.nursery PARENT SOCKET MODULE ...`.

It has imported what children need (torch takes seconds, a fork none), holds no threads and no MPI, and dies with its
parent; children die with it. Requests come over the socket: `fork` with a child's end of a connection, answered by the
child's process id; `wait` for a child that is dead or dying, answered by its exit code (negative: the signal).
"""

import importlib
import os
import pickle
import signal
import socket
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from gtn_hpc.farm.kinship import die_with
from gtn_hpc.farm.serving import serve

REQUEST_BYTES = 4096

WARNINGS = (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)
"""Launchers and terminals send them to every process; what they mean is decided above us, and children end by KILL."""


def main(arguments: Sequence[str]) -> None:
    die_with(int(arguments[0]))
    for number in WARNINGS:
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=int(arguments[1]))
    sys.modules["mpi4py"] = None  # type: ignore[assignment]  # an import would kill the rank, so it is refused
    for module in arguments[2:]:
        importlib.import_module(module)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, REQUEST_BYTES, 1)
        if not message:
            return
        request: tuple[str, int] = pickle.loads(message)
        if request[0] == "fork":
            _fork(control, descriptors[0])
        else:
            _, status = os.waitpid(request[1], 0)
            _answer(control, os.waitstatus_to_exitcode(status))


def _fork(control: socket.socket, descriptor: int) -> None:
    own = os.getpid()
    child = os.fork()
    if child:
        os.close(descriptor)
        _answer(control, child)
        return
    code = 1
    try:
        die_with(own)
        control.close()
        with Connection(descriptor) as connection:
            serve(connection)
        code = 0
    finally:
        os._exit(code)


def _answer(control: socket.socket, value: Any) -> None:
    control.sendall(pickle.dumps(value))


if __name__ == "__main__":
    main(sys.argv[1:])
