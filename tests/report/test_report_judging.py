"""Teachers compared by curriculum and by who is judged: files of the real stages, and numbers that are known."""

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_teaching import TEACHING

from gtn_hpc import scores
from gtn_hpc.cluster.connect import connect
from gtn_hpc.cluster.environment import ALONE
from gtn_hpc.config import parse
from gtn_hpc.config.teaching import Learner
from gtn_hpc.core.errors import StorageError
from gtn_hpc.curriculum import file
from gtn_hpc.meta.export import record
from gtn_hpc.meta.judge import config_of, judge, of_families
from gtn_hpc.meta.stage import train
from gtn_hpc.report import conclusions, figures
from gtn_hpc.report.frames import arms, transfer
from gtn_hpc.report.frames.equivalence import equivalence
from gtn_hpc.report.frames.judging import Judgement, Teacher, kind, read_teacher, spread
from gtn_hpc.report.frames.teaching import meta_seconds
from gtn_hpc.search.stage import run_search

TEXT = (
    f"\nrun: {{name: tiny}}{TEACHING}"
    """\
meta: {iterations: 2, batch: 20, log_every: 1}
evaluate: {learners: 3, real_data: {lr: [0.4], momentum: [0.5], tune_learners: 1}}
"""
)
KIND = "conv2-fc 2-4 2-4 4-8"


def taught(root, name, *overrides):
    config = parse(TEXT, [f"run.root={root}", f"run.name={name}", *overrides])
    return train(config, connect("cpu", environment=ALONE)).run


def judged_by(run, family, split="validation", count=2):
    found = file.read(run.curriculum)
    ((_, judges),) = of_families(config_of(found), [family])
    if family == "linear":
        judges = judges.model_copy(update={"learners": (Learner(family="linear", widths=(4, 4)),)})
    return record(run, judges, found.digest, judge(found, judges, torch.device("cpu"), learners=count, split=split,
                                                   real_data=False))  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("judged")
    made = {
        f"{arm}-{seed}": taught(root, f"{arm}-{seed}", f"teacher.curriculum.arm={arm}", f"run.seed={seed}")
        for arm in ("full", "none")
        for seed in (0, 1)
    }
    for name in ("full-0", "none-0"):
        judged_by(made[name], "linear")
    judged_by(made["full-0"], "conv2-fc", "test")
    return made


@pytest.fixture(scope="module")
def teachers(runs):
    return [read_teacher(run.path, name) for name, run in runs.items()]


def test_a_teacher_is_read_with_all_that_was_found_of_it(runs, teachers):
    first = teachers[0]
    assert (first.arm, first.data, first.seed, first.steps) == ("full", "digits", 0, 3)
    assert first.taught_on == (KIND,)
    assert first.seconds == pytest.approx(meta_seconds(runs["full-0"].path))
    assert first.seconds > 0
    assert {(one.split, one.judges) for one in first.judgements} == {
        ("validation", (KIND,) * 3), ("validation", ("linear 4 4",) * 2), ("test", (KIND,) * 2),
    }  # fmt: skip


def test_a_search_tells_how_many_real_steps_rank_as_well(runs):
    options = [
        "search.space={name: conv, widths: [[2, 9], [2, 9], [4, 17]]}",
        "search.budget=8",
        "search.isolate=false",
        "search.certificate={fraction: 1, steps: 9, score_at: [2, 5], controls: [real_steps]}",
        "final.recipe={lr: 0.1, batch: 20}",
    ]
    config = parse(TEXT, [f"run.root={runs['full-0'].path.parent}", "run.name=full-0", *options])
    run_search(config, runs["full-0"], runs["full-0"].curriculum)
    with scores.open(runs["full-0"].path) as tables:
        found = equivalence(tables, source="certificate", resamples=50)
        rows = tables.certificate[tables.certificate["source"] == "truth"]
        assert found.sweep.reference.n == 8
        assert (found.steps, found.real_steps, found.truth) == (3, (2, 5), "real data, 9 steps")
        whole = (rows["seconds"] - rows["curve_seconds"]).mean()
    assert found.seconds.real(9) == pytest.approx(whole)
    assert found.seconds.meta == pytest.approx(meta_seconds(runs["full-0"].path))
    assert found.own["steps"].tolist() == [3]
    assert 0 < found.seconds.taught < found.seconds.with_teaching


def test_a_curriculum_file_alone_is_a_teacher_too(runs):
    alone = read_teacher(runs["full-0"].curriculum, "alone")
    assert alone.own("validation")[0].accuracy["teacher"].shape == (3, 3)


