"""Tables as files of other programs: Parquet, which says in itself what it holds, and CSV with a JSON file that does.

Both are written piece by piece. A missing number is null in Parquet and empty in CSV; whole numbers that are missing
are -1, as in `scores.h5`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gtn_hpc import __version__
from gtn_hpc.core.atomic import replacing, write_json
from gtn_hpc.core.errors import StorageError
from gtn_hpc.scores import comparing
from gtn_hpc.scores.opened import ScoreTables
from gtn_hpc.scores.schema import SCHEMA, TABLES

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    Write = Callable[[pd.DataFrame], None]

Format = Literal["csv", "parquet"]

MISSING = {"csv": "numbers: empty; whole numbers: -1", "parquet": "numbers: null; whole numbers: -1"}
ABOUT = b"gtn_hpc"
"""Key of the provenance (JSON) among the metadata of a Parquet file's schema."""


def filled(tables: ScoreTables) -> dict[str, int]:
    """The tables that have rows, and how many."""
    return {name: rows for name in TABLES if (rows := tables.rows(name))}


def paths(path: Path, kind: Format) -> list[Path]:
    """The files that `export` writes."""
    return [path, path.with_suffix(".json")] if kind == "csv" else [path]


def export(tables: ScoreTables, table: str, path: Path, kind: Format) -> int:
    """Writes one table to `path`, whole or not at all, and returns its number of rows.

    Parquet carries provenance in its schema's metadata under `gtn_hpc`, and unit and description in each column's; CSV
    has both in a JSON file beside it, of the same name. Cost: 10 s for a million scores, and memory for one piece.

    Raises:
        StorageError: the table has no rows, or the place cannot be written.
    """
    rows = tables.rows(table)
    if not rows:
        there = ", ".join(f"{name} ({count})" for name, count in filled(tables).items())
        raise StorageError(
            f"{tables.path} has no rows in its table '{table}'.", remedy=f"Tables with rows: {there or 'none'}."
        )
    told = about(tables, table, kind)
    try:
        with replacing(path) as beside, _writing(beside, tables, told, kind) as write:
            for block in tables.blocks(table):
                write(block)
        if kind == "csv":
            write_json(path.with_suffix(".json"), told)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error}.", remedy="Look for free space and for write permission."
        ) from error
    return rows


def about(tables: ScoreTables, table: str, kind: Format) -> dict[str, Any]:
    """What an exported table says of itself (JSON-able): columns with units, digest of all scores, what made them."""
    frame = tables.read(table, rows=slice(0))
    units, descriptions = frame.attrs["units"], frame.attrs["descriptions"]
    return {
        "made_by": f"gtn_hpc {__version__}",
        "schema_kind": SCHEMA.kind,
        "schema_version": SCHEMA.version,
        "table": table,
        "rows": tables.rows(table),
        "columns": {name: {"unit": units.get(name, ""), "description": descriptions[name]} for name in frame},
        "missing": MISSING[kind],
        "source": str(tables.path),
        "created": tables.attributes.get("created"),
        "digest": comparing.digest_of_file(tables),
        "config": tables.config,
        "environment": tables.environment,
    }


@contextmanager
def _writing(path: Path, tables: ScoreTables, told: Mapping[str, Any], kind: Format) -> "Iterator[Write]":
    """What takes one piece of the table after the other."""
    import pyarrow as pa

    schema = _schema(tables, told)
    with _open(path, schema, kind) as writer:
        yield lambda block: writer.write_table(pa.Table.from_pandas(block, schema, preserve_index=False))


def _open(path: Path, schema: "pa.Schema", kind: Format) -> Any:
    from pyarrow import csv, parquet

    if kind == "parquet":
        return parquet.ParquetWriter(path, schema, compression="zstd")
    return csv.CSVWriter(path, schema, write_options=csv.WriteOptions(quoting_style="needed"))


def _schema(tables: ScoreTables, told: Mapping[str, Any]) -> "pa.Schema":
    """Columns with unit and description, and the provenance as text.

    From a row: pandas 2 holds text as objects, of which an empty column has no type.
    """
    import pyarrow as pa

    frame = tables.read(told["table"], rows=slice(0, 1))
    plain = pa.Schema.from_pandas(frame, preserve_index=False)
    fields = [plain.field(name).with_metadata(told["columns"][name]) for name in plain.names]
    return pa.schema(fields, {**(plain.metadata or {}), ABOUT: json.dumps(told).encode()})
