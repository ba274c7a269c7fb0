"""Image sets in HDF5 files."""

from pathlib import Path

from gtn_hpc.core.errors import DataError, StorageError
from gtn_hpc.data.packed import from_arrays
from gtn_hpc.data.source import Source


def read_h5(path: Path, name: str) -> Source:
    """`images` and `labels` at the root, optionally `test_images`, `test_labels` and `classes`."""
    from gtn_hpc.storage import read_arrays

    try:
        arrays = read_arrays(path, ["images", "labels", "test_images", "test_labels", "classes"])
    except StorageError as error:
        raise DataError(error.what, remedy="Name a whole HDF5 file with `images` and `labels` at its root.") from None
    return from_arrays(arrays, name, str(path))
