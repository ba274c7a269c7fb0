"""Round trips, provenance, other programs, and every refusal of gtn_hpc.storage."""

import h5py
import numpy as np
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gtn_hpc import storage
from gtn_hpc.core.errors import StorageError
from gtn_hpc.storage import Column, Schema

SCHEMA = Schema("test", 2)
TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=12)


def small(path, **more):
    columns = {
        "name": Column(["a", "", "größe"], description="names"),
        "seconds": Column(np.array([1.0, np.nan, 3.0]), unit="s", description="wall clock"),
        "count": Column(np.array([1, 2, 3])),
    }
    storage.write(path, {"scores": columns}, {"digest": "abc"}, schema=SCHEMA, config="seed: 1\n", **more)
    return path


def test_table_comes_back_with_units_and_provenance(tmp_path):
    path = small(tmp_path / "a.h5", environment={"host": "here"})
    with storage.open_file(path, SCHEMA) as file:
        table = file.read("scores")
        assert table["name"].tolist() == ["a", "", "größe"]
        assert all(type(name) is str for name in table["name"])
        np.testing.assert_array_equal(table["seconds"], [1.0, np.nan, 3.0])
        assert file.columns("scores")["seconds"] == {"units": "s", "description": "wall clock"}
        assert file.rows("scores") == 3 and file.groups == ["scores"]
        assert (file.schema, file.config, file.environment) == (SCHEMA, "seed: 1\n", {"host": "here"})
        assert file.attributes["digest"] == "abc" and file.attributes["created"] > 1.7e9
        assert file.read("scores", ["count"], slice(1, None))["count"].tolist() == [2, 3]
        assert file.read("scores", ["name"], raw_strings=True)["name"].tolist() == [b"a", b"", "größe".encode()]


def test_environment_of_this_process_is_the_default(tmp_path):
    with storage.open_file(small(tmp_path / "a.h5")) as file:
        assert {"python", "packages", "revision", "host"} <= set(file.environment)


def test_arrays_of_many_dimensions_at_the_root_open_in_xarray(tmp_path):
    x = np.random.default_rng(0).standard_normal((3, 4, 1, 8, 8)).astype(np.float16)
    columns = {
        "x": Column(x, dims=("step", "image", "channel", "height", "width")),
        "y": Column(np.ones((3, 4, 10), np.float32), dims=("step", "image", "class")),
        "lr": Column(np.arange(3.0), dims=("step",)),
        "step": Column(np.array([10, 20, 30]), dims=("step",)),
    }
    path = tmp_path / "curriculum.h5"
    storage.write(path, {"/": columns}, {"families": ["a", "b"], "mean": [0.1, 0.2], "n": 3}, schema=SCHEMA)
    np.testing.assert_array_equal(storage.read(path, "/")["x"], x)
    assert set(storage.read(path, "/")) == set(columns)
    with storage.open_file(path) as file:
        attributes = dict(file.attributes)
    assert (attributes["families"], attributes["mean"], attributes["n"]) == (["a", "b"], [0.1, 0.2], 3)
    with xarray.open_dataset(path, engine="h5netcdf") as opened:
        assert dict(opened.sizes) == {"step": 3, "image": 4, "channel": 1, "height": 8, "width": 8, "class": 10}
        assert opened.x.dims == ("step", "image", "channel", "height", "width")
        assert opened.step.values.tolist() == [10, 20, 30]


@pytest.mark.parametrize("rows", [0, 3])
def test_xarray_reads_tables_with_text(tmp_path, rows):
    columns = {"key": Column(np.array(["ä", "b", "c"][:rows], dtype=object)), "v": Column(np.arange(3.0)[:rows], "s")}
    storage.write(tmp_path / "a.h5", {"scores": columns}, schema=SCHEMA)
    with xarray.open_dataset(tmp_path / "a.h5", group="scores", engine="h5netcdf") as opened:
        assert opened.key.values.tolist() == ["ä", "b", "c"][:rows]
        assert opened.v.dims == ("row",) and opened.v.dtype == np.float64


def test_h5py_sees_checksums_compression_and_an_old_format(tmp_path):
    with h5py.File(small(tmp_path / "a.h5")) as file:
        for name in ("name", "seconds", "count"):
            dataset = file["scores"][name]
            assert dataset.fletcher32 and dataset.shuffle and dataset.compression == "gzip"
            assert dataset.dims[0][0].name == "/scores/row"
        assert file["scores/name"].attrs["_Encoding"] == "utf-8"


def test_appending_piece_by_piece_equals_writing_at_once(tmp_path):
    values, names = np.arange(50_000), [f"n{i}" for i in range(50_000)]
    with storage.create(tmp_path / "a.h5", SCHEMA) as writer:
        for start in range(0, 50_000, 7_000):
            part = slice(start, start + 7_000)
            writer.append("t", {"v": Column(values[part]), "n": Column(names[part], width=6)})
    table = storage.read(tmp_path / "a.h5", "t")
    assert (table["v"] == values).all() and table["n"].tolist() == names


