"""The curriculum file: the only thing that passes from meta-training to the search.

HDF5 root: `x [T,B,C,H,W]`, `y [T,B,K]`, `lr [T]`, `momentum [T]`; group `evaluation` holds measured accuracies. Any
distilled data set in this form can be the teacher.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gtn_hpc import storage
from gtn_hpc.config import Config
from gtn_hpc.config.curriculum import require_file, stated_cycle, stated_inner
from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.records import ImageShape
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.curriculum.parts import DIMS, SCHEMA, read_values, stated_units
from gtn_hpc.storage import Column

MEANINGS = {
    "x": "training images in units of the image set's standard deviation",
    "y": "class probabilities",
    "lr": "inner learning rate of each step",
    "momentum": "inner momentum of each step",
}


@dataclass(frozen=True, eq=False)
class Description:
    """What else a learner must know: the image set and its normalisation, the inner optimiser, who was taught on it.

    `optimiser` is the `inner` section, `learners` the mixture's families.
    """

    data: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    optimiser: Mapping[str, Any]
    learners: tuple[str, ...]
    arm: str

    @classmethod
    def of(cls, config: Config, data: str, mean: torch.Tensor, std: torch.Tensor) -> "Description":
        """Of what is taught by `config` on images of the set `data`, with their `mean` and `std` [C]."""
        return cls(
            data=data,
            mean=tuple(mean.tolist()),
            std=tuple(std.tolist()),
            optimiser=config.inner.model_dump(mode="json"),
            learners=tuple(section.family for section in config.learners),
            arm=config.teacher.curriculum.arm,
        )


@dataclass(frozen=True, eq=False)
class CurriculumFile:
    """A curriculum read from `path`, with what it says of itself; `config` is the YAML of the run that made it."""

    path: Path
    frozen: Frozen
    digest: str
    description: Description
    config: str
    environment: Mapping[str, Any]

    @property
    def image(self) -> ImageShape:
        return ImageShape(*self.frozen.x.shape[2:])

    @property
    def classes(self) -> int:
        return self.frozen.y.shape[2]


def write(
    path: Path,
    frozen: Frozen,
    description: Description,
    *,
    config: str,
    dtype: str = "float32",
    evaluation: Mapping[str, Column] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Writes the file whole or not at all; `dtype` float16 halves the images and rounds them."""
    lr, momentum = frozen.schedule.table()
    values = {"x": frozen.x.to(getattr(torch, dtype)), "y": frozen.y, "lr": lr, "momentum": momentum}
    root = {
        name: Column(_array(value, name), unit="1", description=MEANINGS[name], dims=DIMS[name])
        for name, value in values.items()
    }
    groups = {"/": root} | ({"evaluation": evaluation} if evaluation else {})
    own = {
        "order": frozen.order,
        "digest": Frozen(_rounded(frozen.x, dtype), frozen.y, lr, momentum, frozen.order, frozen.cycle).digest(),
        "data": description.data,
        "mean": list(description.mean),
        "std": list(description.std),
        "optimiser": json.dumps(dict(description.optimiser)),
        "learners": json.dumps(description.learners),
        "arm": description.arm,
    } | ({} if frozen.cycle == frozen.steps else {"cycle": frozen.cycle})
    storage.write(path, groups, own | dict(attributes or {}), schema=SCHEMA, config=config)


def read(path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> CurriculumFile:
    """The curriculum of the file, as tensors of `dtype` on `device`.

    Raises:
        StorageError: missing, damaged, not a curriculum, or its parts are not as `parts` says.
    """
    path = Path(path)
    require_file(path)
    with storage.open_file(path, SCHEMA) as file:
        columns = read_values(file)
        attributes, config, environment = dict(file.attributes), file.config, file.environment
    x, y, lr, momentum = (torch.as_tensor(columns[name]) for name in DIMS)
    frozen = Frozen(x, y, lr, momentum, attributes["order"], stated_cycle(path, attributes, len(x)))
    digest = frozen.digest()
    if digest != attributes.get("digest", digest):
        raise StorageError(
            f"{path}: the digest of its values is not the one it states.",
            remedy="Export it again, or leave the attribute digest out.",
        )
    mean, std = stated_units(path, attributes, x.shape[2])
    description = Description(
        data=str(attributes.get("data", "unknown")),
        mean=mean,
        std=std,
        optimiser=_optimiser(path, attributes),
        learners=_learners(path, attributes),
        arm=str(attributes.get("arm", "unknown")),
    )
    return CurriculumFile(path, frozen.to(device, dtype), digest, description, config, environment)


def _optimiser(path: Path, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {} if stated_inner(path, attributes) is None else json.loads(attributes["optimiser"])


def _learners(path: Path, attributes: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        return tuple(map(str, json.loads(attributes.get("learners", "[]"))))
    except (ValueError, TypeError) as error:
        raise StorageError(
            f"{path}: its attribute 'learners' is not a list as JSON: {error}.", remedy="Export it again."
        ) from error


def _array(value: torch.Tensor, name: str) -> Any:
    array = value.detach().cpu().numpy()
    return array if name == "x" else array.astype(np.float32)


def _rounded(x: torch.Tensor, dtype: str) -> torch.Tensor:
    return x.to(getattr(torch, dtype)).to(torch.float32)
