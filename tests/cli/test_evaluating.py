"""`gtn evaluate`: by whom, on what, and beside what."""

import math
import re
from pathlib import Path

import pytest
import torch
from gtn_process import gtn

from gtn_hpc.cli import main
from gtn_hpc.cli.judged import _steps
from gtn_hpc.curriculum.file import read, write
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.meta.judge import config_of, reencode

JUDGES = """
run: {name: judges}
data: {name: digits, train: 200, validation: 50, test: 50}
learners: [{family: linear, widths: [4, 4]}, {family: conv2-gap, widths: [2, 3]}]
"""


def test_evaluate_agrees_with_train_and_knows_the_test_split(workplace):
    trained = gtn("train", "small.yaml", "--json", cwd=workplace).json
    judged = gtn("evaluate", "small", "--json", cwd=workplace).json
    kept = judged["evaluation"].pop("file")
    assert judged == {
        "curriculum": trained["curriculum"],
        "digest": trained["digest"],
        "evaluation": trained["evaluation"],
    }
    assert (workplace / kept).parent == workplace / "runs" / "small" / "evaluations"
    assert (workplace / kept).is_file()
    test = gtn(
        "evaluate", "runs/small", "--split", "test", "--learners", "2", "--no-real-data", "--json", cwd=workplace
    ).json["evaluation"]
    assert (test["split"], test["learners"], "real_data" in test) == ("test", 2, False)


@pytest.mark.parametrize(
    "command", [["evaluate", "small"], ["export", "small", "--digest"], ["check-grad", "small.yaml"]]
)
def test_ranks_that_would_only_repeat_each_other_are_refused(command, monkeypatch, capsys):
    for name, value in {"RANK": 0, "SIZE": 2, "LOCAL_RANK": 0, "LOCAL_SIZE": 2}.items():
        monkeypatch.setenv(f"OMPI_COMM_WORLD_{name}", str(value))
    assert main(command) == 2
    told = capsys.readouterr().err
    assert f"gtn {command[0]} works in one process, but openmpi started 2." in told
    assert f"Start it without a launcher: gtn {command[0]}" in told


def test_one_learner_has_no_spread(empty):
    done = gtn("train", "small.yaml", "evaluate.during=1", "evaluate.every=2", "evaluate.learners=1", cwd=empty)
    assert done.code == 0, done.err
    assert "1 fresh learner reaches" in done.err
    told = (done.out + done.err).lower()
    assert "nan" not in told
    assert "warning" not in told
    assert "(sd" not in told
    events = (empty / "runs" / "small" / "events" / "train.jsonl").read_text()
    assert '"sd": null' in events


def test_what_is_written_anew_is_judged_with_the_threads_of_its_configuration(workplace, tmp_path):
    given = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        taught = read(workplace / "runs" / "small" / "curriculum.h5")
        reencode(taught, tmp_path / "half.h5", "float16", torch.device("cpu"))
        assert torch.get_num_threads() == config_of(taught).run.threads == 1
    finally:
        torch.set_num_threads(given)


def test_learners_that_diverge_are_counted(workplace, tmp_path):
    taught = read(workplace / "runs" / "small" / "curriculum.h5")
    x, y, lr = taught.frozen.x, taught.frozen.y, torch.full((taught.frozen.steps,), 1e30)
    wild = Frozen(x, y, lr, torch.zeros_like(lr), "fixed")
    write(tmp_path / "wild.h5", wild, taught.description, config=taught.config)
    told = gtn("evaluate", tmp_path / "wild.h5", "--learners", "2", "--json", cwd=workplace).json["evaluation"]
    assert (told["teacher"]["diverged"], told["real_data"]["diverged"]) == (2, 0)
    people = gtn("evaluate", tmp_path / "wild.h5", "--learners", "2", "--real-steps", "5", cwd=workplace)
    assert people.code == 0, people.err
    assert "diverged, and count as guessing: the teacher 2 of 2, real data 0 of 2, real data in 5" in people.out
    assert "diverged" not in gtn("evaluate", "small", "--learners", "2", "--no-real-data", cwd=workplace).out


