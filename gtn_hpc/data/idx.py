"""IDX files (LeCun's MNIST format), plain or gzipped: big-endian sizes, then bytes."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gtn_hpc.core.errors import DataError
from gtn_hpc.data.source import Labelled, labelled

UNSIGNED_BYTES = 8
RANKS = {"images": 3, "labels": 1}
"""Dimensions of the two files of a split."""
REMEDY = "The file is damaged or incomplete: remove it and fetch the set again."


class Incomplete(DataError):
    """Files of a set are missing beside others that are there."""


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of a file of unsigned bytes. Raises DataError for another type or a size that does not fit."""
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0":
        raise DataError(f"{path}: not an IDX file (it starts with {content[:4].hex() or 'nothing'})", remedy=REMEDY)
    kind, dimensions = content[2], content[3]
    if kind != UNSIGNED_BYTES:
        raise DataError(f"{path}: IDX type 0x{kind:02x}", remedy="Only unsigned bytes (type 0x08) are read.")
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(f"{path}: truncated in its header ({len(content)} bytes)", remedy=REMEDY)
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != math.prod(shape):
        kind_of = "truncated" if len(content) - start < math.prod(shape) else "too long"
        raise DataError(
            f"{path}: {kind_of}, {len(content) - start} bytes of data where {list(shape)} needs {math.prod(shape)}",
            remedy=REMEDY,
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_pair(images: Path, labels: Path) -> Labelled:
    return labelled(read_idx(images), read_idx(labels), str(images))


def holds_idx(folder: Path) -> bool:
    """Whether the training images of an IDX set lie in `folder`."""
    return _existing(folder, "train", "images") is not None


def read_folder(folder: Path, *, whole: bool = False) -> tuple[Labelled, Labelled | None]:
    """Training and test split of the four files that MNIST and its followers use; the test pair may be absent where the
    set need not be `whole`.

    Raises:
        Incomplete: one of the files is missing.
        DataError: one of them is damaged.
    """
    tested = whole or _existing(folder, "t10k", "images") is not None
    pairs = [[_required(folder, split, part) for part in RANKS] for split in ("train", "t10k")[: 1 + tested]]
    train, *test = [read_pair(images, labels) for images, labels in pairs]
    return train, test[0] if test else None


def labels_beside(images: Path) -> Path:
    """The labels file that belongs to an images file: `...images-idx3...` -> `...labels-idx1...`, gzipped or not."""
    if "images" in images.name:
        name = images.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
        plain = images.with_name(name.removesuffix(".gz"))
        for path in (images.with_name(name), plain, plain.with_name(plain.name + ".gz")):
            if path.is_file():
                return path
    raise DataError(
        f"{images}: no labels file beside it", remedy="Name the pair ...images-idx3-ubyte and ...labels-idx1-ubyte."
    )


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: corrupt gzip file ({error})", remedy=REMEDY) from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", remedy="Check the path and its permissions.") from None


def _existing(folder: Path, split: str, part: str) -> Path | None:
    names = [f"{split}-{part}{dash}idx{RANKS[part]}-ubyte{end}" for dash in "-." for end in ("", ".gz")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _required(folder: Path, split: str, part: str) -> Path:
    path = _existing(folder, split, part)
    if path is None:
        raise Incomplete(
            f"{folder}: {split}-{part}-idx{RANKS[part]}-ubyte (or .gz) is missing",
            remedy="The set is incomplete: put the file beside the others.",
        )
    return path
