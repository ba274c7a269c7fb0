"""From an exception to a short message and an exit code: users never see a traceback they did not ask for."""

import errno
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from gtn_hpc.cluster import mpi
from gtn_hpc.cluster.environment import detect_or_alone
from gtn_hpc.core.errors import GtnError, OutOfMemory, Requeue, RunError, StorageError, UsageError, headline

INTERRUPTED = 130
"""What shells give a program that Ctrl-C ended."""

SHARED = (UsageError, RunError, Requeue)
"""Errors that all ranks meet alike: one of them tells."""

EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "higher": "train",
    "tensorboard": "train",
    "mpi4py": "mpi",
    "submitit": "slurm",
    "gymnasium": "rl",
}
"""Packages that a plain install leaves out, and the extra that brings each."""


class Unexpected(Exception):
    """Carries an error that nobody foresaw to where it is told, with the directory for its traceback."""

    def __init__(self, error: Exception, directory: Path) -> None:
        super().__init__(str(error))
        self.error, self.directory = error, directory


@contextmanager
def crashes_go_to(directory: Path) -> Iterator[None]:
    """The traceback of an error that nobody foresaw is written to `directory`, where it exists."""
    try:
        yield
    except GtnError:
        raise
    except Exception as error:
        raise Unexpected(error, directory) from error


def exit_code_of(action: Callable[[], int], *, debug: bool) -> int:
    """Runs `action`; what it raises is told on stderr in a few lines, with the traceback if `debug`."""
    try:
        return action()
    except KeyboardInterrupt:
        return interrupted()
    except typer.TyperException as error:
        return _refuse_usage(error)
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _tell(error)


def interrupted() -> int:
    _write("Interrupted. What was saved stays: the same command goes on from there.", None)
    return INTERRUPTED


def _refuse_usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    command = "gtn" if context is None else context.command_path
    message = error.format_message().replace("Value error, ", "")
    if message.startswith("Usage:"):
        sys.stderr.write(message + "\n")
    else:
        _write(message, f"Usage and an example: {command} --help")
    return error.exit_code


def _tell(error: Exception) -> int:
    error, directory = (error.error, error.directory) if isinstance(error, Unexpected) else (error, None)
    known = error if isinstance(error, GtnError) else _explained(error) or _crash(error, directory)
    rank = detect_or_alone().rank
    if rank == 0 or not isinstance(known, SHARED):
        _write(known.what if rank == 0 else f"rank {rank}: {known.what}", known.remedy)
    if not isinstance(known, SHARED):
        mpi.abort(known.exit_code)
    return known.exit_code


def _explained(error: Exception) -> GtnError | None:
    """Foreign errors that users can mend."""
    if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
        extra = EXTRAS[error.name]
        return UsageError(
            f"This needs {error.name}, which is not installed.", remedy=f"Install it: pip install 'gtn_hpc[{extra}]'."
        )
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return OutOfMemory(
            f"There is no memory left: {str(error).splitlines()[0] if str(error) else 'the system refused more'}",
            remedy="Take a smaller teacher.curriculum.batch or fewer steps, or engine.name=trajectory.",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"There is no room left to write: {error}.", remedy="Make room, then start again.")
    return None


def _crash(error: Exception, directory: Path | None) -> GtnError:
    """Writes the traceback to a file, and names it."""
    name = f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    place = directory if directory is not None and directory.is_dir() else Path(tempfile.gettempdir())
    path = place / name
    try:
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError:
        return GtnError(headline(error), remedy="Start again with --debug to see where.")
    return GtnError(headline(error), remedy=f"This is a fault of the program. Where it happened: {path}")


def _write(what: str, remedy: str | None) -> None:
    sys.stderr.write(f"gtn: {what}\n" + (f"  {remedy}\n" if remedy else ""))
    sys.stderr.flush()
