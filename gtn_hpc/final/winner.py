"""What is trained in the final stage, and how it is named. Imports no torch."""

from dataclasses import dataclass
from typing import Any

from gtn_hpc.config import Config
from gtn_hpc.config.searching import Space as SpaceSection
from gtn_hpc.core.errors import ConfigError
from gtn_hpc.core.records import Architecture, digest

RISING = "rising"
"""The probability of drop-path over the epochs, where there is one: up to the recipe's."""


@dataclass(frozen=True)
class Winner:
    """An architecture (canonical) to train, its place by estimate (from 1) and the estimate itself."""

    arch: Architecture
    place: int
    estimate: float


@dataclass(frozen=True)
class Progress:
    """A training that is not at its end: epochs done, all of them in a checkpoint, and the last one's accuracy."""

    epochs: int
    accuracy: float


def space_of(config: Config) -> SpaceSection:
    """The searched space at the N and F of the final networks.

    Raises:
        ConfigError: N or F are given for a space whose networks have none.
    """
    recipe, space = config.final.recipe, config.search.space
    changes = {"cells": recipe.cells, "filters": recipe.filters}
    changes = {name: value for name, value in changes.items() if value is not None}
    for name in changes:
        if not hasattr(space, name):
            raise ConfigError(
                f"final.recipe.{name} is set, but networks of space {space.name} have none.",
                remedy="Leave it empty, or search a space of cells (nao_cell, nasbench201).",
            )
    return space.model_copy(update=changes)


def key_of(config: Config, arch: Architecture) -> str:
    """32 hex digits that name all that a final training depends on."""
    run = {"seed": config.run.seed, "threads": config.run.threads, "precision": config.run.precision}
    data = config.data.identity
    space = space_of(config).model_dump(mode="json")
    return digest([arch.to_json(), run, data, _recipe(config), config.final.epochs, space])[:32]


def recipe_of(config: Config) -> str:
    """The recipe in a line: `sgd lr=0.025 momentum=0.9 ...`, without what is off."""
    return " ".join(["sgd cosine", *(f"{name}={value}" for name, value in _recipe(config).items() if value)])


def _recipe(config: Config) -> dict[str, Any]:
    """As JSON, with what a setting stands for where an earlier release took it otherwise."""
    settings = config.final.recipe.model_dump(mode="json")
    return settings | ({"drop_path": f"{settings['drop_path']},{RISING}"} if settings["drop_path"] else {})
