"""Whose curriculum a search takes, and what a curriculum's file states beside its values."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gtn_hpc.config.schema import Config
from gtn_hpc.config.teaching import Inner
from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.rundir import RunDirectory


def curriculum_path(config: Config, run: RunDirectory) -> Path:
    """The file that architectures of `run` are taught with, there or not: `search.curriculum`, else the run's own."""
    named = config.search.curriculum
    return run.curriculum if named is None else Path(named)


def require_file(path: Path) -> None:
    """Passes where there is something at `path` that could be a curriculum file.

    Raises:
        StorageError: there is nothing, or a directory.
    """
    if path.is_dir():
        inside = RunDirectory(path).curriculum
        raise StorageError(
            f"{path} is a directory, not a curriculum file.",
            remedy=f"Name the file in it: {inside}"
            if inside.is_file()
            else "It has no curriculum.h5: name a file that gtn train or gtn export has written.",
        )
    if not path.exists():
        raise StorageError(f"There is no file {path}.", remedy="Look at the path; gtn train or gtn export writes it.")


def stated_inner(path: Path, attributes: Mapping[str, Any]) -> Inner | None:
    """The section `inner` in the attribute `optimiser` of the curriculum at `path`, None where it states none.

    Raises:
        StorageError: it is no such section.
    """
    try:
        stated = json.loads(attributes.get("optimiser", "{}"))
        return Inner.model_validate(stated) if stated else None
    except (ValueError, TypeError) as error:
        raise StorageError(
            f"{path}: its attribute 'optimiser' is not a section inner as JSON: {' '.join(str(error).split())}",
            remedy='Export it again, or write it like {"optimiser": "sgd"}.',
        ) from error


def stated_cycle(path: Path, attributes: Mapping[str, Any], steps: int) -> int:
    """On how many batches the shuffled order of the curriculum at `path` draws: all T where it states no `cycle`.

    Raises:
        StorageError: it is no number of batches that the curriculum has.
    """
    cycle = attributes.get("cycle")
    if cycle is None:
        return steps
    if not isinstance(cycle, int) or not 1 <= cycle <= steps:
        raise StorageError(
            f"{path}: its attribute 'cycle' is {cycle!r}.", remedy=f"Valid: 1 to {steps}, or no such attribute."
        )
    return steps if attributes.get("order") == "fixed" else cycle


def digest_head(order: object, cycle: int, x: Sequence[int], y: Sequence[int]) -> bytes:
    """What the digest of a curriculum covers before its values; `x` and `y` are shapes."""
    own = "" if cycle == x[0] else f"/{cycle}"
    return f"{order}{own}/{list(x)}/{list(y)}".encode()
