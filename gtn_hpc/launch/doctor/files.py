"""The file system of run directories: room, write, append, rename, locks, HDF5."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gtn_hpc import storage
from gtn_hpc.core import atomic
from gtn_hpc.core.errors import GtnError
from gtn_hpc.launch.doctor.finding import Finding

MIB = 1 << 20
NEEDED, WISHED = 1 * MIB, 1024 * MIB
"""Bytes: what is tried, and what a run should find free."""


def checks(root: Path) -> list[tuple[str, Callable[[], Finding]]]:
    """The checks of the file system that holds `root`; each tidies up."""
    return [
        ("write", lambda: write(root)),
        ("rename", lambda: rename(root)),
        ("append", lambda: append(root)),
        ("flock", lambda: flock(root)),
        ("hdf5", lambda: hdf5(root)),
    ]


def write(root: Path) -> Finding:
    """Whether a file can be written there, and whether there is room for a run."""
    try:
        with _probe(root) as place:
            (place / "zeros").write_bytes(bytes(NEEDED))
            with open(place / "zeros", "rb") as file:
                os.fsync(file.fileno())
    except OSError as error:
        remedy = (
            "Choose another place: run.root=DIRECTORY."
            if error.errno != 28
            else "Free some room, or run.root=DIRECTORY."
        )
        return Finding("write", "fail", f"{root} cannot be written: {error.strerror}", remedy)
    free = shutil.disk_usage(_existing(root)).free
    if free < WISHED:
        return Finding(
            "write", "warn", f"only {free // MIB} MiB are free in {root}", "Free some room, or run.root=DIRECTORY."
        )
    return Finding("write", "ok", f"{root}: {free // MIB // 1024} GiB free")


def rename(root: Path) -> Finding:
    """Whether a renamed file shows its new content at once: results and checkpoints appear so."""

    def act(place: Path) -> None:
        atomic.write_text(place / "file", "before")
        atomic.write_text(place / "file", "after")
        if (place / "file").read_text() != "after":
            raise OSError("a renamed file shows its old content")

    return _tried("rename", root, act, "files take each other's place whole")


def append(root: Path) -> Finding:
    """Whether two that append to one file keep each other's lines."""

    def act(place: Path) -> None:
        files = [open(place / "file", "ab", buffering=0) for _ in range(2)]
        for line in (b"one\n", b"two\n", b"three\n"):
            for file in files:
                file.write(line)
                os.fsync(file.fileno())
        for file in files:
            file.close()
        if len((place / "file").read_bytes().splitlines()) != 6:
            raise OSError("lines that two processes append overwrite each other")

    return _tried("append", root, act, "what is appended stays")


def flock(root: Path) -> Finding:
    """Whether a lock keeps a second holder out: journals, folds and runs are guarded so."""

    def act(place: Path) -> None:
        with open(place / "lock", "ab") as first, open(place / "lock", "ab") as second:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            raise OSError("two hold one lock")

    remedy = "Ask the site to mount with locks (Lustre: -o flock), or take another file system: run.root=DIRECTORY."
    return _tried("flock", root, act, "one holds a lock at a time", remedy)


def hdf5(root: Path) -> Finding:
    """Whether HDF5 writes a file there and reads it again."""

    def act(place: Path) -> None:
        column = storage.Column(np.arange(3.0), unit="1", description="a probe")
        schema = storage.Schema("probe", 1)
        storage.write(place / "probe.h5", {"table": {"value": column}}, schema=schema)
        if storage.read(place / "probe.h5", "table")["value"].tolist() != [0.0, 1.0, 2.0]:
            raise OSError("values come back changed")

    return _tried("hdf5", root, act, "files are written and read")


def _tried(check: str, root: Path, act: Callable[[Path], None], well: str, remedy: str = "") -> Finding:
    try:
        with _probe(root) as place:
            act(place)
    except (OSError, GtnError) as error:
        said = error.what if isinstance(error, GtnError) else error.strerror or str(error)
        return Finding(check, "fail", f"in {root}: {said}", remedy or "Choose another file system: run.root=DIRECTORY.")
    return Finding(check, "ok", well)


@contextmanager
def _probe(root: Path) -> Iterator[Path]:
    """A directory of our own on the file system that `root` is or will be on."""
    with tempfile.TemporaryDirectory(prefix=".gtn-doctor-", dir=_existing(root), ignore_cleanup_errors=True) as name:
        yield Path(name)


def _existing(root: Path) -> Path:
    return next(path for path in (root.absolute(), *root.absolute().parents) if path.is_dir())
