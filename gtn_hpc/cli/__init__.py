"""The command line, `gtn`: each command builds its objects and calls one loop. Starting it imports no torch."""

import os
import sys
from collections.abc import Sequence

from gtn_hpc.cli.streams import outlast_readers
from gtn_hpc.cluster.launcher import end_with_launcher

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0 done, 1 error, 2 usage or config, 75 wants a requeue.

    As a program (without `arguments`) it goes on when nobody reads what it prints. It leaves at once where Ctrl-C ended
    the command: threads of libraries that were interrupted in the middle of a call have kept processes from their end.
    """
    if arguments is None:
        outlast_readers()
    end_with_launcher()
    from gtn_hpc.cli.app import run  # takes a second, in which a launcher may die
    from gtn_hpc.cli.failing import INTERRUPTED

    code = run(arguments)
    if arguments is None and code == INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
