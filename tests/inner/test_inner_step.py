"""A step is a pure function of (state, batch, hyper, seed, t); a score of a sample is its own."""

import needs
import pytest
import torch
from meta_tasks import IMAGE, make_learner, make_task, make_teacher, real_batch

from gtn_hpc.core.streams import derive
from gtn_hpc.inner.step import Learner, LearnerState, evaluate, inner_step, randomness_of_step, real_loss


def after_a_step(learner: Learner, t: int = 0) -> LearnerState:
    task = make_task(learner, make_teacher(1))
    return inner_step(learner, task.initial, task.episode.batch(0), task.episode.hyper(0), t)


@pytest.mark.parametrize("norm", ["batch", "mean_only", "none"])
@pytest.mark.parametrize("family", ["conv2-fc", "conv2-gap", "linear", "conv5", "conv6"])
def test_scoring_a_sample_does_not_depend_on_the_others(family: str, norm: str) -> None:
    learner = make_learner(family, norm=norm, dropout=0.5)
    state = after_a_step(learner)
    x = real_batch(torch.Generator().manual_seed(0), IMAGE, torch.float64).x
    together = evaluate(learner, state, x)
    alone = torch.cat([evaluate(learner, state, row[None]) for row in x])
    others = torch.cat([evaluate(learner, state, torch.cat([row[None], 9 * x[:2]]))[:1] for row in x])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(together, others, rtol=1e-12, atol=1e-12)


def test_batch_norms_statistics_are_those_of_the_last_synthetic_batch_and_part_of_the_gradient() -> None:
    learner, teacher = make_learner("conv2-gap"), make_teacher(1)
    task = make_task(learner, teacher)
    state = inner_step(learner, task.initial, task.episode.batch(0), task.episode.hyper(0), 0, create_graph=True)
    first = learner.module[0]
    direction, norm = task.initial.params["0.weight"], task.initial.params["0.g"]
    weight = direction * (norm / direction.flatten(1).norm(dim=1)).reshape(-1, 1, 1, 1)
    h = torch.nn.functional.conv2d(task.episode.batch(0).x, weight, padding=first.padding)
    torch.testing.assert_close(state.buffers["1.mean"], h.mean(dim=(0, 2, 3)), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(state.buffers["1.var"], h.var(dim=(0, 2, 3), correction=0), rtol=1e-12, atol=1e-14)
    latents = dict(teacher.named_parameters())["latents"]
    (slope,) = torch.autograd.grad(state.buffers["5.var"].sum(), latents)
    assert float(slope.abs().max()) > 0


def test_the_same_step_drops_the_same_units_and_another_step_others() -> None:
    learner = make_learner("linear", dropout=0.5)
    before = torch.random.get_rng_state()
    first, again, other = after_a_step(learner, 3), after_a_step(learner, 3), after_a_step(learner, 4)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first.params[k], again.params[k]) for k in first.params)
    assert any(not torch.equal(first.params[k], other.params[k]) for k in first.params)


GPUS = [pytest.param("cuda", marks=needs.GPU)]


@pytest.mark.parametrize("device", ["cpu", *GPUS])
def test_what_a_step_draws_is_what_its_seed_draws(device: str) -> None:
    learner = make_learner("linear", dropout=0.5)
    learner.module.to(device)
    with torch.random.fork_rng():
        torch.manual_seed(derive(learner.seed, "dropout", 3))
        expected = [torch.rand(5, device=place) for place in ("cpu", device)]
    with randomness_of_step(learner, 3):
        found = [torch.rand(5, device=place) for place in ("cpu", device)]
    assert all(torch.equal(mine, other) for mine, other in zip(found, expected, strict=True))


@needs.TWO_GPUS
def test_a_step_leaves_other_gpus_alone() -> None:
    learner = make_learner("linear", dropout=0.5)
    learner.module.to("cuda:1")
    before = torch.cuda.get_rng_state(0)
    with randomness_of_step(learner, 3):
        assert torch.equal(torch.cuda.get_rng_state(0), before)
        assert not torch.equal(torch.cuda.get_rng_state(1), before)


def test_a_step_without_a_graph_leaves_its_input_alone_and_carries_no_graph() -> None:
    learner = make_learner("conv2-gap", "adam")
    task = make_task(learner, make_teacher(1))
    copies = {k: p.clone() for k, p in task.initial.params.items()}
    state = inner_step(learner, task.initial, task.episode.batch(0), task.episode.hyper(0), 0)
    everything = [*state.params.values(), *state.buffers.values(), *state.optimiser.values()]
    assert not any(value.requires_grad for value in everything)
    assert all(torch.equal(task.initial.params[k], copies[k]) for k in copies)
    assert not torch.isnan(real_loss(learner, state, task.real[1]))
