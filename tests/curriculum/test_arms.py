"""The curricula that the paper compares: what each shows, in which order, and what of it can be learned."""

import pytest
import torch

from gtn_hpc.config.teaching import Curriculum as Section
from gtn_hpc.config.teaching import Generator, Inner, Teacher
from gtn_hpc.core.errors import UsageError
from gtn_hpc.core.records import Batch, ImageShape
from gtn_hpc.curriculum.arms import make_curriculum
from gtn_hpc.curriculum.frozen import freeze
from gtn_hpc.models.layers import initialise

STEPS, BATCH, CLASSES = 3, 6, 4
IMAGE = ImageShape(1, 8, 8)
GENERATED = ("full", "shuffled_batch", "all_shuffled", "none", "fixed_latents")
ARMS = (*GENERATED, "distilled_pixels", "real_data")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def real(size, generator):
    labels = torch.randint(CLASSES, (size,), generator=generator)
    return Batch(torch.randn(size, 1, 8, 8, generator=generator), torch.nn.functional.one_hot(labels, CLASSES).float())


def curriculum(arm, labels="even", learn="per_step"):
    section = Teacher(
        generator=Generator(noise=5, hidden=8, channels=(4, 4)),
        curriculum=Section(arm=arm, steps=STEPS, batch=BATCH, labels=labels),
    )
    made = make_curriculum(section, Inner(learn=learn), IMAGE, CLASSES, real)
    initialise(made, seeded())
    return made


def images(made, seed):
    episode = made.episode(seeded(seed))
    return torch.stack([episode.batch(t).x.detach() for t in range(episode.steps)])


def as_set(images):
    return {tuple(image.flatten().tolist()) for image in images.flatten(0, 1)}


@pytest.mark.parametrize("arm", ARMS)
def test_batches_have_the_images_shape_and_probabilities(arm):
    episode = curriculum(arm).episode(seeded())
    assert episode.steps == STEPS
    for t in range(STEPS):
        x, y = episode.batch(t)
        assert x.shape == (BATCH, 1, 8, 8)
        torch.testing.assert_close(y.sum(1), torch.ones(BATCH))


@pytest.mark.parametrize("arm", ARMS)
def test_a_step_can_be_shown_again(arm):
    episode = curriculum(arm).episode(seeded())
    last = episode.batch(2)
    episode.batch(0)
    assert torch.equal(episode.batch(2).x, last.x)
    assert torch.equal(episode.batch(2).y, last.y)


@pytest.mark.parametrize("arm", ARMS)
def test_steps_shown_together_are_the_steps_shown_alone(arm):
    episode = curriculum(arm).double().episode(seeded())
    for t, (batch, hyper) in enumerate(episode.together(range(2))):
        torch.testing.assert_close(batch.x, episode.batch(t).x, rtol=1e-12, atol=1e-12)
        assert torch.equal(batch.y, episode.batch(t).y)
        assert hyper == episode.hyper(t)


@pytest.mark.parametrize("arm", ["full", "fixed_latents", "distilled_pixels"])
def test_a_fixed_order_is_the_same_in_every_pass(arm):
    made = curriculum(arm)
    assert torch.equal(images(made, 1), images(made, 2))


@pytest.mark.parametrize("arm", ["shuffled_batch", "all_shuffled"])
def test_shuffled_orders_show_each_image_once(arm):
    plans = [curriculum(arm).index(seeded(seed), torch.device("cpu")) for seed in range(3)]
    assert all(sorted(plan.flatten().tolist()) == list(range(STEPS * BATCH)) for plan in plans)
    assert not all(torch.equal(plans[0], other) for other in plans[1:])


def test_shuffled_batches_stay_together():
    made = curriculum("shuffled_batch")
    first, second = ({frozenset(as_set(batch[None])) for batch in images(made, seed)} for seed in (0, 3))
    assert first == second


@pytest.mark.parametrize("arm", ["none", "real_data"])
def test_fresh_draws_differ_from_pass_to_pass(arm):
    made = curriculum(arm)
    assert not as_set(images(made, 1)) & as_set(images(made, 2))


@pytest.mark.parametrize("arm", GENERATED)
def test_classes_are_even(arm):
    episode = curriculum(arm).episode(seeded())
    counts = sum(episode.batch(t).y.sum(0) for t in range(STEPS))
    assert float(counts.max() - counts.min()) <= 1


@pytest.mark.parametrize("arm", [*GENERATED, "distilled_pixels"])
def test_soft_labels_stay_on_the_simplex_while_they_learn(arm):
    made = curriculum(arm, labels="learned")
    optimiser = torch.optim.SGD(made.parameters(), lr=5.0)
    before = made.episode(seeded()).batch(0).y.detach()
    episode = made.episode(seeded())
    (-(episode.batch(0).y * torch.arange(CLASSES)).sum()).backward()
    optimiser.step()
    after = made.episode(seeded()).batch(0).y.detach()
    assert bool((after >= 0).all())
    torch.testing.assert_close(after.sum(1), torch.ones(BATCH))
    assert not torch.equal(before, after)


@pytest.mark.parametrize(
    ("arm", "learned"),
    [
        ("full", {"latents", "generator"}),
        ("none", {"generator"}),
        ("fixed_latents", {"generator"}),
        ("distilled_pixels", {"pixels"}),
        ("real_data", set()),
    ],
)
def test_what_is_learned(arm, learned):
    names = {name.split(".")[0] for name, _ in curriculum(arm).named_parameters()}
    assert names == {*learned, "schedule"}


@pytest.mark.parametrize(("learn", "sizes"), [("per_step", [STEPS, STEPS]), ("scalar", [1, 1]), ("no", [])])
def test_what_is_learned_of_rate_and_momentum(learn, sizes):
    made = curriculum("distilled_pixels", learn=learn)
    assert [p.numel() for name, p in made.named_parameters() if name.startswith("schedule")] == sizes
    lr, momentum = made.schedule.table()
    torch.testing.assert_close(lr, torch.full((STEPS,), Inner().lr))
    torch.testing.assert_close(momentum, torch.full((STEPS,), Inner().momentum))


def test_real_data_needs_images():
    section = Teacher(curriculum=Section(arm="real_data"))
    with pytest.raises(UsageError, match="image set"):
        make_curriculum(section, Inner(), IMAGE, CLASSES)


@pytest.mark.parametrize(
    ("arm", "order"),
    [("full", "fixed"), ("shuffled_batch", "batches"), ("all_shuffled", "all"), ("none", "batches")],
)
def test_frozen_episodes_keep_the_order_of_their_arm(arm, order):
    made = curriculum(arm)
    frozen = freeze(made, seeded(7))
    assert (frozen.order, made.order) == (order, order)
    same = torch.equal(images(frozen, 1), images(frozen, 4))
    assert same == (order == "fixed")
    assert as_set(images(frozen, 1)) == as_set(frozen.x)
