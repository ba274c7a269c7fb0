"""Few images and many steps: batches shown in turn and again."""

import pytest
import torch
from pydantic import ValidationError

from gtn_hpc.config.teaching import Curriculum as Section
from gtn_hpc.config.teaching import Generator, Inner, Teacher
from gtn_hpc.core.records import ImageShape
from gtn_hpc.curriculum.arms import make_curriculum
from gtn_hpc.curriculum.frozen import freeze
from gtn_hpc.models.layers import initialise

STEPS, BATCH, CYCLE, CLASSES = 7, 4, 3, 2


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def cycled(arm, cycle=CYCLE, labels="even"):
    section = Teacher(
        generator=Generator(noise=5, hidden=8, channels=(4, 4)),
        curriculum=Section(arm=arm, steps=STEPS, batch=BATCH, cycle=cycle, labels=labels),
    )
    made = make_curriculum(section, Inner(), ImageShape(1, 8, 8), CLASSES)
    initialise(made, seeded())
    return made.double()


def shown(made, seed=0, steps=None):
    episode = made.episode(seeded(seed), steps)
    return [episode.batch(t).x.detach() for t in range(episode.steps)]


@pytest.mark.parametrize("arm", ["full", "fixed_latents", "distilled_pixels"])
def test_batches_come_back_in_turn(arm):
    batches = shown(cycled(arm))
    for t in range(STEPS):
        assert torch.equal(batches[t], batches[t % CYCLE])
    assert not torch.equal(batches[0], batches[1])


def test_each_cycle_of_a_shuffled_order_shows_each_image_once():
    for arm in ("shuffled_batch", "all_shuffled"):
        index = cycled(arm).index(seeded(), torch.device("cpu"))
        assert index.shape == (STEPS, BATCH)
        for start in (0, CYCLE):
            assert sorted(index[start : start + CYCLE].flatten().tolist()) == list(range(CYCLE * BATCH))
        assert not torch.equal(index[:CYCLE], index[CYCLE : 2 * CYCLE])


def test_a_shorter_pass_leaves_out_the_first_steps():
    made = cycled("full")
    for alone, whole in zip(shown(made, steps=4), shown(made)[3:], strict=True):
        assert torch.equal(alone, whole)


@pytest.mark.parametrize("arm", ["full", "distilled_pixels"])
def test_a_file_holds_every_step_and_the_schedule_stays_that_of_the_step(arm):
    made = cycled(arm)
    frozen = freeze(made, seeded())
    assert frozen.x.shape[0] == frozen.schedule.table()[0].shape[0] == STEPS
    assert torch.equal(frozen.x, torch.stack(shown(made)))
    assert len(torch.unique(frozen.x.flatten(0, 1).flatten(1), dim=0)) == CYCLE * BATCH


def test_the_gradient_of_an_image_is_the_sum_over_the_steps_that_show_it():
    made = cycled("distilled_pixels")
    episode = made.episode(seeded())
    sum((t + 1) * episode.batch(t).x.sum() for t in range(STEPS)).backward()
    expected = [1 + 4 + 7, 2 + 5, 3 + 6]
    found = made.pixels.grad.reshape(CYCLE, -1)
    assert [row.unique().tolist() for row in found] == [[total] for total in expected]


def test_what_is_learned_of_an_image_is_not_final_before_its_first_step():
    schedule = {"schedule.log_lr", "schedule.logit_momentum"}
    assert cycled("full", labels="learned").by_step() == schedule
    assert cycled("full", cycle=STEPS, labels="learned").by_step() == schedule | {"latents", "labels.logits"}


@pytest.mark.parametrize(
    ("arm", "cycle", "said"), [("full", 8, "cycle is 8, more than steps = 7"), ("none", 3, "none draws new ones")]
)
def test_a_cycle_has_to_fit(arm, cycle, said):
    with pytest.raises(ValidationError, match=said):
        Section(arm=arm, steps=STEPS, batch=BATCH, cycle=cycle)
