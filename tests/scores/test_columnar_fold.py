"""Tables read a column at a time are those read row by row, whatever stands in the rows."""

import dataclasses
import math

import pytest
from score_rows import failed, one_of_each, score

from gtn_hpc.core.errors import StorageError
from gtn_hpc.scores import Ask, Tell, columnar
from gtn_hpc.scores.lines import body_of, encode, parse
from gtn_hpc.scores.rows import to_plain
from gtn_hpc.scores.schema import VERSION
from gtn_hpc.scores.tables import combine, from_rows

ROWS = [
    *one_of_each(),
    score("größe", host="maschine-ß", curve={4: 0.25, 16: 1.0}, extra={"synflow": 3.0, "z": 1e300}),
    score("", host='"quoted" \\ \n', extra={"other": -0.0}),
    score("odd", curve={4: math.nan}, extra={"synflow": math.inf, "z": math.nan}),
    score("big", params=2**62, flops=-1, val_accuracy=0.1 + 0.2),
    dataclasses.replace(failed("f"), detail="Traceback:\n\tnull is not 'inf'"),
    dataclasses.replace(failed("g"), detail=""),
    Ask(1, "arch-k2", 8, parent="p", extra={"fresh": 1.0}),
    Tell(2, 1, "arch-k2", 8, -math.inf, status="nan"),
]


def plain(parts):
    tables = combine([from_rows([]), *parts])
    return {name: {column: repr(v.tolist()) for column, v in columns.items()} for name, columns in tables.items()}


def bodies_of(rows):
    return [body_of(encode(row)[:-1]) for row in rows]


@pytest.mark.parametrize("rows", [ROWS, ROWS[::-1] * 3, ROWS[:1], [], [ROWS[-3]], [score("a"), score("b")]])
def test_columns_equal_rows(rows, monkeypatch):
    bodies = bodies_of(map(to_plain, rows))
    expected = plain([from_rows(parse("file", bodies))])
    monkeypatch.setattr(columnar, "FEW", -1)
    assert plain(columnar.from_bodies("file", bodies)) == expected


def test_other_versions_and_what_arrow_cannot_read_go_row_by_row(monkeypatch):
    old = to_plain(score("old"))
    old = {"v": 0, "accuracy": old.pop("val_accuracy"), "loss": old.pop("val_loss"), **old}
    odd = to_plain(score("odd")) | {"fidelity": 8.0}
    bodies = bodies_of([old, to_plain(score("new")), odd])
    monkeypatch.setattr(columnar, "FEW", -1)
    assert plain(columnar.from_bodies("file", bodies)) == plain([from_rows(parse("file", bodies))])
    with pytest.raises(StorageError, match="rows of version"):
        columnar.from_bodies("file", bodies_of([{"v": VERSION + 1, **to_plain(score("future"))}]))
