"""Commands and programs in the documents do what they say."""

import re
import shlex

import pytest
from gtn_process import gtn
from test_commands import COMMANDS

from gtn_hpc.cli.app import app
from gtn_hpc.config import load


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
