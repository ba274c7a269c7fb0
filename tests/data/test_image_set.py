"""Normalisation against numpy, and how batches are drawn."""

from collections import Counter

import needs
import numpy as np
import pytest
import torch

from gtn_hpc.config.teaching import Augment
from gtn_hpc.data import ImageSet, Normalisation


def image_set(count=50, channels=3, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, channels, 8, 9), dtype=torch.uint8, generator=generator)
    return ImageSet(images, torch.arange(count), count, Normalisation.of(images, dtype))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 50, 9000])
def test_statistics_are_those_of_numpy(count, channels):
    images = image_set(count, channels, torch.float64)
    pixels = images.images.numpy() / 255
    assert images.mean.numpy() == pytest.approx(pixels.mean((0, 2, 3)), rel=1e-12)
    assert images.std.numpy() == pytest.approx(pixels.std((0, 2, 3)), rel=1e-12)
    expected = (pixels - pixels.mean((0, 2, 3), keepdims=True)) / pixels.std((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(images.normalised().x.numpy(), expected, atol=1e-12)


def test_a_constant_channel_is_centred_and_stays_finite():
    images = torch.full((4, 2, 8, 8), 7, dtype=torch.uint8)
    images[0, 1, 0, 0] = 200
    x = Normalisation.of(images, torch.float32).apply(images)
    assert x.isfinite().all() and x[:, 0].abs().max() < 1e-6 and x[:, 1].max() > 1


def test_black_is_a_pixel_of_zero():
    normalisation = image_set().normalisation
    assert torch.equal(normalisation.black.expand(1, 3, 8, 9), normalisation.apply(torch.zeros(1, 3, 8, 9).byte()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("held", [False, True])
def test_indices_slices_and_everything_agree(dtype, held):
    images = image_set(dtype=dtype)
    images = images.holding() if held else images
    x, y = images.normalised()
    assert x.dtype == images.dtype == dtype and x.shape == (50, 3, 8, 9) and y.tolist() == list(range(50))
    chosen = torch.tensor([7, 3, 3, 49])
    for part in (chosen, slice(5, 9)):
        batch = images.normalised(part)
        assert torch.equal(batch.x, x[part]) and torch.equal(batch.y, y[part])


@pytest.mark.parametrize(("count", "size"), [(50, 7), (50, 40), (50, 50), (2000, 40), (2000, 44)])
def test_a_sample_has_different_images_with_their_labels(count, size):
    images = image_set(count)
    x, _ = images.normalised()
    draw = generator()
    for _ in range(20):
        batch = images.sample(size, draw)
        assert len(set(batch.y.tolist())) == size
        assert torch.equal(batch.x, x[batch.y])


@pytest.mark.parametrize("size", [3, 4])
def test_samples_are_uniform_also_in_their_order(size):
    """Both ways of drawing (of 12: whole batches redrawn for 3, a permutation for 4), by a chi-squared statistic."""
    images, draw, draws = image_set(12), generator(1), 6000
    seen = Counter((place, k) for _ in range(draws) for place, k in enumerate(images.sample(size, draw).y.tolist()))
    for place in range(size):
        statistic = sum((seen[place, k] - draws / 12) ** 2 / (draws / 12) for k in range(12))
        assert statistic < 35, "11 degrees of freedom: exceeded by chance once in 4,000"


@pytest.mark.parametrize("held", [False, True])
def test_some_images_are_spread_evenly_over_the_set(held):
    images = image_set(50).holding() if held else image_set(50)
    few, want = images.spread(20), torch.arange(20) * 50 // 20
    assert torch.equal(few.labels, images.labels[want])
    assert torch.equal(few.normalised().x, images.normalised(want).x)
    assert int(want.max()) >= 47
    assert images.spread(50) is images


def test_a_sample_larger_than_the_set_is_the_set():
    assert sorted(image_set(5).sample(9, generator()).y.tolist()) == list(range(5))


def test_the_generator_decides():
    images, augment = image_set(), Augment(crop=2, flip=True, cutout=3)
    one, same, other = (images.sample(20, generator(seed), augment) for seed in (1, 1, 2))
    assert torch.equal(one.x, same.x) and torch.equal(one.y, same.y)
    assert not torch.equal(one.y, other.y)


def test_an_epoch_shows_every_image_once():
    images = image_set(50)
    for shuffle in (None, generator()):
        batches = list(images.epoch(16, shuffle))
        assert [len(batch.y) for batch in batches] == [16, 16, 16, 2]
        order = torch.cat([batch.y for batch in batches])
        assert sorted(order.tolist()) == list(range(50))
        assert (order.tolist() == list(range(50))) == (shuffle is None)
        assert torch.equal(torch.cat([batch.x for batch in batches]), images.normalised().x[order])


def test_epochs_of_one_generator_differ_and_repeat_from_its_start():
    images, going_on = image_set(50), generator(3)
    first, second, again = (
        torch.cat([batch.y for batch in images.epoch(20, source)]) for source in (going_on, going_on, generator(3))
    )
    assert torch.equal(first, again) and not torch.equal(first, second)


def test_an_epoch_augments():
    batches = list(image_set(10).epoch(10, generator(), Augment(cutout=30)))
    assert torch.equal(batches[0].x, torch.zeros(10, 3, 8, 9))
    with pytest.raises(AssertionError, match="needs a generator"):
        next(image_set(10).epoch(10, None, Augment(flip=True)))


@needs.GPU
def test_on_a_gpu_the_same_batch_of_a_cpu_generator():
    images = image_set()
    gpu = images.images.cuda()
    there = ImageSet(gpu, images.labels.cuda(), 50, Normalisation.of(gpu, torch.float32))
    augment = Augment(crop=2, flip=True, cutout=3)
    here_batch, there_batch = images.sample(20, generator(), augment), there.sample(20, generator(), augment)
    assert torch.equal(there_batch.y.cpu(), here_batch.y)
    torch.testing.assert_close(there_batch.x.cpu(), here_batch.x)
    on_device = there.sample(20, torch.Generator("cuda").manual_seed(0), augment)
    assert on_device.x.is_cuda and len(set(on_device.y.tolist())) == 20