def test_a_failed_writing_leaves_the_file_before_it(tmp_path):
    path = small(tmp_path / "a.h5")
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), storage.create(path, SCHEMA) as writer:
        writer.append("t", {"v": Column(np.arange(3))})
        raise ZeroDivisionError
    assert path.read_bytes() == before and [item.name for item in tmp_path.iterdir()] == ["a.h5"]


def test_an_open_file_stays_what_it_was_when_replaced(tmp_path):
    path = small(tmp_path / "a.h5")
    with storage.open_file(path) as file:
        storage.write(path, {"scores": {"count": Column(np.array([9]))}}, schema=SCHEMA)
        assert file.read("scores", ["count"])["count"].tolist() == [1, 2, 3]
    assert storage.read(path, "scores")["count"].tolist() == [9]


@settings(max_examples=40)
@given(
    st.one_of(
        hnp.arrays(st.sampled_from([np.float64, np.float32, np.float16, np.int64, np.uint8]), hnp.array_shapes()),
        hnp.arrays(object, hnp.array_shapes(max_dims=2), elements=TEXT),
    )
)
def test_any_array_comes_back(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("any") / "a.h5"
    storage.write(path, {"g": {"v": Column(values)}}, schema=SCHEMA)
    found = storage.read(path, "g")["v"]
    assert found.dtype == values.dtype and found.shape == values.shape
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    ("columns", "attributes", "message"),
    [
        ({"v": Column(np.float64(1))}, {}, "single value"),
        ({"v": Column(np.array([1j]))}, {}, "neither numbers nor strings"),
        ({"v": Column(["a\0b"])}, {}, "NUL"),
        ({"v": Column(["\ud800"])}, {}, "not text"),
        ({"v": Column([1, 2]), "w": Column([1])}, {}, "disagree on dimension 'row'"),
        ({"v": Column([1, 2], dims=("a", "b"))}, {}, "1 axes and 2 names"),
        ({"row": Column([[1], [2]]), "v": Column([1, 2])}, {}, "is a dimension and a column"),
        ({"v": Column([1])}, {"d": {"a": 1}}, "Attribute 'd'"),
        ({"v": Column([1])}, {"config": "x"}, "belong to the store"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_leaves_nothing(tmp_path, columns, attributes, message):
    with pytest.raises(StorageError, match=message):
        storage.write(tmp_path / "a.h5", {"g": columns}, attributes, schema=SCHEMA)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("second", [["long text"], [1.5], [["a"]]])
def test_pieces_of_another_type_are_refused(tmp_path, second):
    with pytest.raises(StorageError, match="appended were"), storage.create(tmp_path / "a.h5", SCHEMA) as writer:
        writer.append("t", {"v": Column(["abc"])})
        writer.append("t", {"v": Column(second)})


def test_unwritable_place(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        small(tmp_path / "file" / "a.h5")


def test_kind_and_version(tmp_path):
    path = small(tmp_path / "a.h5")
    with pytest.raises(StorageError, match="kind 'test', not 'scores'"):
        storage.open_file(path, Schema("scores", 2))
    with pytest.raises(StorageError, match="version 2 of 'test'; this gtn_hpc reads up to 1"):
        storage.open_file(path, Schema("test", 1))
    with storage.open_file(path, Schema("test", 3)) as file:
        assert file.schema.version == 2


def test_unknown_names_suggest(tmp_path):
    path = small(tmp_path / "a.h5")
    with pytest.raises(StorageError, match="Did you mean 'seconds'"):
        storage.read(path, "scores", ["second"])
    with pytest.raises(StorageError, match=r"no group 'score'\.\n  Did you mean 'scores'"):
        storage.read(path, "score")


def test_foreign_files_are_read_without_seal(tmp_path):
    path = tmp_path / "images.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((2, 3, 3, 1), np.uint8)
        file["labels"] = np.array([0, 1])
        file["classes"] = ["cat", "dog"]
        file["g/inner"] = np.arange(3)
        file.attrs["note"] = np.bytes_("hi")
    arrays = storage.read_arrays(path, ["images", "labels", "classes", "test_images"])
    assert set(arrays) == {"images", "labels", "classes"} and arrays["classes"].tolist() == ["cat", "dog"]
    with storage.open_file(path) as file:
        assert file.attributes == {"note": "hi"} and file.groups == ["g"]
        assert file.schema == Schema("", 0) and file.config == "" and file.environment == {}
        assert file.read("/", ["classes"], raw_strings=True)["classes"].tolist() == [b"cat", b"dog"]


def test_missing_foreign_and_unreadable_paths(tmp_path):
    with pytest.raises(StorageError, match="There is no file"):
        storage.read(tmp_path / "a.h5", "g")
    (tmp_path / "a.h5").write_text("not hdf5 at all")
    with pytest.raises(StorageError, match="not an HDF5 file"):
        storage.read(tmp_path / "a.h5", "g")
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(StorageError, match="not an HDF5 file"):
        storage.open_file(tmp_path / "a.h5")
    with pytest.raises(StorageError, match="Is a directory"):
        storage.open_file(tmp_path)
