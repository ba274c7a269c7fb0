"""The command line, `gtn`: each command builds its objects and calls one loop. Starting it imports no torch."""

from gtn_hpc.cli.app import main

__all__ = ["main"]
