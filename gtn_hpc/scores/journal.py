"""Journals: the truth. One file a process, one line a row; a row is on disk when `append` returns.

Several processes never share a journal: each holds an exclusive lock on its own, under a name that is never used again.
"""

import fcntl
import os
import re
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from gtn_hpc.core.atomic import fsync_directory
from gtn_hpc.core.environment import restarts
from gtn_hpc.core.errors import StorageError
from gtn_hpc.scores.lines import encode
from gtn_hpc.scores.rows import Row, to_plain


class Journal:
    """The journal of one process: `<directory>/<job>.<restart>.<random>.r<rank>.jsonl`; `restart` is Slurm's count.

    May be used from several threads. Cost of `append`: one write and one fsync, however many rows.
    """

    def __init__(self, directory: Path, job: str = "local", rank: int = 0, restart: int | None = None) -> None:
        self._lock = threading.Lock()
        self._end = 0
        self.path = new_path(directory, job, rank, restarts() if restart is None else restart)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._descriptor = _create(self.path)
            fsync_directory(directory)
        except OSError as error:
            raise StorageError(
                f"No journal can be made in {directory}: {error.strerror}.",
                remedy="Look for free space, write permission, and a file system that knows flock.",
            ) from error

    def append(self, rows: Sequence[Row]) -> None:
        """Writes the rows and waits until the disk has them. After an error none of them counts as written."""
        if not rows:
            return
        content = b"".join(encode(to_plain(row)) for row in rows)
        with self._lock:
            try:
                _write(self._descriptor, content, self._end)
                os.fsync(self._descriptor)
            except OSError as error:
                self._undo()
                raise StorageError(
                    f"{self.path} cannot be written: {error.strerror}.", remedy="Look for free space, then start again."
                ) from error
            self._end += len(content)

    def _undo(self) -> None:
        """A half-written group must not stay in front of the next one."""
        os.ftruncate(self._descriptor, self._end)

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def new_path(directory: Path, job: str, rank: int = 0, restart: int = 0) -> Path:
    """A name that no journal has had."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", job) or "local"
    return directory / f"{name}.{restart}.{uuid.uuid4().hex[:12]}.r{rank}.jsonl"


def _create(path: Path) -> int:
    """An empty file under an exclusive lock. It is locked before the first row, so a file with rows and without a
    lock is one whose writer is gone."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _write(descriptor: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def is_held(path: Path) -> bool:
    """Whether a living process writes to this journal."""
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
