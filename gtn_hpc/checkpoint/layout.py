"""Names inside a directory of checkpoints.

`step-000123/` holds `state.pt` and `manifest.json`. Names with a leading dot are unfinished or doomed and may be
removed at any time; `step-000123.replaced` is the older of two of one step, until the newer one stands.
"""

import re
import shutil
from pathlib import Path

from gtn_hpc.core.atomic import beside

STATE = "state.pt"
MANIFEST = "manifest.json"
KIND = "gtn_hpc checkpoint"
VERSION = 1

_NAME = re.compile(r"step-(\d+)(\.replaced)?")


def step_directory(directory: Path, step: int) -> Path:
    return directory / f"step-{step:06d}"


def step_of(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None, path
    return int(match[1])


def checkpoints(directory: Path) -> list[Path]:
    """Every checkpoint by its name, the newest first; whether it is whole only reading tells."""
    found = [path for path in directory.glob("step-*") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: (-step_of(path), path.name))


def remove(path: Path) -> None:
    """Hides the checkpoint at once, then removes it: nobody meets half of it."""
    hidden = beside(path)
    path.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def remove_leftovers(directory: Path) -> None:
    """What a killed save or removal left behind."""
    for path in directory.glob(".step-*.tmp"):
        shutil.rmtree(path, ignore_errors=True)
