"""Whatever is wrong, the user reads what and how to mend it, in a few lines and with a telling exit code."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from gtn_process import gtn

from gtn_hpc import storage
from gtn_hpc.curriculum.parts import SCHEMA

LONGEST = 12
"""Lines of a message; those about missing data list places and ways."""


def refused(done, code, *words):
    assert done.code == code, done
    assert "Traceback" not in done.err
    assert done.out == ""
    assert done.err.startswith("gtn: ")
    assert len(done.err.splitlines()) <= LONGEST
    for word in words:
        assert word in done.err
    return done


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("meta.iteration=5", ["meta.iteration", "unknown key", "Did you mean 'iterations'"]),
        ("meta.iterations=many", ["meta.iterations", "integer", "many"]),
        ("meta.iterations='5'", ["meta.iterations", "integer"]),
        ("meta.replicas=-1", ["meta.replicas", "-1"]),
        ("teacher.curriculum.batch=0", ["teacher.curriculum.batch", "0"]),
        ("inner.lr=.nan", ["inner.lr", "finite"]),
        ("meta.lr=-0.1", ["meta.lr", "-0.1"]),
        ("search.space={name: nowhere}", ["search.space.name", "nowhere", "conv"]),
        ("inner.optimiser=lbfgs", ["inner.optimiser", "sgd"]),
        ("run.name=../up", ["run.name", "letters, digits, dots"]),
        ("learners=[{family: conv2-fc, widths: [8, 8]}]", ["learners.0", "3 hidden layers, widths has 2", "3 sizes"]),
        ("learners=[{width_quantum: 200}]", ["learners.0", "no multiple of width_quantum = 200", "conv2-fc"]),
        ("run.threads=100000", ["run.threads", "less than or equal to 1024", "100000"]),
        ("search.workers=100000", ["search.workers", "less than or equal to 1024", "100000"]),
        ("run.device=gpu", ["run.device", "cuda:N"]),
        ("search.algorithm=evolution", ["search.algorithm", "{name: evolution}", "names: random, evolution"]),
        ("search.space=3", ["search.space", "{name: conv}", "nasbench201"]),
        ("meta", ["meta", "Overrides look like"]),
    ],
)
def test_a_wrong_setting(empty, override, words):
    refused(gtn("train", "small.yaml", override, cwd=empty), 2, *words)
    assert not (empty / "runs").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["config.yaml", "No such file"]),
        ("", ["is empty", "run:"]),
        ("   \n", ["is empty"]),
        ("run: {name: a", ["not YAML"]),
        ("- 1\n- 2\n", ["not a mapping"]),
        ("meta: {iterations: 3}\n", ["run.name", "needs a value"]),
        (b"\xff\xfe\x00", ["UTF-8"]),
    ],
    ids=["missing", "empty", "blank", "not yaml", "list", "no name", "not text"],
)
@pytest.mark.parametrize("command", ["train", "search"])
def test_a_wrong_configuration_file(tmp_path, command, text, words):
    if text is not None:
        (tmp_path / "config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(gtn(command, "config.yaml", cwd=tmp_path), 2, *words)


def test_configurations_and_profiles_that_are_not_there(empty):
    (empty / "configs" / "site").mkdir(parents=True)
    (empty / "configs" / "deep").mkdir()
    (empty / "configs" / "deep" / "one.yaml").write_text("run: {name: one}\n")
    (empty / "configs" / "site" / "ours.yaml").write_text("name: ours\n")
    done = refused(gtn("train", "configs/one.yaml", cwd=empty), 2, "Shipped: configs/deep/one.yaml.")
    assert "site" not in done.err
    wanted = ["'ous'", "Did you mean 'ours'", "generic, ours", f"{empty / 'configs' / 'site'}", "FILE.yaml"]
    refused(gtn("plan", "small.yaml", "--site", "ous", cwd=empty), 2, *wanted)
    assert gtn("plan", "small.yaml", "--no-measure", "--site", "ours", cwd=empty).code == 0


def test_the_generic_profile_is_there_without_a_checkout(empty):
    named = gtn("plan", "small.yaml", "--no-measure", "--scripts", "--site", "generic", cwd=empty)
    assert (named.code, named.out) == (0, gtn("plan", "small.yaml", "--no-measure", "--scripts", cwd=empty).out)
    refused(gtn("train", "no.yaml", cwd=empty), 2, f"{empty / 'configs'}", "Name a YAML file by its path")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["final", "small.yaml", "--top-k", "0"], ["--top-k", "greater than or equal to 1"]),
        (["final", "small.yaml", "final.top_k=0"], ["final.top_k", "0"]),
        (["evaluate", "small", "--learners", "-3"], ["--learners"]),
        (["evaluate", "small", "--real-steps", "0"], ["--real-steps"]),
        (["evaluate", "small", "--split", "train"], ["Invalid value for '--split': 'train' is not one of"]),
        (["evaluate", "small", "--family", "liner"], ["no family of learners 'liner'", "'linear'"]),
        (["trian", "small.yaml"], ["No such command 'trian'", "train"]),
        (["train"], ["Missing argument 'CONFIG'", "gtn train --help"]),
        (["train", "small.yaml", "--iterations"], ["No such option", "--iterations"]),
        (["export", "small"], ["Nothing to do", "-o FILE.h5"]),
        (["export", "small", "-o", "teacher.tar"], ["'teacher.tar'", ".h5, .hdf5, .npz", "folder"]),
        (["export", "small", "-o", "a.npz", "--dtype", "float16"], ["float16 is for .h5 alone"]),
        (["export", "small", "-o", "a.npz", "--passes", "2"], ["--passes 2 is for .h5 alone"]),
        (["export", "small", "-o", "a.npz", "--format", "h5"], ["'a.npz' does not go with --format h5"]),
        (["export", "small", "-o", "a", "--format", "xz"], ["--format", "xz"]),
        (["scores", "export", "small", "-o", "a.xlsx"], ["'a.xlsx'", ".csv, .parquet"]),
        (["scores", "export", "small", "-o", "a.csv", "--format", "parquet"], ["does not go with --format parquet"]),
        (["scores", "export", "small", "-o", "a.csv", "--table", "fnal"], ["no table 'fnal'", "final"]),
        (["scores", "export", "small"], ["Missing option '-o'"]),
        (["plan", "small.yaml", "--figure", "fig"], ["--figure", "--simulate"]),
        (["plan", "small.yaml", "--nodes", "4"], ["--nodes", "--simulate"]),
        (["submit", "small.yaml", "--cluster", "slrum", "--dry-run"], ["no cluster 'slrum'", "'slurm'", "local"]),
        (["config", "mta"], ["no key 'mta'", "'meta'"]),
        (["scores", "show", "small", "--table", "fnal"], ["no table 'fnal'", "final"]),
    ],
)
def test_a_wrong_command_line(workplace, arguments, words):
    refused(gtn(*arguments, cwd=workplace), 2, *words)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.name=nosuchset", ["no image set named 'nosuchset'", "fashion_mnist"]),
        ("data.validation=100000", ["data.validation = 100000", "a share below 1"]),
        ("data.validation=0.0001", ["data.validation = 0.0001", "one is none to judge by"]),
        ("data.train=5", ["data.train is 5", "10 classes"]),
        ("data.augment.crop=9", ["data.augment.crop is 9", "below 8"]),
    ],
)
def test_a_setting_that_does_not_fit_the_images(empty, override, words):
    refused(gtn("train", "small.yaml", override, cwd=empty), 2, *words)


def test_a_set_that_nobody_knows(empty):
    refused(gtn("data", "info", "nosuch", cwd=empty), 2, "no image set named 'nosuch'")
    refused(gtn("data", "fetch", "foo", cwd=empty), 2, "'foo' is not a set that can be fetched")


@pytest.mark.parametrize(
    ("line", "words"), [("{", ["line 1: not JSON"]), ('{"widths": [8, 8, 99]}', ["line 1", "conv: widths[2]"])]
)
def test_a_list_with_a_bad_line(workplace, empty, line, words):
    (empty / "list.jsonl").write_text(line)
    taught = f"search.curriculum={workplace / 'runs' / 'small' / 'curriculum.h5'}"
    done = gtn("search", "small.yaml", "search.algorithm={name: list, path: list.jsonl}", taught, cwd=empty)
    refused(done, 2, "list.jsonl", *words)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "no/such/place"])
def test_missing_data(empty, name):
    nowhere = empty / "nowhere"
    done = refused(gtn("train", "small.yaml", f"data={{name: {name}, root: {nowhere}}}", cwd=empty), 1)
    assert "nowhere" in done.err or "no/such/place" in done.err
    if name != "no/such/place":
        assert f"gtn data fetch {name}" in done.err


def idx(path, array):
    path.write_bytes(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())


@pytest.mark.parametrize("harm", ["cut", "labels", "garbage"])
def test_corrupt_idx(empty, harm):
    images, labels = np.zeros((40, 8, 8), np.uint8), np.arange(40, dtype=np.uint8) % 10
    place = empty / "set"
    place.mkdir()
    for part in ("train", "t10k"):
        idx(place / f"{part}-images-idx3-ubyte", images)
        idx(place / f"{part}-labels-idx1-ubyte", labels[: -3 if harm == "labels" else None])
    file = place / "train-images-idx3-ubyte"
    if harm == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    if harm == "garbage":
        file.write_bytes(os.urandom(500))
    refused(gtn("train", "small.yaml", f"data={{name: {place}}}", cwd=empty), 1, "train-")


@pytest.mark.parametrize("command", [["evaluate"], ["export", "--digest"], ["scores", "digest"]])
@pytest.mark.parametrize("harm", ["garbage", "empty", "cut", "flipped", "missing"])
def test_corrupt_hdf5(workplace, tmp_path, command, harm):
    good = workplace / "runs" / "small" / ("scores.h5" if command[0] == "scores" else "curriculum.h5")
    content = bytearray(good.read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / "bad.h5"
    made = {"garbage": b"no HDF5", "empty": b"", "cut": content[: len(content) // 2], "flipped": content}
    if harm != "missing":
        path.write_bytes(made[harm])
    refused(gtn(*command, path, cwd=tmp_path), 1, "bad.h5")


def test_an_empty_table_is_not_exported(workplace, tmp_path):
    done = gtn("scores", "export", "small", "-o", tmp_path / "a.csv", "--table", "conflicts", cwd=workplace)
    refused(done, 1, "no rows in its table 'conflicts'", "Tables with rows: scores (")
    assert not [*tmp_path.iterdir()]


def test_a_folder_with_something_in_it_is_no_place_for_pictures(workplace, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    refused(gtn("export", "small", "-o", tmp_path, "--force", cwd=workplace), 1, "is there already", "not empty")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_of_another_kind(workplace):
    run = workplace / "runs" / "small"
    refused(gtn("evaluate", run / "scores.h5", cwd=workplace), 1, "scores.h5", "'scores'", "'curriculum'")
    refused(gtn("scores", "digest", run / "curriculum.h5", cwd=workplace), 1, "'curriculum'", "'scores'")


def test_an_unwritable_run_directory(empty):
    (empty / "taken").write_text("a file is here")
    refused(gtn("train", "small.yaml", "run.root=taken", cwd=empty), 1, "taken/small", "run.root")
    if os.getuid() != 0:  # root may write anywhere
        (empty / "closed").mkdir(mode=0o555)
        refused(gtn("train", "small.yaml", "run.root=closed", cwd=empty), 1, "cannot be written")


@pytest.mark.parametrize(
    "command",
    [
        ["report", "small", "-o"],
        ["export", "small", "-o"],
        ["plan", "small.yaml", "--simulate", "--nodes", "1", "--figure"],
        ["scores", "export", "small", "--table", "scores", "--format", "csv", "-o"],
        ["scores", "merge", "small", "-o"],
    ],
    ids=["report", "export", "figure", "scores", "merge"],
)
@pytest.mark.parametrize("place", ["/dev/null/a{}", "/sys/a{}"])
def test_an_output_that_cannot_be_written(workplace, command, place):
    ending = {"export": ".h5", "scores": ".csv"}.get(command[0], "")
    refused(gtn(*command, place.format(ending), cwd=workplace), 1, "cannot be written", place[:5], "Name a place")


def test_a_demo_that_cannot_be_written(tmp_path):
    refused(gtn("demo", "--root", "/dev/null/x", cwd=tmp_path), 1, "cannot be written", "--root DIRECTORY")
    (tmp_path / "20261127").touch()
    refused(gtn("demo", "--root", "20261127", cwd=tmp_path), 1, "20261127/digits cannot be written")


def test_a_page_is_not_written_over_a_folder(workplace, tmp_path):
    refused(gtn("report", "small", "-o", tmp_path, cwd=workplace), 1, f"{tmp_path} is a folder", "Name a file")
    assert not [*tmp_path.iterdir()]


def test_a_name_taken_by_another_configuration(workplace):
    done = gtn("train", "small.yaml", "meta.lr=0.5", "inner.momentum=0.1", cwd=workplace)
    refused(done, 1, "'small'", "meta.lr: was 0.01, now 0.5", "inner.momentum", "run.name")
    refused(gtn("search", "small.yaml", "search.replicas=2", cwd=workplace), 1, "search.replicas: was 1, now 2")


def curriculum(path, shape, classes=10):
    steps, batch = 2, 3
    values = {
        "x": (np.zeros((steps, batch, *shape), np.float32), ("step", "image", "channel", "height", "width")),
        "y": (np.full((steps, batch, classes), 1 / classes, np.float32), ("step", "image", "class")),
        "lr": (np.ones(steps, np.float32), ("step",)),
        "momentum": (np.zeros(steps, np.float32), ("step",)),
    }
    columns = {name: storage.Column(value, dims=dims) for name, (value, dims) in values.items()}
    storage.write(path, {"/": columns}, {"order": "fixed"}, schema=SCHEMA)
    return path


@pytest.mark.parametrize(("shape", "classes"), [((1, 28, 28), 10), ((3, 8, 8), 10), ((1, 8, 8), 7)])
def test_a_curriculum_of_other_images(empty, shape, classes):
    path = curriculum(empty / "other.h5", shape, classes)
    size = "x".join(map(str, shape))
    refused(gtn("evaluate", path, "--config", "small.yaml", cwd=empty), 1, size, "1x8x8", "digits")
    refused(gtn("search", "small.yaml", f"search.curriculum={path}", cwd=empty), 1, size, "1x8x8")


def test_a_foreign_curriculum_without_a_configuration(tmp_path):
    path = curriculum(tmp_path / "bare.h5", (1, 8, 8))
    refused(gtn("evaluate", path, cwd=tmp_path), 2, "does not carry the configuration", "--config CONFIG")


def test_stages_in_the_wrong_order(empty):
    refused(gtn("search", "small.yaml", cwd=empty), 1, "no curriculum.h5", "gtn train CONFIG", "search.curriculum")
    refused(gtn("final", "small.yaml", cwd=empty), 1, "no scored architecture", "gtn search")
    refused(gtn("export", "small", "--digest", cwd=empty), 1, "no curriculum.h5")
    refused(gtn("evaluate", "smal", cwd=empty), 1, "no run 'smal'", "runs/smal")


def test_scores_and_curricula_that_are_not_there(empty):
    run = empty / "runs" / "fresh"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("run: {name: fresh}")
    refused(gtn("scores", "show", "fresh", cwd=empty), 1, "scores.h5", "Nothing is scored yet: gtn search CONFIG")
    refused(gtn("scores", "verify", "fresh", "fresh", cwd=empty), 1, "fresh", "gtn search CONFIG")
    refused(gtn("scores", "show", "no.h5", cwd=empty), 1, "no file no.h5", "Look at the path")
    refused(gtn("export", "no.h5", "--digest", cwd=empty), 1, "no file no.h5", "gtn train or gtn export")
    missing = gtn("search", "small.yaml", "search.curriculum=no.h5", cwd=empty)
    refused(missing, 2, "search.curriculum: There is no file no.h5", "gtn train or gtn export")
    for name in ("fresh", "frsh"):
        refused(
            gtn("reproduce", name, "--arch", "87", cwd=empty), 1, "gtn search CONFIG" if name == "fresh" else "no run"
        )


def test_a_curriculum_that_is_a_directory(workplace, empty):
    run = workplace / "runs" / "small"
    done = gtn("search", "small.yaml", f"search.curriculum={run}", cwd=empty)
    refused(done, 2, f"{run} is a directory", f"Name the file in it: {run}/curriculum.h5")
    refused(gtn("search", "small.yaml", "search.curriculum=.", cwd=empty), 2, "It has no curriculum.h5")


@pytest.mark.parametrize(
    "command", [["search"], ["final"], ["plan", "--simulate"], ["submit", "--stage", "search", "--dry-run"]]
)
def test_an_environment_has_no_architectures_to_score(empty, command):
    place = Path(__file__).parents[2] / "configs" / "rl" / "cartpole.yaml"
    done = gtn(command[0], place, *command[1:], cwd=empty)
    refused(done, 2, "with the section rl", "gtn train, gtn evaluate")
    assert not (empty / "runs").exists()
    planned = gtn("plan", place, "--no-measure", "--json", cwd=empty).json
    assert [stage["stage"] for stage in planned["stages"]] == ["train"]


def test_training_that_diverges(empty):
    done = gtn(
        "train", "small.yaml", "inner.lr=1e30", "meta={iterations: 9, max_refused: 2, max_returns: 0}", cwd=empty
    )
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "not finite" in done.err
    assert "inner.lr" in done.err


def test_an_error_nobody_foresaw_is_told_in_a_line_and_kept_in_a_file(workplace):
    run = workplace / "runs" / "small"
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").unlink()
    (run / "config.yaml").mkdir()
    try:
        done = gtn("train", "small.yaml", cwd=workplace)
    finally:
        (run / "config.yaml").rmdir()
        (run / "config.yaml").write_text(config)
    refused(done, 1, "Unexpected IsADirectoryError", "crash-")
    named = done.err.split()[-1]
    assert "Traceback" in open(workplace / named).read()
    os.unlink(workplace / named)
