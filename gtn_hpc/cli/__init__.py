"""The command line, `gtn`: each command builds its objects and calls one loop. Starting it imports no torch."""

from collections.abc import Sequence

from gtn_hpc.cluster.launcher import end_with_launcher

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0 done, 1 error, 2 usage or config, 75 wants a requeue."""
    end_with_launcher()
    from gtn_hpc.cli.app import run  # takes a second, in which a launcher may die

    return run(arguments)
