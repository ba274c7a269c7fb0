"""`gtn scores show`: how many rows it lists, of runs wherever they are."""

import json

import pytest

from gtn_hpc.cli import main
from gtn_hpc.config import parse
from gtn_hpc.config.claim import claim
from gtn_hpc.core.records import Architecture
from gtn_hpc.scores import ArchitectureRow, Journal

ROWS = 25


@pytest.fixture
def show(tmp_path, monkeypatch, capsys):
    """Lists the architectures of a run that is found by its name below the home directory; what is printed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    run = claim(parse("run: {name: many, root: ~/runs}"), "search")
    architectures = (Architecture("conv", {"widths": [8, 8, width]}) for width in range(ROWS))
    with Journal(run.journal, "test") as journal:
        journal.append([ArchitectureRow.of(arch, params=1, flops=1) for arch in architectures])

    def shown(*options):
        assert main(["scores", "show", "many", "--root=~/runs", "--table", "architectures", *options]) == 0
        return capsys.readouterr().out

    return shown


def test_programs_get_all_rows_and_a_screen_the_first(show):
    assert [len(json.loads(show("--json", *limit))["rows"]) for limit in ((), ("--limit", "3"))] == [ROWS, 3]
    assert f"20 of {ROWS} rows of architectures" in show()
    assert f"{ROWS} of {ROWS} rows" in show("--limit", "1000")
    assert f"0 of {ROWS} rows" in show("--limit", "0")
