"""What an image set is, for people and for `--json`."""

from typing import Any

import torch

from gtn_hpc.config.teaching import Data
from gtn_hpc.data.catalogue import find
from gtn_hpc.data.image_set import ImageSet
from gtn_hpc.data.splits import resident, split


def describe(section: Data, *, seed: int = 0) -> dict[str, Any]:
    """Name, place, image shape, classes, normalisation (fractions of full white) and images a class of each split.

    JSON-able. Reads the whole set, also one that is too small to teach with. Raises ConfigError and DataError.
    """
    found = find(section)
    splits = resident(found, split(found, section, seed), hold_bytes=0)
    shape = splits.shape
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        "name": splits.name,
        "found": splits.found,
        "shape": {"channels": shape.channels, "height": shape.height, "width": shape.width},
        "classes": list(splits.class_names),
        "mean": splits.train.mean.tolist(),
        "std": splits.train.std.tolist(),
        "seed": section.seed_of(seed),
        "splits": {key: {"images": len(part), "per_class": _per_class(part)} for key, part in parts.items()},
    }


def _per_class(part: ImageSet) -> list[int]:
    counts: list[int] = torch.bincount(part.labels, minlength=part.classes).tolist()
    return counts
