"""The scripts of analysis/ as programs, on a machine without torch; one process runs them all, to start but once."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest
from report_runs import Sizes, whole_run

from gtn_hpc import scores, stats
from gtn_hpc.report.evidence import gather
from gtn_hpc.report.frames import cost, ranking

SCRIPTS = sorted((Path(__file__).resolve().parents[2] / "analysis").glob("*.py"))
NAMES = [path.stem for path in SCRIPTS if path.stem != "policy_returns"]
"""Of those that show runs of image sets."""

ARGUMENTS = {"step_equivalence": ["--truth", "certificate"]}
"""What scripts are given beside a run in which every stage was done, and `-o`."""

PROGRAM = """
import contextlib, io, json, runpy, sys
told = []
for command in json.load(sys.stdin):
    sys.argv = command
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(command[0], run_name="__main__")
        except SystemExit as end:
            told.append({"code": end.code or 0})
    told[-1] |= {"out": out.getvalue(), "err": err.getvalue()}
assert "torch" not in sys.modules
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def analysed(launch, torch_blocked, finished, tmp_path_factory):
    """What each command line printed and returned, by name; files lie in `.directory`."""
    directory = tmp_path_factory.mktemp("analysed")
    other = whole_run(directory, "other", Sizes(12, 6, 0, winners=0))
    out = directory / "out"
    commands = {name: [name, finished.path, "-o", out / name, *ARGUMENTS.get(name, [])] for name in NAMES}
    flat = whole_run(directory, "flat", Sizes(12, 8, 0, constant=True))
    commands |= {f"help {name}": [name, "--help"] for name in NAMES}
    commands["few"] = ["rank_correlation", finished.scores, "-o", directory / "few", "--resamples", "500"]
    commands["constant"] = ["rank_correlation", flat.scores, "-o", directory / "constant", "--resamples", "50"]
    commands["two"] = ["search_efficiency", finished.path, other.scores, "-o", directory / "two", "--by", "seconds"]
    commands["busy"] = ["utilisation", finished.path, other.path, "-o", directory / "busy"]
    commands["lost"] = ["pareto", directory / "nothing.h5"]
    commands["no fidelity"] = ["rank_correlation", finished.path, "--fidelity", "3"]
    commands["no cost"] = ["pareto", finished.path, "--cost", "money"]
    commands["few winners"] = ["step_equivalence", finished.path]
    commands["few truths"] = ["step_equivalence", other.path, "--truth", "certificate"]
    commands["no winners"] = ["table1", finished.path, other.path]
    commands["not judged"] = ["curriculum_arms", finished.path, "--split", "test"]
    commands["no split"] = ["cross_architecture", finished.path, "--split", "train"]
    commands["by final"] = ["rank_correlation", finished.path, "--truth", "final", "-o", directory / "final"]
    lines = [[str(SCRIPTS[0].parent / f"{name}.py"), *map(str, rest)] for name, *rest in commands.values()]
    program, listed = directory / "program.py", directory / "commands.json"
    program.write_text(PROGRAM.replace("sys.stdin", f"open({str(listed)!r})"))
    listed.write_text(json.dumps(lines))
    told = json.loads(launch([sys.executable, program], environ=torch_blocked, timeout=280).stdout)
    return directory, dict(zip(commands, told, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_it_writes_picture_table_and_facts(analysed, name):
    directory, told = analysed
    assert told[name]["code"] == 0, told[name]["err"]
    png, svg, table, facts = (directory / "out" / f"{name}.{kind}" for kind in ("png", "svg", "csv", "json"))
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert svg.read_text().startswith("<svg")
    written = json.loads(facts.read_text())
    assert len(pd.read_csv(table)) == len(written["rows"]) > 0
    assert written["facts"]


@pytest.mark.parametrize("name", NAMES)
def test_it_has_help(analysed, name):
    told = analysed[1][f"help {name}"]
    assert told["code"] == 0
    assert "-o STEM" in told["out"]
    assert "PATH" in told["out"]


def test_nothing_imports_the_scripts():
    root = SCRIPTS[0].parents[1]
    assert len(SCRIPTS) >= 6
    assert not [path for path in (root / "gtn_hpc").rglob("*.py") if "import analysis" in path.read_text()]


def test_correlations_equal_those_of_stats(analysed, finished):
    table = pd.read_csv(analysed[0] / "few.csv").set_index(["subset", "statistic"])
    pairs = gather(finished).pairs.sort_values("arch")
    expected = stats.spearman(pairs["estimate"], pairs["truth"], rng=ranking.generator(0), resamples=500)
    found = table.loc[("all", "Spearman"), ["value", "low", "high"]].tolist()
    assert found == pytest.approx([expected.value, expected.low, expected.high], abs=1e-12)


def test_constant_scores_are_told_in_words(analysed):
    directory, told = analysed
    assert told["constant"]["code"] == 0, told["constant"]["err"]
    table = pd.read_csv(directory / "constant.csv")
    assert table["value"].isna().all() and len(table) == 4
    assert table["note"].str.contains("the estimate is the same for all points: it ranks nothing").all()
    assert "it ranks nothing" in told["constant"]["out"]


def test_a_default_is_told_once_and_only_where_there_is_one():
    from gtn_hpc.report import script

    made = script.parser("What.")
    made.add_argument("--fidelity", type=int, help="steps (default: all there are)")
    made.add_argument("--seed", type=int, default=3, help="seed")
    told = " ".join(made.format_help().split())
    assert "steps (default: all there are) --seed" in told
    assert "seed (default: 3)" in told
    assert "None" not in told


def test_the_truth_is_named(analysed):
    assert json.loads((analysed[0] / "few.json").read_text())["facts"]["recipe"] == ["real data, 1200 steps"]
    facts = json.loads((analysed[0] / "final.json").read_text())["facts"]
    assert facts == {"truth": "final", "recipe": ["sgd cosine lr=0.025"]}


def test_several_runs_keep_their_names(analysed):
    assert set(pd.read_csv(analysed[0] / "two.csv")["run"]) == {"digits", "other"}


def test_a_run_is_named_with_its_dots(tmp_path):
    from gtn_hpc.report import script

    runs = [tmp_path / name for name in ("lr0.1", "lr0.2")]
    for run in runs:
        run.mkdir()
    assert list(script.names([*runs, tmp_path / "lr0.3" / "scores.h5", tmp_path / "merged.h5"])) == [
        "lr0.1",
        "lr0.2",
        "lr0.3",
        "merged",
    ]


def test_workers_of_several_runs_are_busy_for_a_share_of_their_own_run(analysed, finished):
    directory, told = analysed
    assert told["busy"]["code"] == 0, told["busy"]["err"]
    table = pd.read_csv(directory / "busy.csv")
    spent = json.loads((directory / "busy.json").read_text())["facts"]["seconds of work"]
    for name, path in (("digits", finished.path), ("other", directory / "other")):
        with scores.open(path) as tables:
            rows = cost.work(tables)
        own, expected = table[table["run"] == name].drop(columns="run"), cost.workers(rows)
        pd.testing.assert_frame_equal(own.reset_index(drop=True), expected)
        own_spent = [{key: row[key] for key in ("work", "rows", "seconds")} for row in spent if row["run"] == name]
        assert own_spent == cost.totals(rows).to_dict("records")


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("lost", 1, "no file"),
        ("no fidelity", 1, "certificate"),
        ("no cost", 2, "money"),
        ("few winners", 1, "--top-k N. Or take the end of the learning curves as the truth: --truth certificate"),
        ("few truths", 1, "6 architectures have"),
        ("no winners", 1, "gtn final CONFIG"),
        ("not judged", 1, "gtn evaluate RUN --split test"),
        ("no split", 2, "train"),
    ],
)
def test_errors_are_short(analysed, command, code, words):
    told = analysed[1][command]
    assert told["code"] == code
    assert "error: " in told["err"]
    assert words in told["err"]
    assert "Traceback" not in told["err"]


def test_what_was_found_is_said_in_words(analysed):
    directory, told = analysed
    for name in ("step_equivalence", "curriculum_arms", "cross_architecture", "table1"):
        words = json.loads((directory / "out" / f"{name}.json").read_text())["words"]
        assert words
        assert told[name]["out"].endswith("\n".join(words) + "\n")
