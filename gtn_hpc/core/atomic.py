"""Files and folders that are there whole or not at all: written beside, fsynced, renamed, directory fsynced."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def fsync_directory(path: Path) -> None:
    """Returns when the names in it are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def beside(path: Path) -> Path:
    """A fresh hidden name next to `path`."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def write_new(path: Path, content: bytes) -> None:
    """A new file, which is on the disk when this returns."""
    with open(path, "xb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a name beside `path` to write to; on success the file takes its place, on an error nothing changes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = beside(path)
    try:
        yield hidden
        with open(hidden, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(hidden, path)
        fsync_directory(path.parent)
    finally:
        hidden.unlink(missing_ok=True)


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Yields a folder beside `path` to fill; on success it takes that name, on an error it goes and nothing is there.

    Raises OSError where `path` is there and is not an empty folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = beside(path)
    hidden.mkdir()
    try:
        yield hidden
        os.rename(hidden, path)
        fsync_directory(path.parent)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """As UTF-8, whole or not at all."""
    with replacing(path) as hidden:
        hidden.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Indented, keys sorted, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")
