"""Columns: what a dataset holds, its unit, description and dimensions.

Strings are stored as fixed-length UTF-8: HDF5 applies no filter, hence no checksum, to strings of variable length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from gtn_hpc.core.errors import StorageError

Array = NDArray[Any]


@dataclass(frozen=True)
class Schema:
    """What a file claims to be: `kind` (scores, curriculum, ...) and the `version` of that kind."""

    kind: str
    version: int


@dataclass(frozen=True, eq=False)
class Column:
    """Values of one dataset, any number of dimensions >= 1: numbers, booleans (kept as uint8) or strings.

    `dims` names the axes; columns of a group that share a name share its length. Left out, the first axis is `row`
    and the others are `<column>_<axis>`. `width` is the least room in bytes for a string: name it where longer
    strings will be appended later.
    """

    values: Array | Sequence[Any]
    unit: str = ""
    description: str = ""
    dims: tuple[str, ...] = ()
    width: int = 0

    def encoded(self, name: str) -> Array:
        """The values as they are written: numbers, or UTF-8 bytes of one width, of type S."""
        values = np.asarray(self.values)
        if values.ndim == 0:
            raise StorageError(f"Column '{name}' is a single value.", remedy="Give an array, or make it an attribute.")
        if values.dtype == bool:
            return values.astype(np.uint8)
        if values.dtype.kind in "iuf" and (values.size or not isinstance(self.values, list | tuple)):
            return values
        return _bytes_of(name, values, self.width)

    def named_dims(self, name: str, ndim: int) -> tuple[str, ...]:
        dims = self.dims or ("row", *(f"{name}_{axis}" for axis in range(1, ndim)))
        if len(dims) != ndim:
            raise StorageError(
                f"Column '{name}' has {ndim} axes and {len(dims)} names for them.", remedy="Name each axis once."
            )
        return dims


def _bytes_of(name: str, values: Array, width: int) -> Array:
    if values.dtype.kind == "S":
        return values.astype(f"S{max(width, values.dtype.itemsize, 1)}", copy=False)
    texts = values.ravel().tolist()
    if not all(isinstance(text, str) for text in texts):
        raise StorageError(
            f"Column '{name}' holds neither numbers nor strings (type {values.dtype}).",
            remedy="Store numbers, booleans or strings.",
        )
    try:
        encoded = [text.encode() for text in texts]
    except UnicodeEncodeError as error:
        raise StorageError(
            f"A string of column '{name}' is not text: {error}.", remedy="Store valid Unicode."
        ) from error
    if any(b"\0" in text for text in encoded):
        raise StorageError(f"A string of column '{name}' contains NUL.", remedy="Remove the character first.")
    width = max(width, 1, max(map(len, encoded), default=1))
    return np.array(encoded, dtype=f"S{width}").reshape(values.shape)


def stored_type(values: Array) -> Any:
    """The HDF5 type of encoded values."""
    return h5py.string_dtype("utf-8", values.dtype.itemsize) if values.dtype.kind == "S" else values.dtype
