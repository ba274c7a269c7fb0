"""Tables in memory: arrays by column, UTF-8 bytes for text; made from journal rows, combined into one row an identity.

Combining is associative, commutative and idempotent: folding journals piece by piece, in any order, or merging files
gives one result. Of several rows of one identity an `ok` one is kept before a failed one, then the earliest; values
that differ from the kept ones go to the table `conflicts`.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_hpc.scores.schema import DEFAULTS, KIND_TABLE, TABLES, Table

Array = NDArray[Any]
Columns = dict[str, Array]
Tables = dict[str, Columns]
Plain = Mapping[str, Any]
Index = int | np.integer[Any]

ENCODE: dict[type, Callable[[Sequence[Any]], Array]] = {
    str: lambda values: np.array([value.encode() for value in values] or [b""], dtype="S")[: len(values)],
    int: lambda values: np.array(values, dtype=np.int64),
    float: lambda values: np.array(values, dtype=np.float64),
}


def empty() -> Tables:
    """Every table, without rows."""
    return {name: _columns(table, []) for name, table in TABLES.items()}


def from_rows(rows: Iterable[Plain]) -> Tables:
    """Tables of journal rows as they were read, duplicates included."""
    by_table: dict[str, list[Plain]] = {name: [] for name in TABLES}
    for row in rows:
        table = KIND_TABLE[row["kind"]]
        by_table[table].append(row)
        for step, accuracy in row.get("curve", {}).items():
            point = {"table": table, "key": row["key"], "step": int(step), "val_accuracy": accuracy}
            by_table["curves"].append(point)
        if row.get("detail"):
            by_table["failures"].append({"table": table, **row})
    return {name: _columns(TABLES[name], found) for name, found in by_table.items()}


def _columns(table: Table, rows: Sequence[Plain]) -> Columns:
    values = _transposed(table, rows)
    columns = {name: ENCODE[kind](values[name]) for name, kind in table.columns.items()}
    for name in sorted({name for row in rows if "extra" in row for name in row["extra"]}):
        columns[name] = ENCODE[float]([row.get("extra", {}).get(name) for row in rows])
    return columns


def _transposed(table: Table, rows: Sequence[Plain]) -> dict[str, Sequence[Any]]:
    """The rows' values by column."""
    if not rows:
        return {name: [] for name in table.columns}
    columns = zip(*map(itemgetter(*table.columns), rows), strict=True)
    return dict(zip(table.columns, columns, strict=True))


def length(columns: Columns) -> int:
    """The number of rows."""
    return len(next(iter(columns.values())))


def conform(table: Table, columns: Mapping[str, Any], rows: int) -> Columns:
    """Columns as read from a file: absent ones filled with defaults, single values spread, other numbers kept."""
    found = {name: columns.get(name, DEFAULTS[kind]) for name, kind in table.columns.items()} | dict(columns)
    return {name: np.full(rows, value) if np.ndim(value) == 0 else value for name, value in found.items()}


def combine(parts: Sequence[Tables]) -> Tables:
    """One row an identity, sorted by it. Cost: a sort; a second on a million rows."""
    return use_up([{name: dict(columns) for name, columns in part.items()} for part in parts])


def use_up(parts: Sequence[Tables]) -> Tables:
    """As `combine`, but takes the columns out of `parts` one by one, so that less memory is held at a time."""
    rejected = [_concatenate(TABLES["conflicts"], [part.pop("conflicts") for part in parts])]
    combined = {}
    for name in [name for name in TABLES if name != "conflicts"]:
        joined = _concatenate(TABLES[name], [part.pop(name) for part in parts])
        combined[name], conflicts = _deduplicate(TABLES[name], joined)
        rejected.append(_columns(TABLES["conflicts"], conflicts))
    combined["conflicts"] = _outvoted(combined, _concatenate(TABLES["conflicts"], rejected))
    _join_history(combined)
    return combined


def _concatenate(table: Table, parts: Sequence[Columns]) -> Columns:
    names = [*table.columns, *sorted({name for part in parts for name in part} - set(table.columns))]
    sized = [(part, length(part)) for part in parts]
    return {name: np.concatenate([_column(table, part, rows, name) for part, rows in sized]) for name in names}


def _column(table: Table, columns: Columns, rows: int, name: str) -> Array:
    """Taken out of `columns`."""
    return columns.pop(name) if name in columns else np.full(rows, DEFAULTS[table.columns.get(name, float)])


def take(columns: Columns, rows: Array) -> Columns:
    """Some rows of every column: by index, or by a mask."""
    return {name: values[rows] for name, values in columns.items()}