def test_judgements_of_a_curriculum_before_are_left_out(tmp_path):
    run = taught(tmp_path, "again")
    judged_by(run, "linear", "test")
    new = taught(tmp_path, "other", "run.seed=5")
    run.curriculum.write_bytes(new.curriculum.read_bytes())
    teacher = read_teacher(run.path, "again")
    assert (teacher.outdated, len(teacher.judgements)) == (1, 1)
    with pytest.raises(StorageError, match="1 judgements are of a curriculum before"):
        transfer.transfer([teacher], "test")


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ({"family": "conv5"}, "conv5"),
        ({"family": "conv5", "widths": "fixed", "weight_norm": False}, "conv5 fixed, no weight norm"),
        ({"family": "linear", "widths": (8, (4, 9)), "norm": "mean_only"}, "linear 8 4-8, norm mean only"),
    ],
)
def test_kinds_of_learners_in_words(section, name):
    assert kind(Learner(**section)) == name


def test_arms_are_those_of_the_files(runs, teachers):
    found = arms.accuracies(teachers, "validation")
    assert set(found) == {"full", "none", arms.CONTROL_ARM}
    table = arms.arms(found).set_index("arm")
    ends = [teacher.own("validation")[0].accuracy["teacher"][:, -1].mean() for teacher in teachers[:2]]
    assert table.loc["full", "mean"] == pytest.approx(np.mean(ends))
    assert table.loc["full", "sd"] == pytest.approx(np.std(ends, ddof=1))
    assert (table.loc["full", "runs"], table.loc["full", "learners"], table.loc["full", "over"]) == (2, 6, "runs")
    assert table.loc["full", "teaching_seconds"] == pytest.approx(np.mean([t.seconds for t in teachers[:2]]))
    assert np.isnan(table.loc[arms.CONTROL_ARM, "paper"])
    curves = arms.curves(found)
    assert len(curves) == 3 * (2 + 2 + 2)
    last = curves[(curves["arm"] == "full") & (curves["step"] == 3)]
    assert last["accuracy"].tolist() == pytest.approx(ends)


def made(arm, seed, mean, learners=4, data="digits"):
    """A teacher whose learners end at `mean`, a tenth of a point apart."""
    accuracy = np.tile(np.linspace(0.5, 1.0, 5) * mean, (learners, 1)) + 0.001 * np.arange(learners)[:, None]
    judgement = Judgement("validation", ("conv5",) * learners, {"teacher": accuracy - 0.0005 * (learners - 1)})
    return Teacher(f"{arm}-{seed}", arm, data, ("conv5",), seed, 5, 10.0, (judgement,), 0)


def test_the_order_is_told_pair_by_pair_beside_the_papers():
    means = {"full": 0.98, "shuffled_batch": 0.95, "all_shuffled": 0.96, "none": 0.958}
    wobble = {0: 0.001, 1: -0.002, 2: 0.0015}
    noise = {("none", 0): 0.01, ("none", 1): -0.01, ("all_shuffled", 0): -0.012, ("all_shuffled", 1): 0.012}
    teachers = [made(arm, seed, mean + wobble[seed] + noise.get((arm, seed), 0.0))
                for arm, mean in means.items() for seed in (0, 1, 2)]  # fmt: skip
    found = arms.accuracies(teachers, "validation")
    table, pairs = arms.arms(found), arms.pairs(found)
    assert table["arm"].tolist() == ["full", "all_shuffled", "none", "shuffled_batch"]
    assert table["place"].tolist() == [1, 2, 3, 4]
    assert table["paper_place"].tolist() == [1, 3, 4, 2]
    assert pairs["better"].tolist() == ["full", "shuffled_batch", "all_shuffled"]
    assert pairs["value"].tolist() == pytest.approx([0.03, -0.01, 0.002])
    words = list(conclusions.arms(table, pairs, "validation"))
    assert words[0].endswith(
        "full > all_shuffled > none > shuffled_batch. The paper's: full > shuffled_batch > all_shuffled > none."
    )
    assert [text.rsplit(": ", 1)[1] for text in words[1:]] == ["as in the paper.", "not told apart.", "not told apart."]
    against = arms.pairs(arms.accuracies([made("full", s, 0.9 + wobble[s]) for s in wobble]
                                         + [made("shuffled_batch", s, 0.95 + wobble[s]) for s in wobble],
                                         "validation"))  # fmt: skip
    assert "against the paper" in " ".join(conclusions.arms(table, against, "validation"))


def test_one_run_of_an_arm_has_the_interval_of_its_learners_and_no_verdict():
    found = arms.accuracies([made("full", 0, 0.98), made("none", 0, 0.9)], "validation")
    table = arms.arms(found)
    assert set(table["over"]) == {"learners"}
    assert (table["low"] < table["mean"]).all()
    words = list(conclusions.arms(table, arms.pairs(found), "validation"))
    assert words[1].endswith("(1 seed of both: no interval): not to be told.")
    (alone,) = conclusions.arms(arms.arms({"full": found["full"]}), arms.pairs({}), "validation")
    assert alone.startswith("Fewer than two curricula")


