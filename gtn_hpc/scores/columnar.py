"""Tables straight from the texts of rows, a column at a time: no Python object is made for a row.

The same tables as `tables.from_rows` of the parsed rows; what is out of the ordinary (other versions, NaN and infinity,
whatever Arrow reads otherwise) is parsed row by row. pyarrow is imported when there are many rows.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gtn_hpc.scores.lines import parse
from gtn_hpc.scores.rows import SCALARS
from gtn_hpc.scores.schema import KIND_TABLE, TABLES, VERSION
from gtn_hpc.scores.tables import Array, Columns, Tables, empty, from_rows, length, take

if TYPE_CHECKING:
    import pyarrow as pa

FEW = 1000
"""Rows up to which parsing them one by one takes less time than importing Arrow."""

START = b'{"v":%d,"kind":"' % VERSION
LETTERS = 3
"""Of a kind, which tell it from the others."""

KINDS = {START + kind[:LETTERS].encode(): kind for kind in SCALARS}
HEAD = len(START) + LETTERS


def from_bodies(file: str, bodies: Sequence[bytes]) -> list[Tables]:
    """Tables of all rows, to be combined. Raises StorageError for rows of a newer version."""
    if len(bodies) <= FEW:
        return [from_rows(parse(file, bodies))]
    ordinary, others = _sorted(bodies)
    found = []
    for kind, own in ordinary.items():
        try:
            found.append(_tables_of(kind, own))
        except ValueError:  # what Arrow raises
            others += own
    return [*found, from_rows(parse(file, others))]


def _sorted(bodies: Sequence[bytes]) -> tuple[dict[str, list[bytes]], list[bytes]]:
    """By kind, and apart from them the texts whose null or infinity Arrow would not tell from nothing or from text."""
    by_head = defaultdict[bytes, list[bytes]](list)
    for body in bodies:
        by_head[body[:HEAD]].append(body)
    ordinary, others = dict[str, list[bytes]](), list[bytes]()
    for head, own in by_head.items():
        if head not in KINDS:
            others += own
            continue
        odd = [body for body in own if _odd(body)] if _odd(b"".join(own)) else []
        others += odd
        if len(odd) < len(own):
            ordinary[KINDS[head]] = [body for body in own if not _odd(body)] if odd else own
    return ordinary, others


def _odd(text: bytes) -> bool:
    return b"null" in text or b'inf"' in text


def _tables_of(kind: str, bodies: Sequence[bytes]) -> Tables:
    arrow = _read(kind, bodies)
    table = KIND_TABLE[kind]
    columns = {name: _array(arrow.column(name), hint) for name, hint in TABLES[table].columns.items()}
    columns |= {name: _numbers(column) for name, column in sorted(_fields(arrow, "extra"))}
    tables = empty() | {table: columns}
    if "curve" in arrow.column_names:
        tables["curves"] = _curves(table, columns["key"], arrow)
    if "detail" in arrow.column_names:
        tables["failures"] = _failures(table, columns, _array(arrow.column("detail"), str))
    return tables


def _read(kind: str, bodies: Sequence[bytes]) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import json

    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(name, types[hint]) for name, hint in SCALARS[kind].items()])
    text = b"\n".join(bodies)
    found = json.read_json(
        pa.BufferReader(text),
        json.ReadOptions(use_threads=False, block_size=len(text) + 1),
        json.ParseOptions(explicit_schema=schema),
    ).combine_chunks()
    if found.num_rows != len(bodies):
        raise ValueError(f"{found.num_rows} rows in {len(bodies)} texts")
    return found


def _array(column: "pa.ChunkedArray", hint: type) -> Array:
    """Raises ValueError where a value is missing."""
    if column.null_count:
        raise ValueError(f"{column.null_count} values are missing")
    return _text(column) if hint is str else np.asarray(column.to_numpy())


def _text(column: "pa.ChunkedArray") -> Array:
    """UTF-8 bytes of one width."""
    array = column.combine_chunks()
    _, offsets_buffer, data = array.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[array.offset : array.offset + len(array) + 1]
    lengths = np.diff(offsets)
    width = max(1, int(lengths.max(initial=1)))
    if data is None:
        return np.zeros(len(array), f"S{width}")
    content = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    if len(content) == width * len(array) and lengths.min(initial=width) == width:
        return content.copy().view(f"S{width}")
    grid = np.zeros((len(array), width), np.uint8)
    grid[np.arange(width) < lengths[:, None]] = content
    return grid.view(f"S{width}").ravel()


def _fields(arrow: "pa.Table", column: str) -> Iterator[tuple[str, "pa.ChunkedArray"]]:
    """Name and values of what a mapping holds, null where a row does not have it."""
    if column in arrow.column_names:
        flat = arrow.select([column]).flatten()
        yield from ((name.partition(".")[2], values) for name, values in zip(flat.column_names, flat, strict=True))


def _numbers(column: "pa.ChunkedArray") -> Array:
    """NaN where there is none."""
    return np.asarray(column.cast("float64").to_numpy(), dtype=np.float64)


def _curves(table: str, keys: Array, arrow: "pa.Table") -> Columns:
    parts = []
    for point, values in _fields(arrow, "curve"):
        there = values.is_valid().to_numpy()
        rows = keys[there]
        parts.append((rows, np.full(len(rows), int(point)), _numbers(values)[there]))
    if not parts:
        return empty()["curves"]
    key, step, accuracy = (np.concatenate(values) for values in zip(*parts, strict=True))
    return {"table": _constant(table, len(key)), "key": key, "step": step, "val_accuracy": accuracy}


def _failures(table: str, columns: Columns, detail: Array) -> Columns:
    chosen = take({"key": columns["key"], "status": columns["status"], "detail": detail}, np.flatnonzero(detail != b""))
    return {"table": _constant(table, length(chosen)), **chosen}


def _constant(text: str, count: int) -> Array:
    return np.full(count, text.encode())
