"""One process at a time: two at the same work would overwrite each other's files."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gtn_hpc.core.errors import RunError

LOOK = 0.2
"""Seconds between two looks whether the other has ended."""

PATIENCE = 10.0
"""Seconds that the ranks of a launcher which was killed may take to notice it, before a new start is refused."""


def open_lock(path: Path) -> IO[str]:
    """The lock file `path`, made if need be, to be read and added to.

    Raises:
        RunError: it cannot be opened.
    """
    try:
        return open(path, "a+")
    except OSError as error:
        raise RunError(
            f"{path} cannot be opened: {error.strerror}.",
            remedy="Mend its permissions; where the run is somebody else's, take another run.name or run.root.",
        ) from error


@contextmanager
def sole(path: Path, doing: str, *, patience: float = 0.0, required: bool = True) -> Iterator[None]:
    """Holds the lock file `path`, which names this process; the system releases it however the process ends.

    `doing` completes the sentence "Another process is ...". One that is about to end is waited for `patience` seconds.
    The file stays. Processes on other hosts count where the file system's locks reach them; one without locks is none
    but where they are `required`.

    Raises:
        RunError: another living process holds it, it cannot be opened, or the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_lock(path) as file:
        try:
            _lock(file, time.monotonic() + patience)
        except BlockingIOError as error:
            raise RunError(
                f"Another process is {doing}: {_holder(path)}.",
                remedy="Wait for it, or end it.",
            ) from error
        except OSError as error:
            if required:
                raise unlockable(path, error) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def unlockable(path: Path, error: OSError) -> RunError:
    """What is told where the file system of `path` has no locks."""
    return RunError(
        f"{path} cannot be locked: {error.strerror}.",
        remedy="Ask the site to mount with locks (Lustre: -o flock), or take another file system: run.root=DIRECTORY.",
    )


def _lock(file: IO[str], until: float) -> None:
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
            time.sleep(LOOK)


def _holder(path: Path) -> str:
    return path.read_text().strip() or "it has not said which"
