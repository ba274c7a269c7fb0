"""The trajectory engine is exact, whatever it keeps and wherever, and its window truncates as it says."""

from dataclasses import dataclass, replace

import pytest
import torch
from meta_tasks import PARTS, make_learner, make_task, make_teacher, parameters, part, relative_error

from gtn_hpc.core.records import Batch, Hyper
from gtn_hpc.inner.engine import Episode, MetaGradient
from gtn_hpc.inner.keeping import EVERYTHING, GENERATOR, NOTHING, Keep, StepBytes, within
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.inner.reverse import Reverse
from gtn_hpc.inner.step import inner_step
from gtn_hpc.inner.trajectory import Trajectory
from gtn_hpc.inner.unrolled import Unrolled


def all_parts(found: MetaGradient) -> Tensors:
    return found.gradient | {f"initial.{k}": g for k, g in found.initial.items()}


def worst(found: MetaGradient, expected: MetaGradient) -> float:
    return max(relative_error(part(all_parts(found), name), part(all_parts(expected), name)) for name in PARTS)


KEPT = [
    {},
    {"keep": GENERATOR},
    {"keep": EVERYTHING},
    {"keep": Keep(generator=1, tapes=3)},
    {"offload": "host"},
    {"offload": "recompute"},
    {"budget": 200_000},
    {"window": 99},
]


@pytest.mark.parametrize("optimiser", ["sgd", "rmsprop", "adam"])
@pytest.mark.parametrize("options", KEPT, ids=str)
def test_exact_whatever_is_kept(options: dict[str, object], optimiser: str) -> None:
    teacher = make_teacher(5, optimiser)
    task = make_task(make_learner("conv2-fc", optimiser, dropout=0.5), teacher, every=2)
    expected = Unrolled()(task, parameters(teacher), wrt_initial=True)
    found = Trajectory(Reverse(), **options)(task, parameters(teacher), wrt_initial=True)
    assert found.losses == pytest.approx(expected.losses, rel=1e-12)
    assert worst(found, expected) < 1e-10


@pytest.mark.parametrize(
    "options", [{}, {"keep": GENERATOR}, {"keep": Keep(3, 2)}, {"offload": "recompute"}, {"window": 4}]
)
def test_steps_are_shown_in_groups_that_change_nothing(
    options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[range] = []
    teacher = make_teacher(5)
    task = make_task(make_learner("conv2-fc", dropout=0.5), teacher, every=2)
    show = task.episode.show
    watched = replace(task, episode=replace(task.episode, show=lambda steps: [asked.append(steps), show(steps)][1]))
    monkeypatch.setattr("gtn_hpc.inner.showing.TOGETHER", 0)
    alone = Trajectory(Reverse(), **options)(watched, parameters(teacher))
    assert {len(steps) for steps in asked} == {1}
    asked.clear()
    monkeypatch.setattr("gtn_hpc.inner.trajectory.group_size", lambda episode, size: 2)
    together = Trajectory(Reverse(), **options)(watched, parameters(teacher))
    assert {(steps.start, steps.stop) for steps in asked[1:]} == {(0, 2), (2, 4), (4, 5)}
    assert together.losses == pytest.approx(alone.losses, rel=1e-12)
    for name in ("generator", "latents", "labels", "schedule"):
        assert relative_error(part(together.gradient, name), part(alone.gradient, name)) < 1e-10, name


@dataclass(frozen=True)
class Later:
    """The steps of an episode from `first` on."""

    episode: Episode
    first: int

    @property
    def steps(self) -> int:
        return self.episode.steps - self.first

    def batch(self, t: int) -> Batch:
        return self.episode.batch(self.first + t)

    def hyper(self, t: int) -> Hyper:
        return self.episode.hyper(self.first + t)


def test_a_window_is_the_gradient_through_the_last_steps() -> None:
    teacher = make_teacher(5)
    task = make_task(make_learner(), teacher, every=2)
    state = task.initial
    for t in range(2):
        state = inner_step(task.learner, state, task.episode.batch(t), task.episode.hyper(t), t)
    end = replace(task, initial=state, episode=Later(task.episode, 2), real={2: task.real[4], 3: task.real[5]})
    expected = Unrolled()(end, parameters(teacher))
    found = Trajectory(Reverse(), window=3)(task, parameters(teacher), wrt_initial=True)
    assert set(found.losses) == {4, 5}
    assert all(float(g.abs().max()) == 0.0 for g in found.initial.values())
    for name in ("generator", "latents", "labels", "schedule"):
        assert relative_error(part(found.gradient, name), part(expected.gradient, name)) < 1e-10, name


def test_the_budget_goes_to_the_generator_first() -> None:
    cost = StepBytes(state=10, generator=30, tape=100)
    assert within(79, 8, cost) == NOTHING
    assert within(80 + 65, 8, cost) == Keep(generator=2)
    assert within(80 + 240 + 250, 8, cost) == Keep(generator=8, tapes=2)
    assert within(10**6, 8, cost) == Keep(generator=8, tapes=8)
    assert within(10**6, 8, StepBytes(10, 30, None)) == Keep(generator=8)


def test_what_a_budget_chose_is_said() -> None:
    teacher = make_teacher(3)
    found = Trajectory(Reverse(), budget=10**9)(make_task(make_learner(), teacher), parameters(teacher))
    assert found.kept == "the states, the generator's graph of 3 steps and tapes of 3 steps"
    found = Trajectory(Reverse(), budget=1)(make_task(make_learner(), teacher), parameters(teacher))
    assert found.kept == "the states alone"


def test_fixed_rates_and_hard_labels_get_no_cotangent() -> None:
    teacher = make_teacher(2)
    task = make_task(make_learner(), teacher)
    hard = [Batch(task.episode.batch(t).x.detach(), torch.tensor([0, 1, 2, 0])) for t in range(2)]
    episode = replace(task.episode, show=lambda steps: [hard[t] for t in steps])
    task = replace(task, episode=episode)
    expected = Unrolled()(task, parameters(teacher), wrt_initial=True)
    found = Trajectory(Reverse())(task, parameters(teacher), wrt_initial=True)
    assert worst(found, expected) < 1e-10
    assert float(part(found.gradient, "generator").abs().max()) == 0.0
