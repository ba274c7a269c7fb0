"""The two textbook engines give one meta-gradient, and finite differences give it too."""

from dataclasses import replace

import pytest
import torch
from meta_tasks import PARTS, make_learner, make_task, make_teacher, parameters, part, relative_error

from gtn_hpc.inner.engine import MetaGradient
from gtn_hpc.inner.finite import central_difference, total_loss
from gtn_hpc.inner.higher_engine import Higher
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.inner.reverse import Reverse
from gtn_hpc.inner.traced import Traced
from gtn_hpc.inner.trajectory import Trajectory
from gtn_hpc.inner.unrolled import Unrolled


def all_parts(found: MetaGradient) -> Tensors:
    return found.gradient | {f"initial.{k}": g for k, g in found.initial.items()}


@pytest.mark.parametrize("every", [0, 1])
@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("optimiser", ["sgd", "rmsprop", "adam"])
def test_unrolled_higher_and_finite_differences_agree(optimiser: str, steps: int, every: int) -> None:
    teacher = make_teacher(steps, optimiser)
    task = make_task(make_learner("conv2-gap", optimiser), teacher, every=every)
    first = Unrolled()(task, parameters(teacher), wrt_initial=True)
    second = Higher()(task, parameters(teacher), wrt_initial=True)
    assert first.losses == pytest.approx(second.losses, rel=1e-12)
    assert sum(first.losses.values()) == pytest.approx(total_loss(task), rel=1e-12)
    found, other = all_parts(first), all_parts(second)
    draws = torch.Generator().manual_seed(5)
    for name in PARTS:
        assert relative_error(part(other, name), part(found, name)) < 1e-10, name
        names = [k for k in found if k.startswith(name)]
        direction = {k: torch.randn(found[k].shape, generator=draws, dtype=torch.float64) for k in names}
        numeric = central_difference(
            task, parameters(teacher), {k.removeprefix("initial."): d for k, d in direction.items()}
        )
        length = torch.cat([d.flatten() for d in direction.values()]).norm()
        exact = sum(float((found[k] * direction[k]).sum()) for k in names) / float(length)
        assert numeric == pytest.approx(exact, rel=1e-6, abs=1e-9), name


@pytest.mark.parametrize("norm", ["batch", "mean_only", "none"])
@pytest.mark.parametrize("family", ["conv2-fc", "linear", "conv5", "conv6"])
def test_engines_agree_on_every_family(family: str, norm: str) -> None:
    teacher = make_teacher(2)
    task = make_task(make_learner(family, norm=norm, dropout=0.5), teacher)
    first = Unrolled()(task, parameters(teacher), wrt_initial=True)
    second = Higher()(task, parameters(teacher), wrt_initial=True)
    for name in PARTS:
        assert relative_error(part(all_parts(second), name), part(all_parts(first), name)) < 1e-10, name


def test_a_parameter_that_nothing_depends_on_gets_zeros() -> None:
    teacher = make_teacher(1)
    task = make_task(make_learner(), teacher)
    unused = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    for engine in (Unrolled(), Higher()):
        assert engine(task, {**parameters(teacher), "unused": unused}).gradient["unused"].tolist() == [0.0, 0.0]


def test_engines_agree_on_the_losses_of_bf16_where_the_last_layer_gives_bf16() -> None:
    teacher = make_teacher(2, dtype=torch.float32)
    learner = make_learner("linear", weight_norm=False, dtype=torch.float32)
    task = make_task(replace(learner, autocast=torch.bfloat16), teacher, every=1)
    with torch.autocast("cpu", torch.bfloat16):
        assert task.learner.module(task.real[1].x).dtype is torch.bfloat16
    engines = (Unrolled(), Higher(), Trajectory(Reverse()), Trajectory(Traced(Reverse())))
    first, *others = (engine(task, parameters(teacher)).losses for engine in engines)
    for losses in others:
        assert losses == pytest.approx(first, rel=1e-6)
