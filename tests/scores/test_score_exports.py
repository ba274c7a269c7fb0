"""Tables as CSV and Parquet: every value comes back, and the files say where they come from."""

import json
import math
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet
from score_rows import failed, one_of_each, score

from gtn_hpc import scores
from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import Journal, exporting, files, opened
from gtn_hpc.scores.schema import TABLES
from gtn_hpc.scores.tables import Columns, empty

KINDS = ("csv", "parquet")
ODD = [
    score("größe", 1 / 3, host='a "host", with a comma', val_loss=math.pi, extra={"synflow": math.inf}),
    failed("lost", parent="arch-k1"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = RunDirectory(tmp_path_factory.mktemp("exported") / "run")
    with Journal(run.journal) as journal:
        journal.append([*one_of_each(), *ODD])
    scores.fold(run)
    return run


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """So that a table of a few rows is written in several."""
    monkeypatch.setattr(opened, "BLOCK", 3)


def read_back(path, like):
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    text = [name for name in like if pd.api.types.is_string_dtype(like[name])]
    numbers = {name: [""] for name in like if name not in text}
    return pd.read_csv(path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=numbers)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("table", [name for name in TABLES if name != "conflicts"])
def test_every_value_comes_back(run, tmp_path, table, kind):
    path = tmp_path / f"table.{kind}"
    with scores.open(run.scores) as tables:
        expected = tables.read(table)
        assert exporting.export(tables, table, path, kind) == len(expected) > 0
    found = read_back(path, expected)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_exact=True)


@pytest.mark.parametrize("kind", KINDS)
def test_text_that_pandas_holds_as_objects_is_text(run, tmp_path, monkeypatch, kind):
    """As pandas 2 does."""
    path, series = tmp_path / f"table.{kind}", opened._series
    with scores.open(run.scores) as tables:
        expected = tables.read("scores")
        monkeypatch.setattr(opened, "_series", lambda v: series(v).astype(object) if v.dtype.kind == "S" else v)
        assert tables.scores["host"].dtype == object
        exporting.export(tables, "scores", path, kind)
    pd.testing.assert_frame_equal(read_back(path, expected), expected, check_dtype=False, check_exact=True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_says_what_it_is(run, tmp_path, kind):
    path = tmp_path / f"table.{kind}"
    with scores.open(run.scores) as tables:
        exporting.export(tables, "scores", path, kind)
        config, environment = tables.config, tables.environment
    if kind == "csv":
        told = json.loads(path.with_suffix(".json").read_text())
    else:
        schema = parquet.read_schema(path)
        told = json.loads(schema.metadata[exporting.ABOUT])
        assert schema.field("seconds").metadata[b"unit"] == b"s"
        assert b"inner steps" in schema.field("fidelity").metadata[b"description"]
        assert pd.read_parquet(path).attrs["units"]["val_loss"] == "nat"
    assert told["digest"] == scores.digest(run.scores) == scores.digest(run)
    assert (told["table"], told["rows"], told["schema_kind"]) == ("scores", 4, "scores")
    assert (told["config"], told["environment"]) == (config, environment)
    assert told["columns"]["val_loss"]["unit"] == "nat"
    assert set(told["columns"]) == {*TABLES["scores"].columns, "synflow"}
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(p.name for p in exporting.paths(path, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_table_is_refused_with_those_that_are_not(run, tmp_path, kind):
    with scores.open(run.scores) as tables, pytest.raises(StorageError, match=r"'conflicts'.\n.*scores \(4\), arch"):
        exporting.export(tables, "conflicts", tmp_path / f"table.{kind}", kind)
    assert not [*tmp_path.iterdir()]


def test_a_place_that_cannot_be_written_is_told(run, tmp_path):
    (tmp_path / "file").touch()
    with scores.open(run.scores) as tables, pytest.raises(StorageError, match=r"file/table.csv cannot be written"):
        exporting.export(tables, "scores", tmp_path / "file" / "table.csv", "csv")


def made_up(rows) -> Columns:
    keys = np.char.mod("%048d", np.arange(rows)).astype("S")
    values = {str: keys, int: np.arange(rows), float: np.arange(rows) / 7}
    return {name: values[kind] for name, kind in TABLES["scores"].columns.items()}


def peak_of_export(path, kind):
    with scores.open(path) as tables:
        tracemalloc.start()
        exporting.export(tables, "scores", path.with_suffix(f".{kind}"), kind)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize("kind", KINDS)
def test_memory_does_not_grow_with_the_rows(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(opened, "BLOCK", 1000)
    for rows in (10, 2000, 10_000):
        files.write(tmp_path / f"{rows}.h5", empty() | {"scores": made_up(rows)})
    _imports, few, many = (peak_of_export(tmp_path / f"{rows}.h5", kind) for rows in (10, 2000, 10_000))
    assert many < 1.25 * few
