"""Judging a teacher: the control is real data at its best, the same learners, and files tell what was measured."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import alone, tiny

from gtn_hpc import storage
from gtn_hpc.config import dump, parse
from gtn_hpc.core.errors import DataError, UsageError
from gtn_hpc.curriculum import file
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.curriculum.parts import JUDGEMENT, SCHEMA
from gtn_hpc.meta import pupil
from gtn_hpc.meta.evaluation import evaluate_teacher, final_accuracies
from gtn_hpc.meta.export import read_evaluation, record
from gtn_hpc.meta.judge import config_of, judge, of_families, reencode
from gtn_hpc.meta.replica import drawn
from gtn_hpc.meta.setup import prepare
from gtn_hpc.meta.stage import train
from gtn_hpc.training import run

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    config = tiny(root, "evaluate.real_data.enabled=true", "teacher.curriculum.steps=6", "evaluate.learners=3")
    return train(config, alone())


@pytest.fixture(scope="module")
def found(taught):
    return file.read(taught.run.curriculum)


def test_accuracies_are_of_each_learner_after_each_step(taught):
    evaluation = taught.evaluation
    assert evaluation.split == "validation"
    assert evaluation.teacher.shape == evaluation.control.accuracy.shape == (3, 6)
    assert len(np.unique(evaluation.control.accuracy[:, -1])) > 1


def test_the_control_learns_at_a_point_of_the_grid(taught):
    control = taught.evaluation.control
    assert control.lr in (0.1, 0.4)
    assert control.momentum == 0.5
    assert control.statistics in ("last", "running")
    assert control.accuracy[:, -1].mean() > 0.2 > control.accuracy[:, 0].mean() - 0.1


def test_the_file_gives_back_what_was_measured(taught):
    read = read_evaluation(taught.run.curriculum)
    np.testing.assert_array_equal(read.teacher, taught.evaluation.teacher)
    np.testing.assert_array_equal(read.control.accuracy, taught.evaluation.control.accuracy)
    assert (read.control.lr, read.control.statistics) == (
        taught.evaluation.control.lr,
        taught.evaluation.control.statistics,
    )


def test_the_family_of_each_learner_is_told(taught):
    assert taught.evaluation.families == read_evaluation(taught.run.curriculum).families == ("conv2-fc",) * 3
    mixed = tiny(taught.run.path.parent, "learners=[{family: linear, widths: [4, 4]}, {family: conv2-fc}]")
    families = [drawn(mixed, "evaluate", index).section.family for index in range(12)]
    assert set(families) == {"linear", "conv2-fc"}


def test_judges_of_a_family_are_as_the_configuration_has_them(taught):
    config = config_of(file.read(taught.run.curriculum))
    found = dict(of_families(config, ["conv2-fc", "linear", "conv2-fc"]))
    assert list(found) == ["conv2-fc", "linear"]
    assert found["conv2-fc"].learners == config.learners
    assert [(section.family, section.widths) for section in found["linear"].learners] == [("linear", "random")]
    with pytest.raises(UsageError, match="Did you mean 'linear'"):
        list(of_families(config, ["liner"]))


def test_a_judgement_is_kept_once_for_a_split_and_its_judges(taught, found):
    config = config_of(found)
    ((_, linear),) = of_families(config, ["linear"])
    linear = linear.model_copy(update={"learners": (linear.learners[0].model_copy(update={"widths": (4, 4)}),)})
    judged = [judge(found, linear, CPU, learners=n, split="test", real_data=True) for n in (1, 2)]
    paths = {record(taught.run, linear, found.digest, one) for one in judged}
    paths.add(record(taught.run, config, found.digest, taught.evaluation))
    assert len(paths) == len(list(taught.run.evaluations.iterdir())) == 2
    path = min(paths)
    assert path.name.startswith("test-linear-")
    kept = read_evaluation(path, JUDGEMENT)
    assert (kept.split, kept.families) == ("test", ("linear", "linear"))
    np.testing.assert_array_equal(kept.teacher, judged[1].teacher)
    np.testing.assert_array_equal(kept.control.accuracy, judged[1].control.accuracy)
    with storage.open_file(path, JUDGEMENT) as opened:
        assert opened.attributes["curriculum"] == found.digest
        assert parse(opened.config).learners == linear.learners


def test_who_diverged_is_counted_and_kept(taught, found, tmp_path):
    """At a rate of 1e30 all that are taught diverge; files of before do not say."""
    wild = replace(
        found, frozen=Frozen(found.frozen.x, found.frozen.y, torch.full((6,), 1e30), torch.zeros(6), "fixed")
    )
    config = tiny(tmp_path, "evaluate.real_data={lr: [0.1], momentum: [0.5], tune_learners: 1}", "meta.iterations=1")
    judged = judge(wild, config, CPU, learners=2, split="validation", real_data=True, longer=[3])
    assert (judged.diverged, judged.control.diverged, judged.longer[3].diverged) == (2, 0, 0)
    assert np.unique(judged.teacher).tolist() == [0.1]
    kept = read_evaluation(record(taught.run, config, found.digest, judged), JUDGEMENT)
    assert (kept.diverged, kept.control.diverged, kept.longer[3].diverged) == (2, 0, 0)
    before = replace(judged, diverged=None, longer={3: replace(judged.longer[3], diverged=None)}, control=None)
    kept = read_evaluation(record(taught.run, config, found.digest, before), JUDGEMENT)
    assert (kept.diverged, kept.longer[3].diverged) == (None, None)


def test_judging_the_file_gives_the_same_accuracies(taught, found):
    again = judge(found, config_of(found), CPU, learners=3, split="validation", real_data=True)
    np.testing.assert_array_equal(again.teacher, taught.evaluation.teacher)
    np.testing.assert_array_equal(again.control.accuracy, taught.evaluation.control.accuracy)


def test_a_learner_does_not_depend_on_how_many_there_are(taught, found):
    one = judge(found, config_of(found), CPU, learners=1, split="validation", real_data=False)
    np.testing.assert_array_equal(one.teacher[0], taught.evaluation.teacher[0])
    assert one.control is None


def test_the_quick_check_is_the_last_step_of_the_long_one(taught, found):
    config = config_of(found)
    quick = final_accuracies(config, found.frozen, prepare(config, CPU).splits, learners=3)
    np.testing.assert_array_equal(quick, taught.evaluation.teacher[:, -1])


def test_before_the_last_step_a_few_images_spread_over_the_split_count(taught, found, monkeypatch):
    config, whole = config_of(found), taught.evaluation.teacher
    splits = prepare(config, CPU).splits
    few = replace(splits, validation=splits.validation.spread(13))
    monkeypatch.setattr(pupil, "ON_THE_WAY", 13)
    mixed = evaluate_teacher(config, found.frozen, splits, learners=3, real_data=False).teacher
    alone = evaluate_teacher(config, found.frozen, few, learners=3, real_data=False).teacher
    np.testing.assert_array_equal(mixed[:, -1], whole[:, -1])
    np.testing.assert_array_equal(mixed[:, :-1], alone[:, :-1])
    assert (mixed[:, :-1] != whole[:, :-1]).any()


def test_a_long_curve_is_measured_on_fewer_images(taught, found, monkeypatch):
    config = config_of(found)
    splits = prepare(config, CPU).splits
    monkeypatch.setattr(pupil, "CURVE", 6 * 11)
    short = evaluate_teacher(config, found.frozen, splits, learners=1, real_data=False).teacher
    monkeypatch.undo()
    monkeypatch.setattr(pupil, "ON_THE_WAY", 11)
    np.testing.assert_array_equal(
        short, evaluate_teacher(config, found.frozen, splits, learners=1, real_data=False).teacher
    )
    assert (short[:, :-1] != taught.evaluation.teacher[:1, :-1]).any()


def test_real_data_for_longer_is_tuned_anew_and_kept(taught, found):
    config, own = config_of(found), taught.evaluation.control
    told = []
    judged = judge(
        found, config, CPU, learners=3, split="validation", real_data=True, longer=[6, 40],
        tell=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert {total for _, total in told} == {told[-1][0]}
    assert list(judged.longer) == [6, 40]
    same, long = judged.longer[6], judged.longer[40]
    assert (same.lr, same.momentum, same.statistics) == (own.lr, own.momentum, own.statistics)
    np.testing.assert_array_equal(same.accuracy[:, -1], own.accuracy[:, -1])
    assert long.accuracy.mean() > same.accuracy.mean() + 0.1
    kept = read_evaluation(record(taught.run, config, found.digest, judged), JUDGEMENT).longer
    assert list(kept) == [6, 40]
    assert (kept[40].lr, kept[40].momentum, kept[40].statistics) == (long.lr, long.momentum, long.statistics)
    np.testing.assert_array_equal(kept[40].accuracy, long.accuracy)


def test_the_work_told_counts_the_images_that_are_looked_at_too(taught, found, monkeypatch):
    looked, told, measure = [], [], run.measure
    monkeypatch.setattr(run, "measure", lambda *given: looked.append(len(given[2])) or measure(*given))
    config = config_of(found)
    judge(found, config, CPU, learners=2, split="test", real_data=True, tell=lambda *now: told.append(now))
    grid = config.evaluate.real_data
    trials = 2 * len(grid.lr) * len(grid.momentum) * grid.tune_learners
    steps, batch = found.frozen.x.shape[:2]
    assert told[-1][0] == pytest.approx((4 + trials) * steps + sum(looked) / (3 * batch), abs=(4 + trials) / 2)


def test_the_test_split_is_another_one(taught, found):
    config = config_of(found)
    splits = prepare(config, CPU).splits
    on_test = evaluate_teacher(config, found.frozen, splits, learners=2, split="test", real_data=False)
    assert on_test.split == "test"
    assert (on_test.teacher != taught.evaluation.teacher[:2]).any()


def test_a_learner_that_diverges_counts_as_one_that_knows_nothing(found):
    config = config_of(found)
    wild = found.frozen
    wild = type(wild)(wild.x, wild.y, torch.full((6,), 1e30), torch.full((6,), 0.9), "fixed")
    splits = prepare(config, CPU).splits
    judged = evaluate_teacher(config, wild, splits, learners=2, real_data=False)
    np.testing.assert_allclose(judged.teacher, 0.1)


def test_float16_is_stored_with_its_own_accuracy(taught, found, tmp_path):
    path = tmp_path / "half.h5"
    reencode(found, path, "float16", CPU)
    half = file.read(path)
    assert torch.equal(half.frozen.x, found.frozen.x.half().float())
    stored = read_evaluation(path)
    judged = judge(half, config_of(half), CPU, learners=3, split="validation", real_data=False)
    np.testing.assert_array_equal(stored.teacher, judged.teacher)
    np.testing.assert_array_equal(stored.control.accuracy, taught.evaluation.control.accuracy)


def foreign(path, x, y):
    steps = len(x)
    columns = {
        "x": storage.Column(x, dims=("step", "image", "channel", "height", "width")),
        "y": storage.Column(y, dims=("step", "image", "class")),
        "lr": storage.Column(np.full(steps, 0.2, np.float32), dims=("step",)),
        "momentum": storage.Column(np.full(steps, 0.5, np.float32), dims=("step",)),
    }
    storage.write(path, {"/": columns}, {"order": "fixed"}, schema=SCHEMA)
    return file.read(path)


def test_a_curriculum_shown_twice_is_a_longer_one_with_its_own_accuracy(taught, found, tmp_path):
    reencode(found, tmp_path / "twice.h5", "float32", CPU, passes=2)
    twice, stored = file.read(tmp_path / "twice.h5"), read_evaluation(tmp_path / "twice.h5")
    assert twice.frozen.steps == 2 * found.frozen.steps
    for part in (twice.frozen.x[:6], twice.frozen.x[6:]):
        torch.testing.assert_close(part, found.frozen.x, rtol=0, atol=0)
    for ours, theirs in zip(twice.frozen.schedule.table(), found.frozen.schedule.table(), strict=True):
        torch.testing.assert_close(ours, theirs.repeat(2), rtol=0, atol=0)
    assert stored.control is None
    assert stored.teacher.shape == (3, 12)
    np.testing.assert_array_equal(stored.teacher[:, 4], taught.evaluation.teacher[:, 4])
    again = judge(twice, config_of(twice), CPU, learners=3, split="validation", real_data=False)
    np.testing.assert_array_equal(again.teacher, stored.teacher)


def test_real_images_in_a_foreign_file_teach(tmp_path):
    config = tiny(tmp_path, "data.train=null", "learners=[{family: conv2-fc, widths: [16, 16, 32]}]")
    splits = prepare(config, CPU).splits
    batches = [splits.train.sample(64, torch.Generator().manual_seed(n)) for n in range(8)]
    x = np.stack([batch.x.numpy() for batch in batches])
    y = np.stack([np.eye(10, dtype=np.float32)[batch.y.numpy()] for batch in batches])
    given = foreign(tmp_path / "real.h5", x, y)
    judged = judge(given, config, CPU, learners=3, split="validation", real_data=False)
    assert judged.teacher[:, -1].mean() > 0.5


def test_a_foreign_file_says_that_it_needs_a_configuration(tmp_path):
    given = foreign(tmp_path / "bare.h5", np.zeros((2, 4, 1, 8, 8), np.float32), np.full((2, 4, 10), 0.1, np.float32))
    with pytest.raises(UsageError, match="--config"):
        config_of(given)


def test_the_image_set_of_a_file_is_looked_for_where_it_is_now(tmp_path):
    x, y = np.zeros((2, 4, 1, 8, 8), np.float32), np.full((2, 4, 10), 0.1, np.float32)
    for place, root in ((tmp_path / "gone", None), (tmp_path, str(tmp_path))):
        maker = parse("run: {name: a}", ["data.name=mnist", f"data.root={place}"])
        given = replace(foreign(tmp_path / "made.h5", x, y), config=dump(maker))
        assert config_of(given).data.root == root


def test_a_curriculum_of_other_images_is_refused(tmp_path):
    given = foreign(tmp_path / "big.h5", np.zeros((2, 4, 1, 28, 28), np.float32), np.full((2, 4, 10), 0.1, np.float32))
    with pytest.raises(DataError, match="1x28x28"):
        judge(given, tiny(tmp_path), CPU, learners=1, split="validation", real_data=False)
