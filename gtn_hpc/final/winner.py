"""What is trained in the final stage, and what came of it. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gtn_hpc.config import Config
from gtn_hpc.config.searching import Space as SpaceSection
from gtn_hpc.core.errors import ConfigError
from gtn_hpc.core.records import Architecture, digest


@dataclass(frozen=True)
class Winner:
    """An architecture (canonical) to train, its place by estimate (from 1) and the estimate itself."""

    arch: Architecture
    place: int
    estimate: float


@dataclass(frozen=True)
class Trained:
    """One row of `/final`. Accuracies are fractions, NaN unless `status` is `ok`; `seconds` of training and judging.

    `val_accuracy` is that of `best_epoch` (counted from 1), chosen on validation; `test_accuracy` that of the same
    weights. `curve` holds the validation accuracy after each epoch, `recipe` the settings that it was trained with.
    """

    key: str
    arch: str
    place: int
    estimate: float
    val_accuracy: float
    test_accuracy: float
    status: str
    params: int
    flops: int
    epochs: int
    best_epoch: int
    seconds: float
    images: str
    recipe: Mapping[str, Any]
    curve: tuple[float, ...] = ()
    detail: str = ""

    @property
    def test_error(self) -> float:
        return 1.0 - self.test_accuracy


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
    data = config.data.model_dump(mode="json", exclude={"root", "augment"})
    recipe = config.final.recipe.model_dump(mode="json")
    space = space_of(config).model_dump(mode="json")
    return digest([arch.to_json(), run, data, recipe, config.final.epochs, space])[:32]
