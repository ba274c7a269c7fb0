"""Every adjoint gives the meta-gradient of the unrolled graph, in float64, part by part."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from meta_tasks import PARTS, WIDTHS, make_learner, make_task, make_teacher, parameters, part, relative_error
from torch import nn

from gtn_hpc.core.records import Batch, Hyper, ImageShape
from gtn_hpc.inner.adjoint import Adjoint, Step
from gtn_hpc.inner.auto import make_adjoint
from gtn_hpc.inner.compiled import Compiled
from gtn_hpc.inner.engine import MetaGradient, Task
from gtn_hpc.inner.flat import FlatLearner, FlatState
from gtn_hpc.inner.keeping import GENERATOR
from gtn_hpc.inner.kit.adjoint import Kit
from gtn_hpc.inner.kit.structure import why_not
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.inner.reverse import Reverse
from gtn_hpc.inner.step import Learner
from gtn_hpc.inner.traced import Traced
from gtn_hpc.inner.trajectory import Trajectory
from gtn_hpc.inner.unrolled import Unrolled
from gtn_hpc.models.norm import BatchNorm, use_running_statistics

ADJOINTS: dict[str, Adjoint] = {
    "reverse": Reverse(),
    "traced": make_adjoint("traced"),
    "kit untraced": Kit(),
    "kit": make_adjoint("kit"),
    "auto": make_adjoint("auto"),
}


def all_parts(found: MetaGradient) -> Tensors:
    return found.gradient | {f"initial.{k}": g for k, g in found.initial.items()}


def worst(found: MetaGradient, expected: MetaGradient) -> float:
    return max(relative_error(part(all_parts(found), name), part(all_parts(expected), name)) for name in PARTS)


@cache
def problem(optimiser: str, norm: str, dropout: float, every: int, steps: int) -> tuple[Task, Tensors, MetaGradient]:
    teacher = make_teacher(steps, optimiser)
    learner = make_learner("conv2-gap", optimiser, norm=norm, dropout=dropout, seed=steps)
    task = make_task(learner, teacher, every=every)
    return task, parameters(teacher), Unrolled()(task, parameters(teacher), wrt_initial=True)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("norm", ["batch", "mean_only"])
@pytest.mark.parametrize("optimiser", ["sgd", "rmsprop", "adam"])
@pytest.mark.parametrize("name", ADJOINTS)
def test_exact(name: str, optimiser: str, norm: str, dropout: float) -> None:
    for every, steps in ((0, 1), (0, 8), (2, 3), (2, 8)):
        task, teacher, expected = problem(optimiser, norm, dropout, every, steps)
        found = Trajectory(ADJOINTS[name])(task, teacher, wrt_initial=True)
        assert found.losses == pytest.approx(expected.losses, rel=1e-11), (every, steps)
        assert worst(found, expected) < 1e-10, (every, steps)


@given(
    family=st.sampled_from(sorted(WIDTHS)),
    scale=st.integers(1, 3),
    norm=st.sampled_from(["batch", "mean_only", "none"]),
    weight_norm=st.booleans(),
    dropout=st.sampled_from([0.0, 0.3]),
    optimiser=st.sampled_from(["sgd", "rmsprop", "adam"]),
    channels=st.sampled_from([1, 3, 5]),
    size=st.tuples(st.integers(8, 11), st.integers(8, 11)),
    batch=st.integers(3, 5),
    every=st.integers(0, 2),
)
@settings(max_examples=12)
def test_the_kit_is_exact_for_random_learners(
    family: str,
    scale: int,
    norm: str,
    weight_norm: bool,
    dropout: float,
    optimiser: str,
    channels: int,
    size: tuple[int, int],
    batch: int,
    every: int,
) -> None:
    image = ImageShape(channels, *size)
    teacher = make_teacher(2, optimiser, batch=batch, image=image)
    widths = tuple(scale * width for width in WIDTHS[family])
    learner = make_learner(
        family, optimiser, norm=norm, weight_norm=weight_norm, dropout=dropout, widths=widths, image=image
    )
    task = make_task(learner, teacher, every=every, image=image)
    expected = Unrolled()(task, parameters(teacher), wrt_initial=True)
    for engine in (Trajectory(Kit()), Trajectory(Traced(Kit()), keep=GENERATOR)):
        assert worst(engine(task, parameters(teacher), wrt_initial=True), expected) < 1e-10


@pytest.mark.parametrize("few", [0, 4])
@pytest.mark.parametrize("small", [0, 2**19])
def test_every_way_to_convolve_is_exact(small: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtn_hpc.inner.kit.convolution.SMALL", small)
    monkeypatch.setattr("gtn_hpc.inner.kit.convolution.FEW", few)
    teacher = make_teacher(2)
    for family in ("conv2-fc", "conv5"):
        task = make_task(make_learner(family), teacher)
        expected = Unrolled()(task, parameters(teacher), wrt_initial=True)
        assert worst(Trajectory(Kit())(task, parameters(teacher), wrt_initial=True), expected) < 1e-10


class Own(nn.Module):
    """Not of the kit's layers: tied weights, and a state of its own."""

    count: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(64, 3), BatchNorm(3)
        self.last = nn.Linear(3, 3)
        self.again = self.last
        self.register_buffer("count", torch.zeros(1))
        nn.init.ones_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.count = 0.5 * self.count + x.square().mean()
        hidden = torch.tanh(self.norm(self.first(x.flatten(1))))
        return self.again(torch.tanh(self.last(hidden))) * (1 + 0.1 * self.count)


