"""Judging a curriculum file that teaches policies, and writing it anew."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gtn_hpc.config import Config
from gtn_hpc.curriculum.file import CurriculumFile
from gtn_hpc.curriculum.fitting import require_fit
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.environments import Scale
from gtn_hpc.meta.arena import Arena, enter_arena
from gtn_hpc.meta.judge import rounded_to, with_optimiser
from gtn_hpc.meta.policy import Units
from gtn_hpc.meta.pupil import Tell, nobody
from gtn_hpc.meta.returns import Returns, read_returns


def judge_policies(
    taught: CurriculumFile, config: Config, device: torch.device, *, policies: int, tell: Tell = nobody
) -> Returns:
    """Fresh policies of `config` on the curriculum, in its own units of observations, beside the untaught ones; `tell`
    hears of the rollouts done.

    Raises:
        DataError: the environment of `config` is another one than the curriculum's.
    """
    section = config.evaluate.model_copy(update={"learners": policies})
    arena, frozen = _arena(taught, config.model_copy(update={"evaluate": section}), device)
    return arena.evaluate(frozen, tell)


def reencode_policies(
    taught: CurriculumFile, config: Config, path: Path, dtype: str, device: torch.device, passes: int = 1
) -> None:
    """As `reencode`: the returns stored are those of what is written."""
    arena, frozen = _arena(taught, config, device)
    rounded, before = rounded_to(dtype, frozen).repeated(passes), read_returns(taught.path)
    arena.export(path, rounded, None if before is None else arena.evaluate(rounded), dtype)


def _arena(taught: CurriculumFile, config: Config, device: torch.device) -> tuple[Arena, Frozen]:
    """Where the curriculum's policies play, and the curriculum there."""
    torch.set_num_threads(config.run.threads)
    config = with_optimiser(config, taught)
    assert config.rl is not None
    arena = enter_arena(config, config.rl, device)
    require_fit(taught, arena.shape, arena.classes, config.rl.environment)
    told = taught.description
    units = Units.of(Scale(np.array(told.mean), np.array(told.std)), arena.dtype, device)
    return replace(arena, units=units), taught.frozen.to(device, arena.dtype)
