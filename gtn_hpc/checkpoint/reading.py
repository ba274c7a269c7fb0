"""Checkpoints read back: checked against their manifest, and never unpickled beyond plain tensors."""

import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from gtn_hpc.checkpoint.layout import KIND, MANIFEST, STATE, VERSION, checkpoints, step_of
from gtn_hpc.core.errors import CheckpointError
from gtn_hpc.core.records import digest

REMEDY = "Remove this directory: the checkpoint before it will be taken."


class Damaged(CheckpointError):
    """Not what was written; the checkpoint before it may still be whole."""


class Unreadable(CheckpointError):
    """The system does not give it out, which says nothing of what it holds."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A checkpoint in memory: nested `tensors` on the CPU as they were saved, and the `meta` of its manifest."""

    path: Path
    step: int
    tensors: dict[str, Any]
    meta: dict[str, Any]


def load(path: Path) -> Loaded:
    """Reads one `step-*` directory. Raises CheckpointError where it is missing, damaged or of another schema."""
    manifest = _manifest(path)
    content = _read(path / STATE)
    found, recorded = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}, manifest["files"][STATE]
    if found != recorded:
        sizes = f"{found['bytes']} bytes, written were {recorded['bytes']}"
        raise Damaged(f"{path / STATE}: damaged ({sizes}; the SHA-256 differs)", remedy=REMEDY)
    try:
        tensors = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path / STATE}: {error}", remedy="Was it written by a newer torch?") from None
    return Loaded(path, manifest["step"], tensors, manifest["meta"])


def latest(directory: Path, report: Callable[[str], None] | None = None, every: int = 1) -> Loaded | None:
    """The newest whole checkpoint, or None. Each damaged one on the way is told to `report` in a sentence.

    With `every` only steps that are multiples of it count. Raises CheckpointError where one cannot be read or is of
    another schema: what is older must not take its place.
    """
    for path in checkpoints(directory):
        if step_of(path) % every:
            continue
        try:
            return load(path)
        except Damaged as error:
            if report is not None:
                report(f"{error.what}; the checkpoint before it is taken")
    return None


def is_damaged(path: Path) -> bool:
    """Whether it was read and is not what was written."""
    try:
        load(path)
    except CheckpointError as error:
        return isinstance(error, Damaged)
    return False


def _manifest(path: Path) -> dict[str, Any]:
    if not _is_directory(path):
        raise Damaged(f"{path}: there is no such checkpoint", remedy="Name a step-* directory.")
    try:
        manifest = json.loads(_read(path / MANIFEST))
        check = manifest.pop("check")
        whole = check == digest(manifest)
    except (ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise Damaged(f"{path / MANIFEST}: damaged", remedy=REMEDY)
    schema: dict[str, Any] = manifest["schema"]
    if schema != {"kind": KIND, "version": VERSION}:
        raise CheckpointError(
            f"{path}: {schema['kind']} of version {schema['version']}, this program reads {KIND} {VERSION}",
            remedy="Continue with the program's version that wrote it, or start a run of another name.",
        )
    return manifest


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Damaged(f"{path}: {error.strerror}", remedy=REMEDY) from None
    except OSError as error:
        raise _unreadable(path, error) from error


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> Unreadable:
    return Unreadable(
        f"{path} cannot be read: {error.strerror}",
        remedy="Mend its permissions or wait for the file system, then start again; nothing was removed.",
    )
