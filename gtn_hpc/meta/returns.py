"""Returns of never-seen policies, taught and untaught, and how a curriculum file tells them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_hpc import storage
from gtn_hpc.config import Config, dump
from gtn_hpc.curriculum import file
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.curriculum.parts import SCHEMA
from gtn_hpc.storage import Column

ARMS = {
    "taught": "taught by this curriculum",
    "untaught": "the same policies, without a step",
    "untrained": "the same policies, by a random teacher's batch at the same rate",
}

Sums = NDArray[np.float64]
"""[policies, horizons, episodes]: the sum of rewards of an episode within a horizon."""


@dataclass(frozen=True)
class Returns:
    """Returns by arm of `ARMS`; episodes end at the horizons [steps] at the latest."""

    horizons: tuple[int, ...]
    arms: dict[str, Sums]

    @property
    def summary(self) -> dict[str, Any]:
        """Mean return of taught policies within the longest horizon."""
        return {"mean_return": float(self.arms["taught"][:, -1].mean())}


def export(
    path: Path, config: Config, description: file.Description, frozen: Frozen, found: Returns | None, dtype: str
) -> None:
    """Writes `frozen` to `path` with its description and the returns."""
    columns, attributes = ({}, {}) if found is None else _told(found)
    file.write(path, frozen, description, config=dump(config), dtype=dtype, evaluation=columns, attributes=attributes)


def read_returns(path: Path) -> Returns | None:
    """What `export` wrote; None where no policy was judged."""
    with storage.open_file(path, SCHEMA) as opened:
        if "evaluation" not in opened.groups:
            return None
        columns = opened.read("evaluation", [f"returns_{arm}" for arm in ARMS])
        horizons = np.atleast_1d(opened.attributes["horizons"])
    return Returns(tuple(map(int, horizons)), {arm: columns[f"returns_{arm}"] for arm in ARMS})


def _told(found: Returns) -> tuple[dict[str, Column], dict[str, Any]]:
    dims = ("policy", "horizon", "episode")
    columns = {
        f"returns_{arm}": Column(sums, "1", f"return within each horizon, {ARMS[arm]}", dims)
        for arm, sums in found.arms.items()
    }
    return columns, {"horizons": list(found.horizons), **found.summary}
