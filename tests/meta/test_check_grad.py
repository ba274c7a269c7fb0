"""check-grad passes what is exact, catches what is not, and looks at a logged replica."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gtn_hpc import checkpoint
from gtn_hpc.cli import main
from gtn_hpc.config import Config, dump, load
from gtn_hpc.core.errors import CheckpointError, UsageError
from gtn_hpc.inner.engine import MetaGradient, Task
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.inner.showing import Together, group_size
from gtn_hpc.inner.unrolled import Unrolled
from gtn_hpc.meta import check_grad
from gtn_hpc.meta.check_grad import check_gradients
from gtn_hpc.meta.setup import make_task, prepare

TINY = [
    "learners=[{family: conv2-gap, widths: [3, 4]}]",
    "teacher.generator.noise=2",
    "teacher.generator.hidden=4",
    "teacher.generator.channels=[2,2]",
    "teacher.curriculum.steps=2",
    "teacher.curriculum.batch=10",
    "teacher.curriculum.labels=learned",
    "meta.batch=8",
    "inner.intermediate_every=1",
]


@pytest.fixture
def config(root: Path) -> Config:
    return load(root / "configs" / "digits.yaml", TINY)


def test_every_way_agrees_on_every_part(config: Config) -> None:
    rows = check_gradients(config)
    judged = [row for row in rows if row.tolerance is not None]
    assert all(row.ok for row in judged), [row for row in judged if not row.ok]
    assert {row.part for row in rows} == {
        "generator",
        "latents",
        "labels",
        "learning rate",
        "momentum",
        "initial parameters",
    }
    told = [row for row in rows if row.tolerance is None]
    assert {row.way for row in told} == {"rounding of float32 on cpu"}
    assert all(1e-9 < row.error < 1e-4 and row.ok is None for row in told)
    assert {row.way for row in rows} - {told[0].way} == {*check_grad.WAYS, "finite differences"}


class Wrong(Unrolled):
    def __call__(self, task: Task, teacher: Tensors, *, wrt_initial: bool = False) -> MetaGradient:
        found = super().__call__(task, teacher, wrt_initial=wrt_initial)
        return replace(found, gradient=found.gradient | {"latents": 1.0001 * found.gradient["latents"]})


def test_a_wrong_part_is_caught(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_grad, "WAYS", {"wrong": Wrong})
    bad = [row for row in check_gradients(config) if row.ok is False]
    assert [(row.way, row.part) for row in bad] == [("wrong", "latents")]
    assert bad[0].error == pytest.approx(1e-4, rel=1e-6)


def test_a_logged_replica_is_taken_up(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_grad, "WAYS", {"wrong": Wrong})
    teacher = prepare(config, torch.device("cpu")).teacher
    place = {"done": 7, "refused": 0, "generation": 1}
    told = {"config": dump(config), "place": place, "replicas": [{"replica": 1}]}
    with torch.no_grad():
        dict(teacher.named_parameters())["latents"].mul_(2.0)
    checkpoint.save(tmp_path, 7, {"teacher": teacher.state_dict()}, told, 3)
    rows = check_gradients(config, replay=checkpoint.step_directory(tmp_path, 7))
    assert {row.part for row in rows if row.ok is False} == {"latents"}
    fresh = check_gradients(config)
    assert rows[0].norm != pytest.approx(fresh[0].norm, rel=1e-3)


def test_a_replay_of_something_else_is_refused(config: Config, root: Path, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, {"teacher": {}}, {"place": {}}, 3)
    with pytest.raises(CheckpointError, match="is no record of a refused meta-iteration"):
        check_gradients(config, replay=checkpoint.step_directory(tmp_path, 1))
    other = dump(load(root / "configs" / "digits.yaml", [*TINY, "run.seed=3", "run.name=other"]))
    checkpoint.save(tmp_path, 2, {"teacher": {}}, {"config": other, "place": {}, "replicas": []}, 3)
    with pytest.raises(UsageError, match=r"another configuration:\n    run\.seed: was 3, now 0") as told:
        check_gradients(config, replay=checkpoint.step_directory(tmp_path, 2))
    assert f"gtn check-grad {tmp_path.parent} --replay" in told.value.remedy


def test_steps_are_shown_together_as_in_a_training(config: Config) -> None:
    task = make_task(prepare(config, torch.device("cpu")), 0, 0)
    doubled = check_grad.in_float64(task).episode
    assert group_size(doubled, 1) == group_size(task.episode, 1) > 1
    assert isinstance(doubled, Together)
    assert doubled.distinct == task.episode.distinct == config.teacher.curriculum.steps


def test_as_many_steps_are_checked_as_show_every_class(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_grad, "WAYS", {"exact": Unrolled})
    monkeypatch.setattr(check_grad, "_numeric", lambda *_: [])
    options = ["teacher.curriculum.steps=8", "teacher.curriculum.batch=2", "teacher.curriculum.labels=even"]
    rows = check_gradients(load(root / "configs" / "digits.yaml", [*TINY, *options]))
    assert [row.ok for row in rows if row.way == "exact"] == [True] * 5


def test_a_window_is_not_told_as_rounding(config: Config, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_grad, "WAYS", {})
    monkeypatch.setattr(check_grad, "_numeric", lambda *_: [])
    rows = check_gradients(load(root / "configs" / "digits.yaml", [*TINY, "engine.window=1"]))
    told = {row.part: row.error for row in rows if row.tolerance is None}
    assert 0 < told["initial parameters"] < 1e-4


def test_no_way_is_blamed_for_a_gradient_that_is_not_finite_itself(root: Path) -> None:
    rows = check_gradients(load(root / "configs" / "digits.yaml", [*TINY, "inner.lr=1e20"]))
    parts = {row.part for row in rows}
    assert {"latents", "generator", "learning rate"} <= parts
    assert [(row.way, row.finite, row.ok) for row in rows] == [("graph of all steps", False, None)] * len(parts)
    assert all(not row.norm < 1e38 for row in rows)


def scaled(found: MetaGradient, part: str, by: float) -> MetaGradient:
    return replace(found, gradient={k: by * g if k.startswith(part) else g for k, g in found.gradient.items()})


def test_a_gradient_that_is_not_finite_is_told_and_is_no_failure(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["check-grad", str(root / "configs" / "digits.yaml"), *TINY]
    assert main([*asked, "inner.lr=1e20"]) == 0
    told = capsys.readouterr().out
    assert "The gradient itself is not finite, or too large for float32, in: latents," in " ".join(told.split())
    assert "BAD" not in told
    assert "All agree" not in told
    monkeypatch.setattr(check_grad, "WAYS", {"wrong": Wrong})
    assert main(asked) == 1
    assert "1 of 12 errors are above their tolerance." in capsys.readouterr().out


class Endless(Unrolled):
    def __call__(self, task: Task, teacher: Tensors, *, wrt_initial: bool = False) -> MetaGradient:
        return scaled(super().__call__(task, teacher, wrt_initial=wrt_initial), "latents", float("inf"))


class WrongLabels(Endless):
    def __call__(self, task: Task, teacher: Tensors, *, wrt_initial: bool = False) -> MetaGradient:
        return scaled(super().__call__(task, teacher, wrt_initial=wrt_initial), "labels", 1.001)


def test_the_parts_that_are_finite_are_judged_beside_one_that_is_not(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_grad, "Unrolled", Endless)
    monkeypatch.setattr(check_grad, "WAYS", {"wrong": WrongLabels})
    rows = check_gradients(config)
    assert [row.part for row in rows if not row.finite] == ["latents"]
    assert {(row.way, row.part) for row in rows if row.ok is False} == {("wrong", "labels")}
    parts = {"generator", "labels", "learning rate", "momentum", "initial parameters"}
    assert {row.part for row in rows if row.ok} == parts
