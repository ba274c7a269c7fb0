"""CIFAR-10 as published: the binary files are read here, the Python ones by torchvision, which knows their sums."""

from pathlib import Path

import numpy as np

from gtn_hpc.core.errors import DataError
from gtn_hpc.data import vision
from gtn_hpc.data.source import Labelled, Source, labelled, source

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD = 1 + 3 * 32 * 32
REMEDY = "The set is damaged or incomplete: remove the folder and fetch it again."


def read_binary(folder: Path) -> Source:
    """`cifar-10-batches-bin`: records of one label byte and 3,072 bytes, red, green and blue plane."""
    train = [folder / f"data_batch_{i}.bin" for i in range(1, 6)]
    return source("cifar10", _records(train), _records([folder / "test_batch.bin"]), CLASSES, str(folder))


def read_published(folder: Path) -> Source:
    """`cifar-10-batches-py` under any name, pickles: opened only after their MD5 sums were found right."""
    here = type("CIFAR10", (vision.datasets().CIFAR10,), {"base_folder": ""})
    try:
        sets = [here(str(folder), train=train) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        raise DataError(f"{folder}: {error}", remedy=REMEDY) from None
    train, test = (labelled(s.data, np.asarray(s.targets), str(folder)) for s in sets)
    return source("cifar10", train, test, CLASSES, str(folder))


def _records(paths: list[Path]) -> Labelled:
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: missing", remedy=REMEDY)
        if path.stat().st_size % RECORD:
            raise DataError(f"{path}: truncated, {path.stat().st_size} bytes are no whole records", remedy=REMEDY)
    table = np.concatenate([np.fromfile(path, np.uint8).reshape(-1, RECORD) for path in paths])
    images = table[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return labelled(images, table[:, 0], str(paths[0].parent))
