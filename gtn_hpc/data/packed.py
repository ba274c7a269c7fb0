"""Image sets in one file: `.npz` with arrays or with packed JPEG pictures, `.h5` with arrays."""

import zipfile
import zlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_hpc.core.errors import DataError
from gtn_hpc.data.pictures import stacked
from gtn_hpc.data.source import Labelled, Source, labelled, source

LOSSY = " (JPEG re-encoded)"
"""Added to the name of every set whose pixels went through JPEG, so that no result hides it."""

Arrays = Mapping[str, NDArray[Any]]


def read_npz(path: Path, name: str) -> Source:
    """`images` + `labels`, optionally `test_images` + `test_labels` and `classes`; or the JPEG-packed form."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, AttributeError, NotImplementedError) as error:
        raise DataError(f"{path}: corrupt or not an .npz of plain arrays ({error})", remedy="Write it again.") from None
    except OSError as error:
        raise DataError(f"{path}: {error}", remedy="Check the path and its permissions.") from None
    return from_jpeg(arrays, name, str(path)) if "train_jpeg" in arrays else from_arrays(arrays, name, str(path))


def from_arrays(arrays: Arrays, name: str, where: str) -> Source:
    """Images uint8 [N, H, W] or [N, H, W, C] with labels [N]."""
    train = labelled(_array(arrays, "images", where), _array(arrays, "labels", where), where)
    test = None
    if "test_images" in arrays:
        test = labelled(arrays["test_images"], _array(arrays, "test_labels", where), f"{where} (test)")
    return source(name, train, test, _class_names(arrays), where)


def from_jpeg(arrays: Arrays, name: str, where: str) -> Source:
    """`{train,test}_{jpeg,offsets,labels}`: picture i is the bytes [offsets[i], offsets[i+1])."""
    train = _unpacked(arrays, "train", where)
    test = _unpacked(arrays, "test", where) if "test_jpeg" in arrays else None
    return source(name.removesuffix("_jpeg") + LOSSY, train, test, _class_names(arrays), where)


def _unpacked(arrays: Arrays, split: str, where: str) -> Labelled:
    labels, offsets = (_array(arrays, f"{split}_{part}", where) for part in ("labels", "offsets"))
    packed = arrays[f"{split}_jpeg"]
    flat = offsets.ndim == labels.ndim == packed.ndim == 1 and packed.dtype == np.uint8 and offsets.dtype.kind in "iu"
    if (
        not flat
        or len(offsets) != len(labels) + 1
        or offsets[0] != 0
        or offsets[-1] != len(packed)
        or (np.diff(offsets) <= 0).any()
    ):
        raise DataError(
            f"{where}: {split}_offsets {list(offsets.shape)} does not cut {split}_jpeg ({packed.size} bytes) into"
            f" {labels.size} pictures",
            remedy="Offsets are N + 1 rising integers from 0 to the number of bytes.",
        )
    content, cuts = packed.tobytes(), offsets.tolist()
    pictures = ((content[a:b], f"{where}, {split} picture {i}") for i, (a, b) in enumerate(pairwise(cuts)))
    return labelled(stacked(pictures), labels, f"{where} ({split})")


def _array(arrays: Arrays, key: str, where: str) -> NDArray[Any]:
    if key not in arrays:
        held = ", ".join(sorted(arrays)) or "nothing"
        raise DataError(
            f"{where}: no '{key}' (it holds {held})",
            remedy="An image set has `images` uint8 [N, H, W, C] and `labels` [N], both on the top level.",
        )
    return arrays[key]


def _class_names(arrays: Arrays) -> list[str] | None:
    """As text, which an array of type S holds as bytes of UTF-8."""
    if "classes" not in arrays:
        return None
    names = np.atleast_1d(arrays["classes"])
    return [name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names]
