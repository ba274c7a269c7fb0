"""Whose curriculum a search takes, and which inner optimiser a curriculum's file states."""

import json
from collections.abc import Mapping
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


def stated_inner(path: Path, attributes: Mapping[str, Any]) -> Inner | None:
    """The section `inner` in the attribute `optimiser` of the curriculum at `path`, None where it states none.

    Raises:
        StorageError: it is no such section.
    """
    try:
        stated = json.loads(attributes.get("optimiser", "{}"))
        return Inner.model_validate(stated) if stated else None
    except ValueError as error:
        raise StorageError(
            f"{path}: its attribute 'optimiser' is not a section inner as JSON: {' '.join(str(error).split())}",
            remedy='Export it again, or write it like {"optimiser": "sgd"}.',
        ) from error