def _deduplicate(table: Table, columns: Columns) -> tuple[Columns, list[Plain]]:
    order = _order([columns[name] for name in table.identity])
    for name in columns:
        columns[name] = columns[name][order]
    repeats = _repeats(table, columns)
    if not repeats.any():
        return columns, []
    several = repeats | np.append(repeats[1:], False)
    subset = take(columns, np.flatnonzero(several))
    subset = take(subset, _order(_precedence(table, subset)))
    again = _repeats(table, subset)
    first = np.maximum.accumulate(np.where(again, 0, np.arange(len(again))))
    conflicts = [conflict for row in np.flatnonzero(again) for conflict in _conflict(table, subset, first[row], row)]
    for name in columns:
        columns[name][several] = subset[name]
    return take(columns, np.flatnonzero(~_repeats(table, columns))), conflicts


def _order(columns: Sequence[Array]) -> Array:
    """Stable order by the first column, then the second, and so on."""
    if len(columns) == 1:
        return np.argsort(columns[0], kind="stable")
    return np.lexsort(columns[::-1])


def _precedence(table: Table, columns: Columns) -> list[Array]:
    """A total order: identity, then ok, then the time, then whatever else there is."""
    failed = [columns["status"] != b"ok"] if "status" in columns else []
    first = [columns[name] for name in ("time", *table.values) if name in columns]
    rest = [columns[name] for name in sorted(columns)]
    return [*(columns[name] for name in table.identity), *failed, *first, *rest]


def _repeats(table: Table, columns: Columns) -> Array:
    """Whether a row has the identity of the row before it."""
    same = np.zeros(length(columns), dtype=bool)
    if len(same):
        same[1:] = np.logical_and.reduce([columns[name][1:] == columns[name][:-1] for name in table.identity])
    return same


def _conflict(table: Table, columns: Columns, kept: Index, other: Index) -> list[Plain]:
    values = _values_text(table, columns, other)
    if values == _values_text(table, columns, kept):
        return []
    table_name, key, step = _place(table, columns, other)
    return [{"table": table_name, "key": key, "step": step, "values": values}]


def _place(table: Table, columns: Columns, row: Index) -> tuple[str, str, int]:
    step = int(columns["step"][row]) if "step" in table.identity else -1
    return table.name, columns[table.key][row].decode(), step


def _values_text(table: Table, columns: Columns, row: Index) -> str:
    """The values that must agree as JSON, NaN as null."""
    return json.dumps({name: _plain(columns[name][row]) for name in table.values})


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return float(value) if math.isfinite(value) else None if math.isnan(value) else str(value)


def _outvoted(combined: Tables, rejected: Columns) -> Columns:
    """Rejected values, once each, without those that equal what is kept in the end."""
    distinct, _ = _deduplicate(TABLES["conflicts"], rejected)
    kept = {place: text for name in set(distinct["table"].tolist())
            for place, text in _kept(TABLES[name.decode()], combined, distinct)}  # fmt: skip
    rows = zip(*(distinct[name].tolist() for name in ("table", "key", "step", "values")), strict=True)
    differs = [kept[name.decode(), key.decode(), step] != values.decode() for name, key, step, values in rows]
    return take(distinct, np.flatnonzero(differs))


def _kept(table: Table, combined: Tables, rejected: Columns) -> Iterator[tuple[tuple[str, str, int], str]]:
    columns = combined[table.name]
    keys = rejected["key"][rejected["table"] == table.name.encode()]
    for row in np.flatnonzero(np.isin(columns[table.key], keys)):
        yield _place(table, columns, row), _values_text(table, columns, row)


def _join_history(combined: Tables) -> None:
    """Scores learn from the managers' rows when they were first asked for, from which parent, and when told.

    What a row says itself stands where no manager knows of it.
    """
    scores = combined["scores"]
    for name, origins in (("asks", {"ask": "order", "parent": "parent"}), ("tells", {"tell": "order"})):
        history = take(combined[name], _order([combined[name][column] for column in ("order", "manager")]))
        if length(history) and length(scores):
            known, source = _match(scores, history)
            for column, origin in origins.items():
                scores[column] = _put(scores[column], known, history[origin][source[known]])


def _match(scores: Columns, history: Columns) -> tuple[Array, Array]:
    """For each score, whether there is a row of the same architecture and fidelity, and the first such row."""
    split = length(scores)
    _, arch = np.unique(np.concatenate([scores["arch"], history["arch"]]), return_inverse=True)
    levels, fidelity = np.unique(np.concatenate([scores["fidelity"], history["fidelity"]]), return_inverse=True)
    pair = arch * len(levels) + fidelity
    known, first = np.unique(pair[split:], return_index=True)
    place = np.minimum(np.searchsorted(known, pair[:split]), len(known) - 1)
    return known[place] == pair[:split], first[place]


def _put(column: Array, rows: Array, values: Array) -> Array:
    """The column with `values` at `rows`, wide enough for both."""
    column = column.astype(np.promote_types(column.dtype, values.dtype))
    column[rows] = values
    return column
