"""Splits never overlap, cover the set and depend on the seed alone."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gtn_hpc.config.teaching import Data
from gtn_hpc.core.errors import ConfigError
from gtn_hpc.data import describe, load
from gtn_hpc.data.source import Source, labelled
from gtn_hpc.data.splits import cut, taken
from gtn_hpc.data.splits import split as numbers_of


def numbered(count, test=None):
    """A set whose image i says i in its first two pixels."""

    def part(first, n):
        images = np.zeros((n, 8, 8), np.uint8)
        images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(first, first + n), 256)
        return labelled(images, np.arange(n) % 2, "numbered")

    own_test = None if test is None else part(count, test)
    return Source("numbered", part(0, count), own_test, ("0", "1"), "numbered")


def split(found, section, seed):
    return taken(found, numbers_of(found, section, seed))


def identities(part):
    pixels = part.images.astype(int)
    return (pixels[:, 0, 0, 0] * 256 + pixels[:, 0, 0, 1]).tolist()


SHARE = st.floats(0.01, 0.4) | st.integers(2, 20).map(float)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(60, 3000), validation=SHARE, test=SHARE, own_test=st.none() | st.just(30), seed=st.integers(0, 99)
)
def test_disjoint_covering_stable(count, validation, test, own_test, seed):
    section = Data(validation=validation, test=test)
    found = numbered(count, own_test)
    parts = [identities(part) for part in split(found, section, seed)]
    everything = sorted(parts[0] + parts[1] + parts[2])
    assert everything == list(range(count + (own_test or 0)))
    assert parts == [identities(part) for part in split(found, section, seed)]
    if own_test is not None:
        assert parts[2] == list(range(count, count + own_test))
    elif test >= 1:
        assert len(parts[2]) == test
    if validation >= 1:
        assert len(parts[1]) == validation
    assert parts[1] != identities(split(found, section, seed + 1)[1]) or len(parts[1]) < 3


@settings(max_examples=30, deadline=None)
@given(limit=st.integers(1, 70), seed=st.integers(0, 99))
def test_a_limit_takes_training_images_away_and_nothing_else(limit, seed):
    found = numbered(100)
    whole = split(found, Data(), seed)
    limited = split(found, Data(train=limit), seed)
    assert identities(limited[0]) == identities(whole[0])[:limit]
    assert [identities(part) for part in limited[1:]] == [identities(part) for part in whole[1:]]


def test_a_seed_of_the_splits_own_goes_before_that_of_the_run():
    assert np.array_equal(cut(100, Data(seed=4), 0, own_test=True).train, cut(100, Data(), 4, own_test=True).train)


@settings(max_examples=40, deadline=None)
@given(sections=st.tuples(SHARE, SHARE), seeds=st.tuples(*2 * [st.integers(0, 2)]), own_test=st.booleans())
def test_images_held_out_here_and_trained_on_there_are_counted(sections, seeds, own_test):
    here, there = (Data(validation=share, test=0.1, train=40) for share in sections)
    numbers, other = (
        cut(100, section, seed, own_test=own_test) for section, seed in zip((here, there), seeds, strict=True)
    )
    held_out = set(numbers.validation) | set(numbers.test)
    assert numbers.trained_on(there, seeds[1]) == len(held_out & set(other.train))
    assert numbers.trained_on(here, seeds[0]) == 0


def test_labels_go_with_their_images():
    for part in split(numbered(500), Data(), 3):
        assert np.array_equal(part.labels, np.array(identities(part)) % 2)


def test_the_split_of_a_seed_is_fixed_for_ever():
    """Results of different releases can be compared only if this never changes."""
    assert identities(split(numbered(1000), Data(), 0)[1])[:6] == [437, 436, 143, 525, 918, 430]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"validation": 100}, "data.validation = 100 takes 100 of 80 images"),
        ({"test": 100}, "data.test = 100 takes 100 of 100 images"),
        ({"train": 73}, "data.train asks for 73 images, but 72 are left"),
    ],
)
def test_more_than_there_is(wrong, words):
    with pytest.raises(ConfigError, match=words) as caught:
        split(numbered(100), Data(**wrong), 0)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"train": 9}, r"data.train is 9, but digits has 10 classes"),
        ({"validation": 0.0005}, r"data.validation = 0.0005 takes one image of digits: one is none to judge by"),
        ({"test": 0.0001}, r"data.test = 0.0001 takes one image of digits: one is none to judge by"),
        ({"augment": {"crop": 8}}, r"data.augment.crop is 8 pixels, but the images are 8x8"),
        ({"augment": {"cutout": 9}}, r"data.augment.cutout is 9 pixels"),
    ],
)
def test_what_leaves_nothing_to_learn_from_is_refused(wrong, words):
    with pytest.raises(ConfigError, match=words) as caught:
        load(Data(**wrong), seed=0)
    assert caught.value.remedy
    assert len(load(Data(train=10, augment={"crop": 7, "cutout": 7}), seed=0).train) == 10


def test_digits_are_loaded_as_configured():
    splits = load(Data(validation=200, test=300, train=1000), seed=5, dtype=torch.float64)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [1000, 200, 300]
    assert splits.classes == 10 and str(splits.shape) == "1x8x8" and splits.name == "digits"
    again = load(Data(validation=200, test=300, train=1000), seed=5)
    other = load(Data(validation=200, test=300, train=1000), seed=6)
    assert torch.equal(splits.train.images, again.train.images)
    assert not torch.equal(splits.train.images, other.train.images)
    assert splits.train.dtype == splits.test.normalised().x.dtype == torch.float64


def test_held_and_not_held_give_the_same_bits():
    held, lean = (load(Data(), seed=0, hold_bytes=size) for size in (2**20, 100))
    assert held.train.held is not None and lean.train.held is None
    for split_of in ("train", "validation", "test"):
        assert torch.equal(getattr(held, split_of).normalised().x, getattr(lean, split_of).normalised().x)


def test_description_is_json_and_true():
    section = Data(validation=100)
    described = json.loads(json.dumps(describe(section, seed=4)))
    splits = load(section, seed=4)
    assert described["shape"] == {"channels": 1, "height": 8, "width": 8}
    assert described["splits"]["validation"] == {
        "images": 100,
        "per_class": [int((splits.validation.labels == k).sum()) for k in range(10)],
    }
    assert described["mean"] == pytest.approx([(splits.train.images.double() / 255).mean().item()], rel=1e-6)
    assert described["seed"] == 4 and described["found"].endswith("digits.csv.gz")
