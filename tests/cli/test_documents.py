"""Commands and programs in the documents do what they say."""

import re
import shlex

import pytest
from gtn_process import gtn
from test_commands import COMMANDS

from gtn_hpc.cli.app import app
from gtn_hpc.config import load, parse
from gtn_hpc.core.records import ImageShape
from gtn_hpc.core.rundir import _own_names
from gtn_hpc.data.catalogue import KNOWN, NAMES
from gtn_hpc.data.folder import SUFFIXES
from gtn_hpc.data.places import VARIABLE
from gtn_hpc.search.fixed_list import read_list
from gtn_hpc.spaces import make_space


def blocks(page, language=""):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def commands(text):
    """Every `gtn ...` line of the README's blocks."""
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["gtn"] and len(words) > 1:
            yield words[1:]


def test_the_readme_shows_commands_that_exist(root):
    shown = [words for block in blocks(root / "README.md") for words in commands(block)]
    assert len(shown) > 6
    assert {words[0] for words in shown} <= set(COMMANDS["gtn"])


def test_the_readme_names_configurations_that_load(root):
    named = set(re.findall(r"configs/[\w/]+\.yaml", (root / "README.md").read_text()))
    assert named
    for name in named:
        load(root / name)


def test_the_documents_name_all_that_lies_in_a_run(root):
    table = "".join(re.findall(r"^\| `.*", (root / "docs" / "files.md").read_text(), flags=re.MULTILINE))
    assert [name for name in sorted(_own_names()) if f"`{name}" not in table] == []


def test_modules_of_the_readme_exist(root):
    named = set(re.findall(r"`(gtn_hpc(?:\.\w+)+)`", (root / "README.md").read_text()))
    assert len(named) > 10
    for name in named:
        path = root / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), name


def test_a_file_written_as_the_documents_say_teaches(root, empty):
    (program,) = [block for block in blocks(root / "docs" / "files.md", "python") if "h5py" in block]
    exec(program.replace('"mine.h5"', repr(str(empty / "mine.h5"))))
    done = gtn("evaluate", "mine.h5", "--config", "small.yaml", "--no-real-data", "--json", cwd=empty)
    assert done.code == 0, done.err
    assert len(done.json["evaluation"]["teacher"]["after_step"]) == 8


def test_a_winner_is_loaded_as_the_documents_say(root, tmp_path):
    from gtn_hpc.config import parse as parsed
    from gtn_hpc.core.records import Architecture
    from gtn_hpc.data import load as load_images
    from gtn_hpc.final.finisher import Finisher
    from gtn_hpc.final.winner import Winner

    space = "search.space={name: conv, widths: [[4, 9], [4, 9], [4, 9]]}"
    config = parsed("run: {name: a}", ["data.train=100", "final.epochs=1", space])
    splits, arch = load_images(config.data, seed=0), Architecture("conv", {"widths": [4, 4, 4]})
    Finisher(config, splits, tmp_path).train(Winner(arch, 1, 0.5))
    (program,) = [block for block in blocks(root / "docs" / "files.md", "python") if "load_winner" in block]
    names = {"images": splits.test.images}
    exec(program.replace('"runs/digits"', repr(str(tmp_path))), names)
    assert names["logits"].shape == (len(splits.test), 10)
    assert names["winner"].arch == arch


@pytest.fixture
def own_sets(root, tmp_path, monkeypatch):
    """Where the programs of docs/data.md have written their sets."""
    monkeypatch.chdir(tmp_path)
    exec("\n".join(blocks(root / "docs" / "data.md", "python")), {})
    return tmp_path


@pytest.mark.parametrize(
    ("name", "channels", "classes", "splits"),
    [
        ("mine.npz", 3, ["ants", "bees", "wasps"], [432, 48, 120]),
        ("mine.h5", 3, ["0", "1", "2"], [450, 50, 100]),
        ("mine", 3, ["ants", "bees", "wasps"], [450, 50, 100]),
        ("train-images-idx3-ubyte", 1, ["0", "1", "2"], [432, 48, 120]),
        (".", 1, ["0", "1", "2"], [432, 48, 120]),
    ],
)
def test_sets_written_as_the_documents_say_are_read(own_sets, name, channels, classes, splits):
    done = gtn("data", "info", f"./{name}", "--json", cwd=own_sets)
    assert done.code == 0, done.err
    assert done.json["shape"] == {"channels": channels, "height": 12, "width": 16}
    assert done.json["classes"] == classes
    assert [part["images"] for part in done.json["splits"].values()] == splits


def test_the_documents_name_the_places_and_endings_that_are_looked_for(root):
    text = (root / "docs" / "data.md").read_text()
    words = [
        *SUFFIXES,
        *NAMES,
        VARIABLE,
        *(place for known in KNOWN.values() for place in (*known.below, *known.fixed)),
    ]
    assert [word for word in map(str, words) if f"`{word}`" not in text] == []


@pytest.mark.parametrize("space", ["conv", "chain", "nao_cell", "nasbench201"])
def test_lists_of_the_documents_are_architectures(root, tmp_path, space):
    (lines,) = blocks(root / "docs" / "search.md", f"json {space}")
    (tmp_path / "list.jsonl").write_text(lines)
    section = parse("run: {name: a}", [f"search.space={{name: {space}}}"]).search.space
    found = read_list(tmp_path / "list.jsonl", make_space(section, ImageShape(1, 8, 8), 10))
    assert [arch.space for arch in found] == [space, space]


def test_a_list_of_the_documents_is_searched(root, workplace, tmp_path):
    own = gtn("scores", "show", "small", "--table", "architectures", "--json", cwd=workplace).json
    specs = [row["spec"] for row in own["rows"]][:4]
    assert len(specs) == 4
    (tmp_path / "list.jsonl").write_text("\n".join(specs))
    algorithm = f"search.algorithm={{name: list, path: {tmp_path}/list.jsonl}}"
    more = ("run.name=listed", "search.curriculum=runs/small/curriculum.h5", "search.certificate.fraction=0")
    done = gtn("search", "small.yaml", algorithm, *more, "--json", cwd=workplace)
    assert done.code == 0, done.err
    listed = gtn("scores", "show", "listed", "--table", "architectures", "--json", cwd=workplace).json
    assert sorted(row["spec"] for row in listed["rows"]) == sorted(specs)


def test_tables_open_as_the_documents_say(root, workplace, capsys):
    (program,) = [block for block in blocks(root / "docs" / "files.md", "python") if "scores.open" in block]
    exec(program.replace("runs/digits", str(workplace / "runs" / "small")))
    assert "val_accuracy" in capsys.readouterr().out


def test_exports_open_as_the_documents_say(root, workplace, tmp_path, capsys):
    assert gtn("export", "small", "-o", tmp_path / "teacher.npz", cwd=workplace).code == 0
    for word, place in (("np.load", ("teacher.npz", tmp_path / "teacher.npz")),
                        ("xarray", ("runs/digits", workplace / "runs" / "small"))):  # fmt: skip
        (program,) = [block for block in blocks(root / "docs" / "files.md", "python") if word in block]
        exec(program.replace(place[0], str(place[1])))
    printed = capsys.readouterr().out
    assert "(3, 10, 1, 8, 8)" in printed
    assert "fraction of the validation split classified rightly" in printed


@pytest.mark.parametrize("command", [command.name or command.callback.__name__ for command in app.registered_commands])
def test_the_frozen_list_is_that_of_the_program(command):
    assert command in COMMANDS["gtn"]
