"""Augmentation of a batch against one image after the other."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gtn_hpc.config.teaching import Augment
from gtn_hpc.data import augmented


def slowly(x, augment, generator, black):
    """The same, image by image and pixel by pixel, from the same numbers in the same order."""

    def integers(high):
        return torch.randint(high, (len(x), 1), generator=generator)[:, 0].tolist()

    batch, channels, height, width = x.shape
    down = across = mirrored = [0] * batch
    if augment.crop or augment.flip:
        down = [v - augment.crop for v in integers(2 * augment.crop + 1)]
        across = [v - augment.crop for v in integers(2 * augment.crop + 1)]
    if augment.flip:
        mirrored = integers(2)
    tops, lefts = (integers(height), integers(width)) if augment.cutout else ([0] * batch, [0] * batch)
    result = torch.empty_like(x)
    for b in range(batch):
        padded = black[0].expand(channels, height + 2 * augment.crop, width + 2 * augment.crop).clone()
        padded[:, augment.crop : augment.crop + height, augment.crop : augment.crop + width] = x[b]
        top, left = augment.crop + down[b], augment.crop + across[b]
        image = padded[:, top : top + height, left : left + width]
        image = image.flip(2) if mirrored[b] else image.clone()
        for row in range(height):
            for column in range(width):
                in_rows = 0 <= row - (tops[b] - augment.cutout // 2) < augment.cutout
                if in_rows and 0 <= column - (lefts[b] - augment.cutout // 2) < augment.cutout:
                    image[:, row, column] = 0
        result[b] = image
    return result


@settings(max_examples=60, deadline=None)
@given(
    crop=st.integers(0, 4),
    flip=st.booleans(),
    cutout=st.integers(0, 9),
    channels=st.sampled_from([1, 3]),
    size=st.tuples(st.integers(3, 8), st.integers(3, 8)),
    seed=st.integers(0, 1000),
)
def test_equals_the_slow_way(crop, flip, cutout, channels, size, seed):
    x = torch.randn(5, channels, *size, generator=torch.Generator().manual_seed(seed))
    black = torch.arange(channels).reshape(1, -1, 1, 1) - 2.0
    augment = Augment(crop=crop, flip=flip, cutout=cutout)
    before = x.clone()
    fast = augmented(x, augment, torch.Generator().manual_seed(seed), black)
    assert torch.equal(fast, slowly(x, augment, torch.Generator().manual_seed(seed), black))
    assert torch.equal(x, before), "the batch given must not change"


def ramp(batch=4000):
    """Images in which pixel (r, c) has the value 10 r + c + 1."""
    rows, columns = torch.arange(8.0)[:, None], torch.arange(8.0)
    return (10 * rows + columns + 1).expand(batch, 1, 8, 8)


def test_nothing_configured_changes_nothing():
    assert torch.equal(augmented(ramp(4), Augment(), torch.Generator(), torch.zeros(1, 1, 1, 1)), ramp(4))


def test_crops_are_uniform_over_all_shifts_and_padded_black():
    x = augmented(ramp(), Augment(crop=2), torch.Generator().manual_seed(0), torch.full((1, 1, 1, 1), -5.0))
    counts = x[:, 0, 4, 4].unique(return_counts=True)
    assert counts[0].tolist() == [10 * (4 + r) + 4 + c + 1 for r in range(-2, 3) for c in range(-2, 3)]
    assert counts[1].min() > 100 and counts[1].max() < 230, "160 each in the mean"
    moved_down = x[x[:, 0, 4, 4] == 10 * 2 + 5][0, 0]
    assert (moved_down[:2] == -5).all() and moved_down[2, 0] == 1


def test_half_of_the_images_are_mirrored():
    x = augmented(ramp(), Augment(flip=True), torch.Generator().manual_seed(0), torch.zeros(1, 1, 1, 1))
    mirrored = x[:, 0, 0, 0] == 8
    assert torch.equal(x[mirrored], ramp()[mirrored].flip(3)) and torch.equal(x[~mirrored], ramp()[~mirrored])
    assert 0.46 < mirrored.float().mean() < 0.54


@pytest.mark.parametrize("side", [1, 3, 4])
def test_cutout_is_a_square_of_zeros_clipped_at_the_border(side):
    x = augmented(ramp(), Augment(cutout=side), torch.Generator().manual_seed(0), torch.zeros(1, 1, 1, 1))
    cut = x == 0
    assert torch.equal(x[~cut], ramp()[~cut])
    heights, widths = cut[:, 0].any(2).sum(1), cut[:, 0].any(1).sum(1)
    assert torch.equal(cut.sum((1, 2, 3)), heights * widths), "a rectangle"
    assert heights.max() == widths.max() == side and heights.min() == (side + 1) // 2
