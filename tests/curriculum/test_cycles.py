"""Few images and many steps: batches shown in turn and again."""

from functools import partial

import pytest
import torch
from pydantic import ValidationError

from gtn_hpc.config.teaching import Curriculum as Section
from gtn_hpc.config.teaching import Generator, Inner, Teacher
from gtn_hpc.core.errors import ConfigError
from gtn_hpc.core.records import ImageShape
from gtn_hpc.curriculum import file
from gtn_hpc.curriculum.arms import make_curriculum
from gtn_hpc.curriculum.file import Description
from gtn_hpc.curriculum.frozen import freeze
from gtn_hpc.meta.judge import rounded_to
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


def shown(made, seed=0):
    episode = made.episode(seeded(seed))
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


@pytest.mark.parametrize("arm", ["full", "distilled_pixels"])
def test_a_file_holds_every_step_and_the_schedule_stays_that_of_the_step(arm):
    made = cycled(arm)
    frozen = freeze(made, seeded())
    assert frozen.x.shape[0] == frozen.schedule.table()[0].shape[0] == STEPS
    assert torch.equal(frozen.x, torch.stack(shown(made)))
    assert len(torch.unique(frozen.x.flatten(0, 1).flatten(1), dim=0)) == CYCLE * BATCH


@pytest.mark.parametrize("arm", ["shuffled_batch", "all_shuffled"])
def test_a_file_shows_the_images_of_a_shuffled_cycle_as_the_teacher_does(arm, tmp_path):
    made = cycled(arm)
    file.write(tmp_path / "a.h5", freeze(made, seeded()), Description("a", (), (), {}, (), arm), config="")
    found = file.read(tmp_path / "a.h5", dtype=torch.float64).frozen
    pool = torch.stack(shown(freeze(cycled("full"), seeded()))).flatten(0, 1)
    for seed in range(3):
        index = made.index(seeded(seed), torch.device("cpu"))
        torch.testing.assert_close(torch.stack(shown(found, seed)), pool[index], rtol=1e-5, atol=1e-5)
        if arm == "shuffled_batch":  # else the generator's batch norm sees other images beside each
            torch.testing.assert_close(shown(found, seed), shown(made, seed), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("again", [lambda found: found.repeated(2), partial(rounded_to, "float16")])
def test_each_cycle_shows_each_image_once_however_it_is_exported(again):
    whole = again(freeze(cycled("all_shuffled"), seeded()))
    assert whole.cycle == CYCLE
    steps = torch.stack(shown(whole))
    for start in range(0, whole.steps - CYCLE + 1, CYCLE):
        images = steps[start : start + CYCLE].flatten(0, 1).flatten(1)
        assert len(torch.unique(images, dim=0)) == CYCLE * BATCH
    assert len(torch.unique(steps.flatten(0, 1).flatten(1), dim=0)) == CYCLE * BATCH


def test_passes_over_a_whole_curriculum_are_shuffled_one_by_one():
    twice = freeze(cycled("shuffled_batch", cycle=None), seeded()).repeated(2)
    first, second = torch.stack(shown(twice)).split(STEPS)
    assert all(len(torch.unique(steps, dim=0)) == STEPS for steps in (first, second))
    assert not torch.equal(first, second)


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


def test_fewer_images_than_classes_are_refused_where_labels_are_even():
    def made(**chosen):
        section = Teacher(curriculum=Section(arm="distilled_pixels", **chosen))
        return make_curriculum(section, Inner(), ImageShape(1, 8, 8), 10)

    with pytest.raises(ConfigError, match=r"shows 9 images \(steps x batch\), but there are 10 classes"):
        made(steps=3, batch=3)
    with pytest.raises(ConfigError, match=r"shows 8 images \(cycle x batch\)"):
        made(steps=9, batch=4, cycle=2)
    assert made(steps=3, batch=3, labels="learned").labels.logits.shape == (9, 10)
    assert made(steps=2, batch=5).steps == 2
