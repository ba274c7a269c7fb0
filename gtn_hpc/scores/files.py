"""Tables in HDF5: writing the product, reading it back, and older versions."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gtn_hpc import storage
from gtn_hpc.scores.schema import DESCRIPTIONS, SCHEMA, TABLES, upgrade_names
from gtn_hpc.scores.tables import Columns, Tables, conform, empty
from gtn_hpc.storage import Column, StoredFile, Writer

ROWS_AT_ONCE = 1 << 17


def write(
    path: Path,
    tables: Tables,
    *,
    config: str = "",
    environment: Mapping[str, Any] | None = None,
    sources: Mapping[str, Columns] | None = None,
) -> None:
    """Writes all tables; `sources` are further groups that say where they come from."""
    with storage.create(path, SCHEMA, config=config, environment=environment) as writer:
        for name, columns in {**tables, **(sources or {})}.items():
            _append(writer, name, columns)


def _append(writer: Writer, group: str, columns: Columns) -> None:
    rows = len(next(iter(columns.values())))
    for start in range(0, max(rows, 1), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        writer.append(group, {name: _column(name, values[part]) for name, values in columns.items()})


def _column(name: str, values: np.ndarray[Any, Any]) -> Column:
    unit, description = DESCRIPTIONS.get(name, ("1", name))
    return Column(values, unit, description)


def load(path: Path, names: Iterable[str] = tuple(TABLES)) -> Tables:
    """All tables, or the named ones, of a file of this version or an older one."""
    wanted = list(names)
    with storage.open_file(path, SCHEMA) as file:
        return {name: columns for name, columns in empty().items() if name in wanted} | dict(_tables(file, wanted))


def _tables(file: StoredFile, wanted: Iterable[str]) -> Iterator[tuple[str, Columns]]:
    there = file.groups
    for name in wanted:
        if name in there:
            columns = file.read(name, raw_strings=True)
            rows = max(map(len, columns.values()), default=0)
            yield name, conform(TABLES[name], upgrade_names(name, file.schema.version, columns), rows)
