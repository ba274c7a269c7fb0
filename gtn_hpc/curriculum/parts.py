"""What a curriculum file has to hold: asked of every file that is to teach, whoever wrote it, and without torch."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_hpc.core.errors import StorageError
from gtn_hpc.storage import Schema, StoredFile

SCHEMA = Schema("curriculum", 1)
JUDGEMENT = Schema("judgement", 1)
"""Kind of the files in a run's `evaluations/`."""

Array = NDArray[Any]
Units = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation as fractions of full white: one number, one for each channel, or none, not stated."""

ORDERS = ("fixed", "batches", "all")
DIMS = {
    "x": ("step", "image", "channel", "height", "width"),
    "y": ("step", "image", "class"),
    "lr": ("step",),
    "momentum": ("step",),
}
FORM = "x [T,B,C,H,W], y [T,B,K], lr [T] and momentum [T]"
SUM_MAY_MISS = 1e-3
"""How far probabilities may sum from 1: more than float16 rounds."""


def read_values(file: StoredFile) -> dict[str, Array]:
    """`x`, `y`, `lr` and `momentum` as float32, all of them checked. Cost: one pass over the values.

    Raises:
        StorageError: a part is missing, has another shape or type, is not finite or out of its range.
    """
    require_form(file)
    with np.errstate(over="ignore"):
        values = {name: column.astype(np.float32, copy=False) for name, column in file.read("/", list(DIMS)).items()}
    for name, column in values.items():
        _refuse(file.path, name, column, ~np.isfinite(column), "finite numbers within float32")
    y, lr, momentum = values["y"], values["lr"], values["momentum"]
    _refuse(file.path, "y", y, y < 0, "probabilities from 0 to 1")
    sums = y.sum(axis=2, dtype=np.float64)
    _refuse(file.path, "y summed over classes", sums, abs(sums - 1) > SUM_MAY_MISS, "1 for each image: probabilities")
    _refuse(file.path, "lr", lr, lr < 0, "0 or more")
    _refuse(file.path, "momentum", momentum, (momentum < 0) | (momentum >= 1), "from 0 to below 1")
    return values


def require_form(file: StoredFile) -> None:
    """Parts, shapes, types and order, without reading values.

    Raises:
        StorageError: one is missing or of another form.
    """
    known, path = file.shapes("/"), file.path
    lacking = [name for name in DIMS if name not in known]
    if lacking:
        raise StorageError(f"{path} lacks the dataset {', '.join(lacking)}.", remedy=f"A curriculum has {FORM}.")
    _require_shapes(path, {name: known[name][0] for name in DIMS})
    for name in DIMS:
        kinds, wanted = ("f", "floats") if name == "x" else ("fiu", "numbers")
        if known[name][1].kind not in kinds:
            raise StorageError(
                f"{path}: '{name}' is of type {known[name][1]}, not {wanted}.",
                remedy=f"Write {name} as float32"
                + (": images minus their mean, by their standard deviation." if name == "x" else "."),
            )
    if file.attributes.get("order") not in ORDERS:
        raise StorageError(f"{path}: order is {file.attributes.get('order')!r}.", remedy=f"Valid: {', '.join(ORDERS)}.")


def stated_units(path: Path, attributes: Mapping[str, Any], channels: int) -> Units:
    """Which units the images of the curriculum at `path` are in, by its attributes.

    Raises:
        StorageError: it states one of mean and std alone, or something else in their place.
    """
    units = (_per_channel(path, attributes, "mean", channels), _per_channel(path, attributes, "std", channels))
    if any(units) and not all(units):
        there, lacking = ("mean", "std") if units[0] else ("std", "mean")
        raise StorageError(
            f"{path} states '{there}' without '{lacking}': together they are the units of its images.",
            remedy=f"Add '{lacking}' (a fraction of full white), or leave both out: they are then those of the images "
            "that judge.",
        )
    return units


def _per_channel(path: Path, attributes: Mapping[str, Any], name: str, channels: int) -> tuple[float, ...]:
    """The attribute mean or std: a number, or one a channel; none where it is not stated.

    Raises:
        StorageError: it is something else.
    """
    stated = attributes.get(name, ())
    found = list(stated) if isinstance(stated, list | tuple) else [stated]
    numbers = all(isinstance(value, int | float) and math.isfinite(value) for value in found)
    if not numbers or len(found) not in (0, 1, channels) or (name == "std" and min(found, default=1) <= 0):
        above = " above 0" if name == "std" else ""
        raise StorageError(
            f"{path}: its attribute '{name}' is {stated!r}.",
            remedy=f"Valid: one number{above} (a fraction of full white), or one for each channel ({channels}).",
        )
    return tuple(map(float, found))


def _require_shapes(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    x, y, lr, momentum = (shapes[name] for name in DIMS)
    if len(x) != 5 or len(y) != 3 or x[:2] != y[:2] or lr != x[:1] or momentum != x[:1]:
        raise StorageError(
            f"{path}: x {x}, y {y}, lr {lr} and momentum {momentum} do not fit each other.",
            remedy=f"They must be {FORM}.",
        )
    if 0 in x + y:
        raise StorageError(
            f"{path}: x {x} and y {y} hold nothing.",
            remedy=f"They must be {FORM}, with at least one step, image, pixel and class.",
        )


def _refuse(path: Path, name: str, values: Array, wrong: NDArray[np.bool_], wanted: str) -> None:
    if not wrong.any():
        return
    place = np.unravel_index(int(wrong.argmax()), wrong.shape)
    value = values[place]
    kind = "" if np.isfinite(value) else " (not finite)"
    raise StorageError(
        f"{path}: {name} is {value:g}{kind} at {list(map(int, place))}; {int(wrong.sum())} such values in all.",
        remedy=f"Valid: {wanted}. Mend the program that wrote the file; docs/files.md describes the format.",
    )
