"""A curriculum for other programs: one `.npz`, or a folder of pictures with their labels.

Both say in `about` (JSON) what they hold, how it was normalised, by which optimiser it teaches and what made it.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_hpc import __version__, storage
from gtn_hpc.core.atomic import appearing, replacing, write_json
from gtn_hpc.core.errors import DataError, StorageError
from gtn_hpc.curriculum.file import MEANINGS, CurriculumFile
from gtn_hpc.curriculum.parts import DIMS, SCHEMA
from gtn_hpc.data.pictures import encode, shades

Array = NDArray[Any]
PICTURES, LABELS, ABOUT = "images", "labels.csv", "about.json"


def write_npz(taught: CurriculumFile, path: Path) -> None:
    """Arrays `x` [T,B,C,H,W], `y` [T,B,K], `lr` and `momentum` [T], accuracies as `evaluation_*` [learners, T] and
    `about` (JSON text), all of them readable with `numpy.load(path, allow_pickle=False)`. Values keep their bits.

    Raises:
        StorageError: the place cannot be written.
    """
    arrays: dict[str, Any] = {**_arrays(taught), "about": np.array(json.dumps(about(taught)))}
    arrays |= {f"evaluation_{name}": values for name, values in _evaluation(taught).items()}
    try:
        with replacing(path) as beside, open(beside, "wb") as file:
            np.savez_compressed(file, **arrays)
    except OSError as error:
        raise _unwritable(path, error) from error


def write_folder(taught: CurriculumFile, folder: Path) -> float:
    """`images/CLASS/STEP-IMAGE.png` by the most probable class, `labels.csv` with each image's step, place, class and
    probabilities, and `about.json`. `images/` is an image set that `data.name` can name.

    Pixels are brought back to 0..255 by the file's own normalisation; what lies outside is cut, and the share of the
    values that were is in `about.json` and returned: exact values are in the `.npz`.

    Raises:
        DataError: the curriculum does not say how it was normalised, or its images are neither grey nor RGB.
        StorageError: the folder is there and not empty, or cannot be written.
    """
    description = taught.description
    if not description.mean or not description.std:
        raise DataError(
            f"{taught.path} does not say how its images were normalised.",
            remedy="Add the attributes mean and std (fractions of full white, by channel), or export it as .npz.",
        )
    pixels, cut = shades(_arrays(taught)["x"], description.mean, description.std)
    try:
        with appearing(folder) as beside:
            names = list(_pictures(beside, pixels, _arrays(taught)["y"], str(taught.path)))
            _label(beside / LABELS, names, _arrays(taught)["y"])
            write_json(beside / ABOUT, about(taught) | {"values_cut": cut, **_rates(taught)})
    except OSError as error:
        raise _unwritable(folder, error) from error
    return cut


def about(taught: CurriculumFile) -> dict[str, Any]:
    """What an export says of the curriculum (JSON-able)."""
    told = taught.description
    return {
        "made_by": f"gtn_hpc {__version__}",
        "schema_kind": SCHEMA.kind,
        "schema_version": SCHEMA.version,
        "arrays": {name: {"dims": DIMS[name], "unit": "1", "description": MEANINGS[name]} for name in DIMS},
        "order": taught.frozen.order,
        "cycle": taught.frozen.cycle,
        "digest": taught.digest,
        "data": told.data,
        "mean": told.mean,
        "std": told.std,
        "optimiser": dict(told.optimiser),
        "learners": told.learners,
        "arm": told.arm,
        "source": str(taught.path),
        "config": taught.config,
        "environment": dict(taught.environment),
    }


def _arrays(taught: CurriculumFile) -> dict[str, Array]:
    lr, momentum = taught.frozen.schedule.table()
    values = {"x": taught.frozen.x, "y": taught.frozen.y, "lr": lr, "momentum": momentum}
    return {name: value.detach().cpu().numpy() for name, value in values.items()}


def _evaluation(taught: CurriculumFile) -> dict[str, Array]:
    with storage.open_file(taught.path, SCHEMA) as file:
        return file.read("evaluation") if "evaluation" in file.groups else {}


def _rates(taught: CurriculumFile) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in _arrays(taught).items() if name in ("lr", "momentum")}


def _pictures(folder: Path, pixels: Array, y: Array, where: str) -> Iterator[tuple[int, int, str]]:
    """Writes each image [T,B,H,W,C]; yields step, place in the batch, and the file's name below `folder`."""
    digits = len(str(y.shape[-1] - 1))
    for step, image in np.ndindex(y.shape[:2]):
        name = f"{PICTURES}/{y[step, image].argmax():0{digits}d}/{step:04d}-{image:04d}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode(pixels[step, image], where))
        yield step, image, name


def _label(path: Path, names: list[tuple[int, int, str]], y: Array) -> None:
    """Probabilities with nine digits, which give back every float32."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "step", "image", "class", *(f"p{k}" for k in range(y.shape[-1]))])
        for step, image, name in names:
            row = y[step, image]
            writer.writerow([name, step, image, row.argmax(), *(f"{value:.9g}" for value in row)])


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be written: {error.strerror or error}.",
        remedy="Name a new place that may be written to; look for free space.",
    )
