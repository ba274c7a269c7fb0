"""Writing: beside the final name, checksummed, fsynced, renamed. Serial HDF5, one writer a file."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gtn_hpc.core import environment as surroundings
from gtn_hpc.core.atomic import replacing
from gtn_hpc.core.errors import StorageError
from gtn_hpc.storage import seal
from gtn_hpc.storage.column import Array, Column, Schema, stored_type

CHUNK_BYTES = 1 << 18
"""A chunk is one unit of compression and of partial reading."""

DIMENSION_ONLY = "This is a netCDF dimension but not a netCDF variable. {:10d}"
"""The netCDF-4 convention for a dimension without values."""

RESERVED = ("schema_kind", "schema_version", "config", "environment", "created", "sealed")


@dataclass
class _Growing:
    """A dataset under construction, the names of its axes and its rows so far."""

    dataset: h5py.Dataset
    dims: tuple[str, ...]
    rows: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows, *self.dataset.maxshape[1:])


class Writer:
    """An open file that grows by rows; made by `create`."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._groups: dict[str, dict[str, _Growing]] = {}

    def append(self, group: str, columns: Mapping[str, Column]) -> None:
        """Appends to the first axis of each column; the first call for a group fixes types and dimensions, and its
        number of rows the size of the pieces that are compressed and read together.

        Memory: the given columns only, so millions of rows can be written piece by piece.
        """
        known = self._groups.setdefault(group, {})
        target = self._file.require_group(group)
        for name, column in columns.items():
            values = column.encoded(name)
            if name not in known:
                known[name] = _Growing(_make(target, name, column, values), column.named_dims(name, values.ndim))
            _extend(known[name], values)
        _lengths(group, known)

    def finish(self) -> None:
        """Attaches the dimension scales: one a dimension; a one-dimensional column of its name is its own scale."""
        for group, columns in self._groups.items():
            target = self._file[group]
            scales = {
                name: columns[name].dataset
                if name in columns and columns[name].dims == (name,)
                else _make_dimension(target, name, length)
                for name, length in _lengths(group, columns).items()
            }
            for name, scale in scales.items():
                scale.make_scale(name if name in columns else DIMENSION_ONLY.format(scale.shape[0]))
            for name, column in columns.items():
                for axis, dim in enumerate(column.dims):
                    if name != dim:
                        column.dataset.dims[axis].attach_scale(scales[dim])


def _lengths(group: str, columns: Mapping[str, _Growing]) -> dict[str, int]:
    """The length of each dimension; columns that share one must agree."""
    lengths: dict[str, int] = {}
    for name, column in columns.items():
        for dim, length in zip(column.dims, column.shape, strict=True):
            if lengths.setdefault(dim, length) != length:
                raise StorageError(
                    f"Columns of group '{group}' disagree on dimension '{dim}': "
                    f"'{name}' has {length}, another has {lengths[dim]}.",
                    remedy="Give every column of a group the same number of rows.",
                )
    return lengths


def _make(group: h5py.Group, name: str, column: Column, values: Array) -> h5py.Dataset:
    dataset = group.create_dataset(
        name,
        shape=(0, *values.shape[1:]),
        maxshape=(None, *values.shape[1:]),
        dtype=stored_type(values),
        chunks=_chunks(values),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
        fletcher32=True,
    )
    if values.dtype.kind == "S":
        dataset.attrs["_Encoding"] = "utf-8"
    if column.unit:
        dataset.attrs["units"] = column.unit
    if column.description:
        dataset.attrs["description"] = column.description
    return dataset


def _chunks(values: Array) -> tuple[int, ...]:
    room = max(1, CHUNK_BYTES // values.dtype.itemsize)
    shape: list[int] = []
    for length in reversed(values.shape[1:]):
        shape.append(max(1, min(length, room)))
        room = max(1, room // shape[-1])
    return (min(room, 1 << 14, max(len(values), 64)), *reversed(shape))


def _extend(column: _Growing, values: Array) -> None:
    dataset = column.dataset
    if values.shape[1:] != column.shape[1:] or not np.can_cast(values.dtype, dataset.dtype, "safe"):
        raise StorageError(
            f"Column '{dataset.name}' holds {dataset.dtype}{column.shape[1:]}, "
            f"appended were {values.dtype}{values.shape[1:]}.",
            remedy="Append values of one type and shape; name the width of strings that grow.",
        )
    start, column.rows = column.rows, column.rows + len(values)
    if len(values):
        dataset.resize(column.rows, axis=0)
        dataset[start:] = values.astype(dataset.dtype, copy=False).view(dataset.dtype)


def _make_dimension(group: h5py.Group, name: str, length: int) -> h5py.Dataset:
    if name in group:
        raise StorageError(
            f"'{name}' of group '{group.name}' is a dimension and a column of other dimensions.",
            remedy="Rename the column or the dimension.",
        )
    return group.create_dataset(name, shape=(length,), maxshape=(None,), dtype=">f4", chunks=(1 << 14,))


@contextmanager
def create(
    path: Path,
    schema: Schema,
    attributes: Mapping[str, Any] | None = None,
    *,
    config: str = "",
    environment: Mapping[str, Any] | None = None,
) -> Iterator[Writer]:
    """A new file at `path`, to be appended to; it takes its place when the block ends without an error.

    `config` is the YAML text of the run; `environment` is taken from this process where left out. Raises StorageError
    for values that HDF5 cannot hold and for a place that cannot be written.
    """
    try:
        with replacing(Path(path)) as beside:
            with h5py.File(beside, "w", libver=("earliest", "v110"), locking="best-effort") as file:
                _describe(file, schema, attributes or {}, config, environment)
                writer = Writer(file)
                yield writer
                writer.finish()
            seal.attach(beside)
    except (OSError, RuntimeError) as error:
        raise StorageError(
            f"{path} cannot be written: {error}.", remedy="Look for free space and for write permission."
        ) from error


def _describe(
    file: h5py.File,
    schema: Schema,
    attributes: Mapping[str, Any],
    config: str,
    environment: Mapping[str, Any] | None,
) -> None:
    taken = sorted(set(attributes) & set(RESERVED))
    if taken:
        raise StorageError(f"Attributes {taken} belong to the store.", remedy="Choose other names.")
    surroundings_text = json.dumps(surroundings.describe() if environment is None else environment, sort_keys=True)
    file.attrs.update(
        schema_kind=schema.kind,
        schema_version=schema.version,
        config=config,
        environment=surroundings_text,
        created=time.time(),
        sealed=True,
    )
    for name, value in attributes.items():
        file.attrs[name] = _plain(name, value)


def _plain(name: str, value: Any) -> Any:
    array = np.asarray(value)
    if isinstance(value, str) or array.dtype.kind in "biuf":
        return value
    if array.dtype.kind == "U":
        return np.asarray(value, dtype=h5py.string_dtype())
    raise StorageError(
        f"Attribute '{name}' is neither text, nor a number, nor a list of one of them.",
        remedy="Write it as JSON text, or as columns of a group.",
    )


def write(
    path: Path,
    groups: Mapping[str, Mapping[str, Column]],
    attributes: Mapping[str, Any] | None = None,
    *,
    schema: Schema,
    config: str = "",
    environment: Mapping[str, Any] | None = None,
) -> None:
    """Writes a whole file at once; group "/" is the root. Errors as in `create`."""
    with create(path, schema, attributes, config=config, environment=environment) as writer:
        for name, columns in groups.items():
            writer.append(name, columns)
