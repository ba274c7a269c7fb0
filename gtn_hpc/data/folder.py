"""A folder of pictures: one sub-folder a class, optionally below train/ and test/."""

from pathlib import Path

import numpy as np

from gtn_hpc.core.errors import DataError
from gtn_hpc.data.pictures import stacked
from gtn_hpc.data.source import Labelled, Source, labelled, source

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")


def read_pictures(folder: Path, name: str) -> Source:
    """Classes are the sub-folders in the order of their names; hidden files and other formats are passed over."""
    train = folder / "train" if (folder / "train").is_dir() else folder
    classes = _subfolders(train)
    if len(classes) < 2:
        raise DataError(
            f"{train}: {len(classes)} sub-folders with pictures",
            remedy="Give each class a sub-folder with its pictures, optionally below train/ and test/.",
        )
    test = _split(folder / "test", classes) if train != folder and (folder / "test").is_dir() else None
    return source(name, _split(train, classes), test, classes, str(folder))


def _split(folder: Path, classes: list[str]) -> Labelled:
    unknown = [name for name in _subfolders(folder) if name not in classes]
    if unknown:
        raise DataError(
            f"{folder}: class '{unknown[0]}' has no training pictures", remedy="Use the same sub-folders in both."
        )
    files = [(path, k) for k, name in enumerate(classes) for path in _pictures(folder / name)]
    images = stacked((path, str(path)) for path, _ in files)
    if not files:
        raise DataError(f"{folder}: no pictures", remedy=f"Valid endings: {', '.join(SUFFIXES)}.")
    return labelled(images, np.array([k for _, k in files], np.int64), str(folder))


def _subfolders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".") and _pictures(path))


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
