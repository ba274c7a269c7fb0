"""The embedded default: 1,797 handwritten digits of 8x8 pixels, which scikit-learn carries (UCI, 1998)."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from gtn_hpc.core.errors import DataError
from gtn_hpc.data.source import Source, labelled, source

LARGEST = 16


def digits() -> Source:
    """Reads scikit-learn's file without importing scikit-learn, which takes longer than the rest of a start."""
    path = _file()
    table = np.loadtxt(path, delimiter=",", dtype=np.int64)
    images = np.rint(table[:, :-1].reshape(-1, 8, 8) * (255 / LARGEST)).astype(np.uint8)
    return source("digits", labelled(images, table[:, -1], str(path)), None, [str(k) for k in range(10)], str(path))


def _file() -> Path:
    package = find_spec("sklearn")
    if package is not None and package.origin is not None:
        path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            return path
    raise DataError("digits: scikit-learn's file digits.csv.gz was not found", remedy="pip install scikit-learn")
