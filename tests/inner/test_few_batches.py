"""Batches that are shown again and again are made once a pass, and what the steps give back is summed first."""

import pytest
import torch
from meta_tasks import make_learner, make_task, make_teacher, parameters, part, relative_error

from gtn_hpc.curriculum.arms import Generated
from gtn_hpc.inner import showing
from gtn_hpc.inner.keeping import EVERYTHING, Keep
from gtn_hpc.inner.reverse import Reverse
from gtn_hpc.inner.trajectory import Trajectory
from gtn_hpc.inner.unrolled import Unrolled

STEPS, CYCLE, BATCH = 7, 2, 4


@pytest.mark.parametrize("arm", ["full", "shuffled_batch", "all_shuffled", "distilled_pixels"])
@pytest.mark.parametrize("options", [{}, {"keep": EVERYTHING}, {"keep": Keep(3, 2)}, {"offload": "recompute"}], ids=str)
def test_exact_however_often_a_batch_is_made(
    arm: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showing, "TOGETHER", 1)
    teacher = make_teacher(STEPS, batch=BATCH, arm=arm, cycle=CYCLE)
    task = make_task(make_learner("linear"), teacher, every=3)
    expected = Unrolled()(task, parameters(teacher))
    once = Trajectory(Reverse(), **options)(task, parameters(teacher))
    monkeypatch.setattr(showing, "AGAIN", 0)
    each_time = Trajectory(Reverse(), **options)(task, parameters(teacher))
    parts = ("pixels",) if arm == "distilled_pixels" else ("generator", "latents")
    for found in (once, each_time):
        assert found.losses == pytest.approx(expected.losses, rel=1e-12)
        for name in (*parts, "labels", "schedule"):
            assert relative_error(part(found.gradient, name), part(expected.gradient, name)) < 1e-10, name


def test_a_window_is_the_same_however_often_a_batch_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = make_teacher(STEPS, batch=BATCH, cycle=CYCLE)
    task = make_task(make_learner("linear"), teacher, every=3)
    once = Trajectory(Reverse(), window=4)(task, parameters(teacher))
    monkeypatch.setattr(showing, "AGAIN", 0)
    each_time = Trajectory(Reverse(), window=4)(task, parameters(teacher))
    assert once.losses == pytest.approx(each_time.losses, rel=1e-12)
    for name in ("generator", "latents", "labels", "schedule"):
        assert relative_error(part(once.gradient, name), part(each_time.gradient, name)) < 1e-10, name


@pytest.mark.parametrize(("arm", "each"), [("full", CYCLE), ("shuffled_batch", CYCLE), ("all_shuffled", STEPS)])
def test_the_generator_makes_each_batch_once_a_loop(arm: str, each: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    make = Generated.make
    monkeypatch.setattr(Generated, "make", lambda self, rows, z: [made.append(len(rows)), make(self, rows, z)][1])
    teacher = make_teacher(STEPS, batch=BATCH, arm=arm, cycle=CYCLE)
    Trajectory(Reverse())(make_task(make_learner(), teacher), parameters(teacher))
    measured, forward, backward = made
    assert (measured, forward, backward) == (1, each, each)


def test_a_batch_that_comes_again_is_the_same_tensor_and_equal_to_the_one_shown_alone() -> None:
    for arm in ("full", "distilled_pixels", "shuffled_batch"):
        episode = make_teacher(STEPS, batch=BATCH, arm=arm, cycle=CYCLE).episode(torch.Generator().manual_seed(5))
        shown = [batch for batch, _ in episode.together(range(STEPS))]
        assert len({id(batch.x) for batch in shown}) == CYCLE == episode.distinct
        for t, batch in enumerate(shown):
            torch.testing.assert_close(batch.x, episode.batch(t).x, rtol=1e-12, atol=1e-12)
            assert torch.equal(batch.y, episode.batch(t).y)


def test_what_comes_back_of_a_batch_takes_the_room_of_one() -> None:
    teacher = make_teacher(STEPS, batch=BATCH, arm="distilled_pixels", cycle=CYCLE)
    shower = showing.Showing(teacher.episode(torch.Generator()), parameters(teacher), STEPS, STEPS)
    for t in reversed(range(1, STEPS)):
        step = shower.backward(t)
        shower.teach(step, [torch.ones_like(value) for value in step.inputs()], last=False)
        images = [value for value, _ in shower.arrived.values() if value.dim() == 4]
        assert len(images) == min(CYCLE, STEPS - t)
    first = shower.backward(0)
    shower.teach(first, [torch.ones_like(value) for value in first.inputs()], last=True)
    assert shower.gradient["pixels"].flatten(1).unique(dim=1).flatten().tolist() == [4.0] * BATCH + [3.0] * BATCH
