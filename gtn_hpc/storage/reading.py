"""Reading: whole or lazily, and every damage as a StorageError with its remedy."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from gtn_hpc.core.errors import StorageError, nearest
from gtn_hpc.storage import seal
from gtn_hpc.storage.column import Array, Schema

HDF5_ERRORS = (
    OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError, OverflowError
)  # fmt: skip
"""What h5py raises for damaged files; UnicodeError and JSONDecodeError are ValueErrors."""

Rows = slice | None


class StoredFile:
    """An open file; it stays the file that it was, even when another takes its name. Made by `open_file`."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self._file = file
        with self._reading():
            self.attributes: Mapping[str, Any] = {name: _value(file.attrs[name]) for name in file.attrs}

    @property
    def schema(self) -> Schema:
        """Kind and version; kind '' for a file that another program wrote without them."""
        version = self.attributes.get("schema_version", 0)
        if not isinstance(version, int | float):
            raise StorageError(
                f"{self.path}: its attribute 'schema_version' is {version!r}.", remedy="Write it as an integer."
            )
        return Schema(str(self.attributes.get("schema_kind", "")), int(version))

    @property
    def config(self) -> str:
        return str(self.attributes.get("config", ""))

    @property
    def environment(self) -> dict[str, Any]:
        """Of the machine that wrote the file. Raises StorageError where it is no mapping as JSON."""
        try:
            described = json.loads(self.attributes.get("environment", "{}"))
        except (ValueError, TypeError):
            described = None
        if not isinstance(described, dict):
            raise StorageError(
                f"{self.path}: its attribute 'environment' is not a mapping as JSON.",
                remedy="Leave it out, or mend it.",
            )
        return described

    @property
    def groups(self) -> list[str]:
        with self._reading():
            return sorted(name for name, item in self._file.items() if isinstance(item, h5py.Group))

    def columns(self, group: str) -> dict[str, dict[str, str]]:
        """The columns of a group with their `units` and `description`, dimensions without values left out."""
        with self._reading():
            return {
                name: {key: str(item.attrs[key]) for key in ("units", "description") if key in item.attrs}
                for name, item in self._datasets(group).items()
            }

    def rows(self, group: str) -> int:
        """The length of the group's columns along the first axis; 0 for a group without columns."""
        with self._reading():
            return max((item.shape[0] for item in self._datasets(group).values() if item.shape), default=0)

    def shapes(self, group: str) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Shape and type of each column, without reading it."""
        with self._reading():
            return {name: (item.shape or (), item.dtype) for name, item in self._datasets(group).items()}

    def read(
        self, group: str, columns: Iterable[str] | None = None, rows: Rows = None, *, raw_strings: bool = False
    ) -> dict[str, Array]:
        """Values by column: all, or the chosen ones, at the chosen `rows` (a slice of the first axis).

        Strings come as an object array of `str`, or with `raw_strings` as UTF-8 bytes of type S. Cost: the chosen
        chunks only.
        """
        with self._reading():
            known = self._datasets(group)
        wanted = list(known) if columns is None else list(columns)
        for name in wanted:
            if name not in known:
                raise StorageError(f"{self.path} has no column '{group}/{name}'.", remedy=nearest(name, known))
        with self._reading():
            return {name: _values(known[name], rows, raw_strings) for name in wanted}

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _group(self, name: str) -> h5py.Group:
        found = self._file.get(name)
        if not isinstance(found, h5py.Group):
            raise StorageError(f"{self.path} has no group '{name}'.", remedy=nearest(name, [*self.groups, "/"]))
        return found

    def _datasets(self, group: str) -> dict[str, h5py.Dataset]:
        items = self._group(group).items()
        return {name: item for name, item in items if isinstance(item, h5py.Dataset) and not _is_bare_dimension(item)}

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except HDF5_ERRORS as error:
            raise _damaged(self.path, error) from error


def _is_bare_dimension(dataset: h5py.Dataset) -> bool:
    if dataset.dtype != ">f4":
        return False
    title = dataset.attrs.get("NAME", b"")
    text = title.decode(errors="replace") if isinstance(title, bytes) else str(title)
    return text.startswith("This is a netCDF dimension but not a netCDF variable")


def _values(dataset: h5py.Dataset, rows: Rows, raw_strings: bool) -> Array:
    chosen = () if rows is None else rows
    text = h5py.check_string_dtype(dataset.dtype)
    if text is None:
        return np.asarray(dataset[chosen])
    if raw_strings:
        return np.asarray(dataset[chosen], dtype="S" if text.length is None else None)
    return np.asarray(dataset.asstr()[chosen], dtype=object)


def _value(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_value(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        value = value.item()
    return value.decode() if isinstance(value, bytes) else value


def _damaged(path: Path, error: Exception) -> StorageError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return StorageError(
        f"{path} cannot be read: {reason[:200]}.",
        remedy="The file is cut off or damaged: restore it from a copy, or write it again from its source.",
    )


def _open(path: Path) -> h5py.File:
    try:
        sealed = seal.check(path)
        file = h5py.File(path, "r", locking="best-effort")
    except FileNotFoundError as error:
        raise StorageError(f"There is no file {path}.", remedy="Look at the path: nothing lies there.") from error
    except (PermissionError, IsADirectoryError) as error:
        raise StorageError(
            f"{path} cannot be read: {error.strerror}.", remedy="Name a file that you may read."
        ) from error
    except HDF5_ERRORS as error:
        if path.is_file() and not _looks_like_hdf5(path):
            raise StorageError(f"{path} is not an HDF5 file.", remedy="Name a file that was written by gtn.") from error
        raise _damaged(path, error) from error
    try:
        if not sealed and "sealed" in file.attrs:
            raise ValueError("its seal is gone, so it was cut or changed after it was written")
    except HDF5_ERRORS as error:
        file.close()
        raise _damaged(path, error) from error
    return file


def _looks_like_hdf5(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


def open_file(path: Path | str, schema: Schema | None = None) -> StoredFile:
    """Opens for reading, after its checksum was compared.

    With a `schema`, a file of another kind or of a newer version is refused; an older version is the caller's to
    upgrade. Raises StorageError for missing, cut off, damaged, foreign and newer files.
    """
    path = Path(path)
    file = StoredFile(path, _open(path))
    try:
        _require(file, schema)
    except StorageError:
        file.close()
        raise
    return file


def _require(file: StoredFile, schema: Schema | None) -> None:
    if schema is None:
        return
    found = file.schema
    if found.kind != schema.kind:
        raise StorageError(
            f"{file.path} is a file of kind '{found.kind or 'unknown'}', not '{schema.kind}'.",
            remedy=f"Name a file whose attribute schema_kind is '{schema.kind}'.",
        )
    if found.version > schema.version:
        raise StorageError(
            f"{file.path} has version {found.version} of '{schema.kind}'; this gtn_hpc reads up to {schema.version}.",
            remedy="Install the gtn_hpc that wrote the file, or a newer one.",
        )


def read(path: Path | str, group: str, columns: Iterable[str] | None = None, rows: Rows = None) -> dict[str, Array]:
    """One group of a file, as in `StoredFile.read`."""
    with open_file(path) as file:
        return file.read(group, columns, rows)


def read_arrays(path: Path | str, names: Iterable[str]) -> dict[str, Array]:
    """Those of the named datasets at the root of anybody's HDF5 file that are there."""
    with open_file(path) as file:
        there = file.columns("/")
        return file.read("/", [name for name in names if name in there])
