"""What a search's evaluations have in common, as a record that can be sent to another process. Imports no torch."""

import math
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gtn_hpc.config import Config
from gtn_hpc.config.searching import SuccessiveHalving
from gtn_hpc.config.teaching import Inner
from gtn_hpc.core.errors import ConfigError
from gtn_hpc.core.records import Score
from gtn_hpc.curriculum.parts import Units
from gtn_hpc.spaces import Space, make_space
from gtn_hpc.training.header import Header
from gtn_hpc.training.request import Identity, Request


@dataclass(frozen=True)
class Setting:
    """The configuration, and the curriculum: its file and what stands at its head.

    `states` is the directory of learners that may be taught on (successive halving), None where none will be.
    """

    config: Config
    curriculum: Path
    header: Header
    states: Path | None = None

    @property
    def digest(self) -> str:
        return self.header.digest

    @property
    def inner(self) -> Inner:
        return self.header.inner

    @property
    def last_step(self) -> int:
        """Inner steps of a full training."""
        return self.config.search.steps or self.header.steps

    @property
    def foreign_units(self) -> Units | None:
        """The units that the curriculum states, None where it states none, or was taught on the training images of this
        very split, whose units it then has.

        The images themselves, which would tell whether the units are theirs, are not at hand where keys are made.
        """
        own = self.header.split == self.config.data.training_split(self.config.run.seed)
        return None if own or not any(self.header.units) else self.header.units

    def require_steps(self) -> None:
        """Passes where the steps that the search names lie within those of a full training.

        Raises:
            ConfigError: `search.steps`, `search.score_at` or the lowest rung of halving lies beyond.
        """
        section, there = self.config.search, f"the curriculum {self.curriculum} has {self.header.steps} steps"
        if self.last_step > self.header.steps:
            raise ConfigError(
                f"search.steps is {self.last_step}, but {there}.",
                remedy=f"Give at most {self.header.steps}, or leave it empty for the whole curriculum.",
            )
        algorithm = section.algorithm
        if isinstance(algorithm, SuccessiveHalving) and algorithm.first > self.last_step:
            raise ConfigError(
                f"search.algorithm.first is {algorithm.first}, but a full training has {self.last_step} inner steps.",
                remedy=f"Halving begins with fewer steps than {self.last_step}: give a smaller search.algorithm.first.",
            )
        last = max(section.score_at, default=0)
        if last > self.last_step and section.certificate.policy != "lengthen":
            shorter = "" if section.steps is None else f" and search.steps is {section.steps}"
            raise ConfigError(
                f"search.score_at names step {last}, but {there}{shorter}.",
                remedy=f"Name steps up to {self.last_step}; those of training on real data are named by "
                "search.certificate.score_at.",
            )

    @cached_property
    def identity(self) -> Identity:
        return Identity.of(self.config, self.digest, self.inner.model_dump(mode="json"), self.foreign_units)

    @cached_property
    def space(self) -> Space:
        """For the curriculum's images and classes, which are those of the image set."""
        return make_space(self.config.search.space, self.header.image, self.header.classes)

    def blank(self, request: Request) -> Score:
        """The row of `request` before anything is known but the network's size."""
        arch = request.arch
        return Score(
            key=self.identity.key(request),
            arch=arch.digest,
            fidelity=request.fidelity,
            replica=request.replica,
            val_accuracy=math.nan,
            val_loss=math.nan,
            status="error",
            seconds=0.0,
            peak_bytes=0,
            params=self.space.params(arch),
            flops=self.space.flops(arch),
            parent=request.parent,
            ask=request.ask,
            time=time.time(),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}
