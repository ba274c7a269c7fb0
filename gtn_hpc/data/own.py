"""An own image set, recognised by what lies at its path."""

from pathlib import Path

from gtn_hpc.config.teaching import without_ending
from gtn_hpc.core.errors import DataError
from gtn_hpc.data import idx
from gtn_hpc.data.folder import read_pictures
from gtn_hpc.data.hdf5 import read_h5
from gtn_hpc.data.packed import read_npz
from gtn_hpc.data.source import Source, source

VALID = (
    "Valid: a folder of IDX files, a folder of pictures (one sub-folder a class), an IDX images file with its labels"
    " beside it, .npz or .h5 with images and labels, a JPEG-packed .npz."
)


def read_own(path: Path, name: str | None = None) -> Source:
    """Reads the set at `path`; its name is that of the file or folder unless given. Raises DataError."""
    name = name or (path.resolve().name if path.is_dir() else without_ending(path.name))
    if path.is_dir():
        return _idx_folder(path, name) if idx.holds_idx(path) else read_pictures(path, name)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file or folder", remedy=VALID)
    if path.suffix == ".npz":
        return read_npz(path, name)
    if path.suffix in (".h5", ".hdf5"):
        return read_h5(path, name)
    if "idx" in path.name or path.suffix == ".gz":
        return source(name, idx.read_pair(path, idx.labels_beside(path)), None, None, str(path))
    raise DataError(f"{path}: not a known kind of image set", remedy=VALID)


def _idx_folder(path: Path, name: str) -> Source:
    train, test = idx.read_folder(path)
    return source(name, train, test, None, str(path))
