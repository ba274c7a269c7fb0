"""scores.h5 for analysis: pandas, xarray, units, older versions, while the run goes on."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import xarray
from score_rows import one_of_each, score

from gtn_hpc import scores, storage
from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import Journal, files
from gtn_hpc.scores.schema import DESCRIPTIONS, TABLES
from gtn_hpc.scores.tables import empty
from gtn_hpc.storage import Column, Schema

COLUMNS = [
    *("key", "arch", "fidelity", "replica", "val_accuracy", "val_loss", "status", "seconds", "peak_bytes", "params"),
    *("flops", "parent", "ask", "tell", "rank", "host", "job", "time"),
]


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    with Journal(run.journal) as journal:
        journal.append([*one_of_each(), score("größe", host="maschine-ß")])
    scores.fold(run)
    return run


def test_scores_are_a_frame_of_the_stated_columns(run):
    with scores.open(run.scores) as opened:
        frame = opened.scores
        assert [*frame.columns] == [*COLUMNS, "synflow"]
        assert frame.key.tolist() == ["größe", "k1", "k2"]
        for name, kind in TABLES["scores"].columns.items():
            expected = {str: pd.api.types.is_string_dtype, int: pd.api.types.is_integer_dtype}
            assert expected.get(kind, pd.api.types.is_float_dtype)(frame[name]), name
        assert all(type(value) is str for value in frame.host)
        assert frame.set_index("key").host["größe"] == "maschine-ß"
        assert frame.attrs["units"]["seconds"] == "s" and "inner steps" in frame.attrs["descriptions"]["fidelity"]
        assert opened.scores is frame


def test_every_table_opens_and_empty_ones_keep_their_columns(run, tmp_path):
    empty = RunDirectory(tmp_path / "empty")
    scores.fold(empty)
    for path, filled in ((run.path, True), (empty.scores, False)):
        with scores.open(path) as opened:
            for name in TABLES:
                frame = getattr(opened, name)
                assert set(TABLES[name].columns) <= set(frame.columns)
                assert (len(frame) > 0) == (filled and name != "conflicts"), name


def test_chosen_columns_and_rows_only(run):
    with scores.open(run.scores) as opened:
        frame = opened.read("scores", ["val_accuracy", "key"], slice(1, 2))
        assert [*frame.columns] == ["key", "val_accuracy"] and len(frame) == 1
        with pytest.raises(StorageError, match="Did you mean 'val_loss'"):
            opened.read("scores", ["valloss"])


def test_a_column_costs_a_column_and_a_piece_a_piece(tmp_path, monkeypatch):
    rows, piece = 1 << 16, 1 << 13
    monkeypatch.setattr("gtn_hpc.scores.opened.BLOCK", piece)
    keys = np.char.mod("%064d", np.arange(rows)).astype("S")
    values = {str: keys, int: np.arange(rows), float: np.arange(rows) / 7}
    made = {name: values[kind] for name, kind in TABLES["scores"].columns.items()}
    files.write(tmp_path / "large.h5", empty() | {"scores": made})
    with scores.open(tmp_path / "large.h5") as opened:
        opened.read("scores", rows=slice(0, 1))
        tracemalloc.start()
        column = opened.read("scores", ["val_accuracy"])
        of_column = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        pieces = [len(frame) for frame in opened.blocks("scores")]
        of_piece = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (len(column), pieces, opened.rows("scores")) == (rows, [piece] * 8, rows)
    assert of_column < 3 * 8 * rows
    assert of_piece < 0.6 * sum(values.nbytes for values in made.values())


def test_units_and_descriptions_are_those_of_the_file(tmp_path):
    columns = {name: Column(np.zeros(2) if kind is not str else ["a", "b"])
               for name, kind in TABLES["scores"].columns.items()}  # fmt: skip
    columns["seconds"] = Column(np.ones(2), "h", "hours, for once")
    columns["energy"] = Column(np.ones(2), "J", "what it took")
    storage.write(tmp_path / "other.h5", {"scores": columns}, schema=Schema("scores", 1))
    with scores.open(tmp_path / "other.h5") as opened:
        told = opened.scores.attrs
    assert (told["units"]["seconds"], told["descriptions"]["seconds"]) == ("h", "hours, for once")
    assert (told["units"]["energy"], told["descriptions"]["energy"]) == ("J", "what it took")
    assert told["units"]["val_loss"] == "nat"


def test_every_column_is_described():
    assert {name for table in TABLES.values() for name in table.columns} <= set(DESCRIPTIONS)


@pytest.mark.parametrize("group", TABLES)
def test_xarray_opens_every_group(run, group):
    with scores.open(run.scores) as opened, xarray.open_dataset(run.scores, group=group, engine="h5netcdf") as dataset:
        frame = opened.read(group)
        assert set(dataset.data_vars) == set(frame.columns) and dict(dataset.sizes) == {"row": len(frame)}
        for name in frame.columns.drop("time", errors="ignore"):
            assert repr(dataset[name].values.tolist()) == repr(frame[name].tolist()), name
        if group == "scores":
            assert dataset.seconds.attrs["units"] == "s" and dataset.time.dtype.kind == "M"


def test_an_open_file_stays_as_it_was_while_the_run_goes_on(run):
    with scores.open(run.path) as before:
        with Journal(run.journal) as journal:
            journal.append([score("new")])
        scores.fold(run)
        assert len(before.scores) == 3 and len(before.curves) == 3
    with scores.open(run.path) as after:
        assert len(after.scores) == 4


def test_a_table_that_there_is_not_is_named(run):
    with scores.open(run.path) as opened:
        for look in (opened.read, opened.raw, opened.rows, lambda table: list(opened.blocks(table))):
            with pytest.raises(StorageError, match=r"no table 'score'.\n  Did you mean 'scores'\? Valid: arch"):
                look("score")


def test_a_run_without_its_product_is_told_what_to_do(run, tmp_path):
    run.scores.unlink()
    with pytest.raises(StorageError, match=r"only journals.\n  Fold them: gtn scores show"):
        scores.open(run.path)
    with pytest.raises(StorageError, match="There is no file"):
        scores.open(tmp_path / "none")


def test_files_of_version_0_are_upgraded(tmp_path):
    """Version 0 had `accuracy` and `loss`, no replica, and fewer tables."""
    path = tmp_path / "old.h5"
    columns = {
        "key": Column(["b", "a"]),
        "accuracy": Column(np.array([0.5, np.nan])),
        "loss": Column(np.array([1.0, np.nan])),
        "status": Column(["ok", "oom"]),
        "fidelity": Column(np.array([8, 8])),
        "synflow": Column(np.array([3.0, 4.0])),
    }
    storage.write(path, {"scores": columns}, schema=Schema("scores", 0))
    with scores.open(path) as opened:
        frame = opened.scores.set_index("key")
        assert frame.val_accuracy["b"] == 0.5 and np.isnan(frame.val_loss["a"])
        assert frame.replica.tolist() == [0, 0] and frame.ask.tolist() == [-1, -1] and frame.host.tolist() == ["", ""]
        assert frame.synflow.tolist() == [3.0, 4.0]
        assert opened.read("scores", ["val_accuracy"], slice(1)).val_accuracy.tolist() == [0.5]
        assert len(opened.certificate) == 0 and "source" in opened.certificate
    new = RunDirectory(tmp_path / "new")
    with Journal(new.journal) as journal:
        journal.append([score("b", 0.5, val_loss=1.0), score("a", np.nan, val_loss=np.nan, status="oom")])
    assert scores.verify(path, new) is None and scores.digest(path) == scores.digest(new)
    scores.merge(tmp_path / "merged.h5", [path, new])
    with storage.open_file(tmp_path / "merged.h5") as file:
        assert file.schema == Schema("scores", 1) and file.rows("scores") == 2


def test_files_of_a_newer_version_are_refused(tmp_path):
    storage.write(tmp_path / "new.h5", {}, schema=Schema("scores", 2))
    with pytest.raises(StorageError, match="version 2 of 'scores'"):
        scores.open(tmp_path / "new.h5")