def test_evaluate_by_other_families(workplace, tmp_path):
    (tmp_path / "judges.yaml").write_text(JUDGES)
    families = ["--family", "linear", "--family", "conv2-gap"]
    options = ["--config", tmp_path / "judges.yaml", "--learners", "2", "--no-real-data"]
    done = gtn("evaluate", "small", *families, *options, "--json", cwd=workplace)
    assert done.code == 0, done.err
    told = done.json["families"]
    assert list(told) == ["linear", "conv2-gap"]
    assert {found["learners"] for found in told.values()} == {2}
    names = [Path(found["file"]).name for found in told.values()]
    assert [name.split("-")[1] for name in names] == ["linear", "conv2"]
    people = gtn("evaluate", "small", *families, *options, cwd=workplace)
    assert "never-seen learners of the family conv2-gap" in people.out


def test_evaluate_tells_how_many_real_steps_are_worth_the_teacher(workplace):
    steps = ["--learners", "2", "--real-steps", "40", "--real-steps", "20"]
    told = gtn("evaluate", "small", *steps, "--json", cwd=workplace).json["evaluation"]
    own = len(told["teacher"]["after_step"])
    assert list(told["real_data_for"]) == [str(own), "20", "40"]
    reached = [told["teacher"]["value"] <= side["value"] for side in told["real_data_for"].values()]
    assert (told["steps_to_equal"]["value"] <= 40) == any(reached)
    people = gtn("evaluate", "small", *steps, "--no-real-data", cwd=workplace)
    assert "Real data by inner steps" in people.out
    assert f"the teacher takes {own}." in people.out


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (110.2, 96.0, 118.0, "110 [96, 118]"),
        (110.2, 32.0, math.inf, "110 [32 or fewer, more than 128]"),
        (math.inf, 100.0, math.inf, "more than 128 [100, more than 128]"),
        (math.inf, math.inf, math.inf, "more than 128"),
        (32.0, 32.0, 32.0, "32 or fewer"),
        (110.2, math.nan, math.nan, "110"),
    ],
)
def test_beyond_the_steps_that_were_tried_nothing_is_known(value, low, high, words):
    assert _steps({"value": value, "low": low, "high": high}, [32, 64, 128]) == words


def test_an_evaluation_of_a_loose_file_is_kept_nowhere(workplace, tmp_path):
    copy = tmp_path / "copy.h5"
    copy.write_bytes((workplace / "runs" / "small" / "curriculum.h5").read_bytes())
    told = gtn("evaluate", copy, "--no-real-data", "--learners", "1", "--json", cwd=workplace).json["evaluation"]
    assert told["file"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["copy.h5"]


def test_export_shows_a_curriculum_several_times_over(workplace, tmp_path):
    own = gtn("evaluate", "small", "--learners", "2", "--no-real-data", "--json", cwd=workplace).json["evaluation"]
    done = gtn("export", "small", "-o", tmp_path / "twice.h5", "--passes", "2", "--json", cwd=workplace)
    assert done.code == 0, done.err
    twice = gtn("evaluate", tmp_path / "twice.h5", "--learners", "2", "--no-real-data", "--json", cwd=workplace).json
    assert twice["digest"] == done.json["digest"]
    curve = twice["evaluation"]["teacher"]["after_step"]
    assert len(curve) == 2 * len(own["teacher"]["after_step"])
    assert curve[:2] == own["teacher"]["after_step"][:2]


def test_evaluate_shows_how_far_it_is(workplace):
    done = gtn("evaluate", "small", "--family", "linear", "--no-real-data", "--learners", "3", cwd=workplace)
    assert re.search(r"judging linear (\d+)/\1 ", done.err)