@pytest.mark.parametrize("name", ["reverse", "traced", "auto"])
def test_any_module_works(name: str) -> None:
    torch.manual_seed(0)
    teacher = make_teacher(3)
    learner = replace(make_learner(), module=Own().double())
    task = make_task(learner, teacher, every=1)
    expected = Unrolled()(task, parameters(teacher), wrt_initial=True)
    for _ in range(2):
        found = Trajectory(make_adjoint(name))(task, parameters(teacher), wrt_initial=True)
        assert worst(found, expected) < 1e-10


def test_running_statistics_leave_the_kit_and_stay_exact(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    teacher, learner = make_teacher(3), make_learner()
    use_running_statistics(learner.module, 0.3)
    task = make_task(learner, teacher, every=1)
    expected = Unrolled()(task, parameters(teacher), wrt_initial=True)
    adjoint = make_adjoint("auto")
    for _ in range(2):
        assert worst(Trajectory(adjoint)(task, parameters(teacher), wrt_initial=True), expected) < 1e-10
    told = [r.getMessage() for r in caplog.records if "adjoint" in r.getMessage()]
    assert told == ["adjoint: traced, not the layer kit: batch norm keeps running statistics"]


def test_the_kit_says_what_it_cannot_take() -> None:
    assert why_not(nn.Sequential(nn.ReLU())) == "the kit has no ReLU"
    assert why_not(nn.ReLU()) == "a ReLU is no nn.Sequential"
    assert why_not(make_learner().module) is None
    assert why_not(make_learner().module, torch.bfloat16) == "the kit has no mixed precision"


def test_a_module_that_looks_at_values_runs_untraced(caplog: pytest.LogCaptureFixture) -> None:
    class Curious(Own):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if float(x.detach().sum()) < 1e9 else x

    caplog.set_level("INFO")
    torch.manual_seed(0)
    teacher = make_teacher(2)
    task = make_task(replace(make_learner(), module=Curious().double()), teacher)
    expected = Unrolled()(task, parameters(teacher), wrt_initial=True)
    assert worst(Trajectory(Traced(Reverse()))(task, parameters(teacher), wrt_initial=True), expected) < 1e-10
    assert any("runs untraced" in r.getMessage() for r in caplog.records)


def test_one_trace_serves_learners_of_one_structure_and_no_others() -> None:
    adjoint = Traced(Kit())
    teacher = make_teacher(2)
    programs = []
    for options in ({}, {"seed": 9}, {"norm": "mean_only"}, {"seed": 5}, {"widths": (3, 3)}):
        task = make_task(make_learner(dropout=0.5, **options), teacher)
        expected = Unrolled()(task, parameters(teacher), wrt_initial=True)
        assert worst(Trajectory(adjoint)(task, parameters(teacher), wrt_initial=True), expected) < 1e-10
        programs.append(len(adjoint.programs))
    assert programs[0] == programs[1]
    assert programs[2] > programs[1]
    assert programs[3] == programs[2]
    assert programs[4] > programs[3]


def test_images_in_another_layout_have_a_trace_of_their_own() -> None:
    image = ImageShape(3, 8, 8)
    learner = FlatLearner(make_learner("conv6", image=image))
    state = learner.pack(learner.learner.initial_state())
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 8, 8, generator=draws, dtype=torch.float64)
    y = torch.softmax(torch.randn(4, 3, generator=draws, dtype=torch.float64), 1)
    hyper = Hyper(*torch.tensor([0.1, 0.5], dtype=torch.float64).requires_grad_().unbind())
    traced, plain, cotangent = Traced(Reverse()), Reverse(), FlatState(torch.ones_like(state.theta))
    for images in (x, x.contiguous(memory_format=torch.channels_last), x):
        step = Step(0, Batch(images.detach().requires_grad_(), y), hyper)
        after = plain.advance(learner, state, step).state
        torch.testing.assert_close(traced.advance(learner, state, step).state.theta, after.theta)
        found, expected = (a.pull_back(learner, state, after, step, cotangent, None) for a in (traced, plain))
        torch.testing.assert_close(found.state.theta, expected.state.theta)
        torch.testing.assert_close(found.inputs[0], expected.inputs[0])
        judged, expected_loss = (a.judge(learner, after, Batch(images, y)).loss for a in (traced, plain))
        torch.testing.assert_close(judged, expected_loss)
    assert len(traced.programs) == 3 * 2


def test_the_kits_rounding_after_32_steps_is_like_autograds() -> None:
    def gradient(dtype: torch.dtype, engine: Unrolled | Trajectory) -> torch.Tensor:
        teacher = make_teacher(32, dtype=torch.float64).to(dtype)
        learner = make_learner("conv2-fc", widths=(4, 6, 8))
        module = learner.module.to(dtype)
        task = make_task(Learner(module, learner.optimiser), teacher)
        return part(engine(task, parameters(teacher)).gradient, "").double()

    exact = gradient(torch.float64, Unrolled())
    kit, reverse = (relative_error(gradient(torch.float32, Trajectory(a)), exact) for a in (Kit(), Reverse()))
    assert kit < 3 * reverse


def test_what_draws_random_numbers_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda graph, **_: lambda *given: ["compiled"])
    make = Compiled(Reverse()).make
    assert make(lambda x: [2 * x], [torch.ones(3)])(torch.ones(3)) == ["compiled"]
    drops = make(lambda x: [torch.nn.functional.dropout(x, 0.5)], [torch.ones(99)])
    (found,) = drops(torch.ones(99))
    assert found is not None and set(found.tolist()) == {0.0, 2.0}
