"""Whose curriculum a search takes."""

from pathlib import Path

from gtn_hpc.config.schema import Config
from gtn_hpc.core.rundir import RunDirectory


def curriculum_path(config: Config, run: RunDirectory) -> Path:
    """The file that architectures of `run` are taught with, there or not: `search.curriculum`, else the run's own."""
    named = config.search.curriculum
    return run.curriculum if named is None else Path(named)