def test_a_spread_is_over_runs_where_there_are_several():
    several = spread([np.array([0.1, 0.3]), np.array([0.4])])
    assert (several.value, several.runs, several.learners, several.over) == (pytest.approx(0.3), 2, 3, "runs")
    assert several.sd == pytest.approx(np.sqrt(0.02))
    assert spread([np.array([0.1, 0.3])]).over == "learners"
    assert (several.low, several.high) == (0, 1), "of two runs it would be wider than accuracies are"


def test_what_cannot_be_compared_is_named():
    with pytest.raises(StorageError, match=r"data differ \(digits: full-0; mnist: none-1\)"):
        arms.accuracies([made("full", 0, 0.9), made("none", 1, 0.9, data="mnist")], "validation")
    with pytest.raises(StorageError, match="Nobody judged the run full-0 on the test split"):
        arms.accuracies([made("full", 0, 0.9)], "test")


def test_transfer_is_that_of_the_files(runs, teachers):
    table = transfer.transfer(teachers[:1], "validation").set_index("judged_on")
    assert table.index.tolist() == [KIND, "linear 4 4"]
    assert table["known"].tolist() == [True, False]
    (linear,) = [one for one in teachers[0].judgements if one.judges[0] == "linear 4 4"]
    assert table.loc["linear 4 4", "mean"] == pytest.approx(linear.accuracy["teacher"][:, -1].mean())
    assert table["worst"].sum() == 1
    pooled = transfer.transfer(teachers, "validation").set_index(["arm", "judged_on"])
    assert pooled["runs"].to_dict() == {
        ("full", KIND): 2, ("full", "linear 4 4"): 1, ("none", KIND): 2, ("none", "linear 4 4"): 1,
    }  # fmt: skip
    assert pooled.groupby("arm")["worst"].sum().to_dict() == {"full": 1, "none": 1}


def crossed():
    rows = {("conv5", "conv5"): 0.98, ("conv5", "linear"): 0.16, ("linear", "conv5"): 0.3, ("linear", "linear"): 0.9}
    frame = pd.DataFrame([{"taught_on": a, "judged_on": b, "known": a == b, "mean": mean, "sd": 0.01}
                          for (a, b), mean in rows.items()])  # fmt: skip
    return frame.assign(worst=frame.groupby("taught_on")["mean"].transform("min") == frame["mean"])


def test_the_worst_family_of_each_teacher_is_named():
    words = list(conclusions.transfer(crossed(), "test"))
    assert len(words) == 2
    assert words[0].startswith("Taught on conv5: worst for linear, which it was not taught on, with 16.0")
    assert "-82.0 points from conv5" in words[0]
    alone = list(conclusions.transfer(crossed().head(1), "test"))
    assert alone == ["Taught on conv5: judged by conv5 alone. More: gtn evaluate RUN --family FAMILY."]


def test_families_are_short_where_that_tells_them_apart():
    table = pd.DataFrame({"taught_on": ["conv5 fixed", "linear 4 4 + conv6"], "arm": ["full", "none"],
                          "judged_on": ["conv5", "linear 4 4"]})  # fmt: skip
    shown, _ = transfer.renamed(table)
    assert shown["taught_on"].tolist() == ["conv5 fixed (full)", "linear + conv6 (none)"]
    shown, meanings = transfer.renamed(table.assign(arm="full"))
    assert shown["taught_on"].tolist() == ["conv5 fixed", "linear + conv6"]
    assert shown["judged_on"].tolist() == ["conv5", "linear"]
    assert meanings == {"conv5 fixed": "conv5 fixed", "linear": "linear 4 4", "conv6": "conv6", "conv5": "conv5"}


def test_figures_show_every_arm_and_every_cell():
    found = arms.accuracies([made(arm, 0, 0.9) for arm in ("full", "none", "distilled_pixels")], "validation")
    left, right = figures.arms(arms.curves(found), arms.arms(found), "validation").to_dict()["hconcat"]
    for panel in (left, right):
        (colour,) = [layer["encoding"]["color"] for layer in panel["layer"][:1]]
        assert set(colour["scale"]["domain"]) == {"full", "none", "distilled_pixels"}
        assert len(set(colour["scale"]["range"])) == 3
    spec = figures.transfer(crossed(), "test").to_dict()
    (cells,) = spec["datasets"].values()
    assert [cell["label"] for cell in cells] == ["98.0 ± 1.0", "16.0 ± 1.0|worst", "30.0 ± 1.0|worst", "90.0 ± 1.0"]
