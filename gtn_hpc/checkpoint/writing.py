"""Checkpoints written beside, fsynced and renamed into place; the manifest, with the sums, comes last."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from gtn_hpc.checkpoint.layout import (
    KIND,
    MANIFEST,
    STATE,
    VERSION,
    checkpoints,
    remove,
    remove_leftovers,
    step_directory,
    step_of,
)
from gtn_hpc.checkpoint.reading import is_damaged
from gtn_hpc.core.atomic import beside, fsync_directory, write_new
from gtn_hpc.core.errors import CheckpointError
from gtn_hpc.core.records import digest

PLAIN = (bool, int, float, str, bytes, type(None))


def save(directory: Path, step: int, tensors: Mapping[str, Any], meta: Mapping[str, Any], keep: int) -> Path:
    """Writes `step-<step>/` and returns its path; then only the newest `keep` remain.

    `tensors`: nested mappings, lists and tuples of tensors (any device; kept on the CPU) and plain values. `meta`: JSON
    values, without NaN. One process may save to a `directory` at a time. Costs three copies of the state in memory.
    Killed at any moment it leaves the old checkpoints or the new one; on a full disk it raises CheckpointError and the
    old ones stay.
    """
    return write(directory, step, copied(tensors), meta, keep)


def write(
    directory: Path, step: int, copy: Mapping[str, Any], meta: Mapping[str, Any], keep: int, every: int = 1
) -> Path:
    """The part of `save` that needs no device: `copy` is what `copied` gave.

    The newest of the steps that are multiples of `every` remains beside the newest `keep`.
    """
    files = _files(step, copy, meta)
    final = step_directory(directory, step)
    hidden = beside(final)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        remove_leftovers(directory)
        hidden.mkdir()
        for name, content in files.items():
            write_new(hidden / name, content)
        fsync_directory(hidden)
        _put(hidden, final)
        _retain(final, keep, every)
    except OSError as error:
        raise CheckpointError(
            f"checkpoint of step {step} could not be written to {directory}: {error.strerror}",
            remedy="Make room or mend the permissions there; earlier checkpoints are untouched, so the run can resume.",
        ) from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return final


def remove_after(directory: Path, step: int) -> None:
    """Removes every checkpoint of a later step, as a run wants that goes back to `step`."""
    for path in checkpoints(directory):
        if step_of(path) > step:
            remove(path)


def copied(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """A copy on the CPU that `weights_only` loading accepts: what cannot be read back is refused."""
    return {key: _plain(value, f"tensors[{key!r}]") for key, value in tensors.items()}


def _files(step: int, copy: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, bytes]:
    buffer = BytesIO()
    torch.save(dict(copy), buffer)
    state = buffer.getvalue()
    manifest = {
        "schema": {"kind": KIND, "version": VERSION},
        "step": step,
        "files": {STATE: {"bytes": len(state), "sha256": hashlib.sha256(state).hexdigest()}},
        "meta": json.loads(json.dumps(meta, allow_nan=False)),
        "torch": torch.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps({**manifest, "check": digest(manifest)}, indent=2, sort_keys=True)
    return {STATE: state, MANIFEST: f"{text}\n".encode()}


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _plain(entry, f"{where}[{key!r}]") for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        entries = [_plain(entry, f"{where}[{i}]") for i, entry in enumerate(value)]
        return tuple(entries) if isinstance(value, tuple) else entries
    if type(value) in PLAIN:
        return value
    raise CheckpointError(
        f"{where} is a {type(value).__name__}, which a checkpoint does not hold",
        remedy="Give tensors, numbers, strings, and mappings, lists and tuples of them.",
    )


def _put(hidden: Path, final: Path) -> None:
    if final.exists():
        replaced = final.with_name(f"{final.name}.replaced")
        if replaced.exists():
            remove(replaced)
        final.rename(replaced)
    hidden.rename(final)
    fsync_directory(final.parent)


def _newest_regular(paths: Iterable[Path], every: int) -> Path | None:
    return next((path for path in paths if step_of(path) % every == 0 and not is_damaged(path)), None)


def _retain(newest: Path, keep: int, every: int) -> None:
    """Keeps `newest`, the `keep` - 1 before it, and the newest multiple of `every` that is whole.

    Later ones can only be damaged, else the run had begun there or removed them. What cannot be read stays.
    """
    others = [path for path in checkpoints(newest.parent) if path != newest]
    earlier = [path for path in others if step_of(path) < step_of(newest)]
    same_or_later = [path for path in others if step_of(path) >= step_of(newest)]
    stale = [path for path in same_or_later if step_of(path) == step_of(newest) or is_damaged(path)]
    regular = newest if step_of(newest) % every == 0 else _newest_regular(earlier, every)
    for path in [*earlier[keep - 1 :], *stale]:
        if path != regular:
            remove(path)
