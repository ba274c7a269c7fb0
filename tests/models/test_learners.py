"""Every family fits every image size; widths are drawn as the configuration says."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gtn_hpc.config.families import FIXED, RANGES
from gtn_hpc.config.teaching import Learner as LearnerSection
from gtn_hpc.core.records import ImageShape
from gtn_hpc.models.layers import initialise
from gtn_hpc.models.learners import LearnerSpec, build_learner, draw_learner


@given(
    family=st.sampled_from(sorted(FIXED)),
    norm=st.sampled_from(["batch", "mean_only", "none"]),
    channels=st.sampled_from([1, 3]),
    height=st.integers(8, 17),
    width=st.integers(8, 17),
    classes=st.integers(2, 12),
)
def test_every_family_fits_every_image(
    family: str, norm: str, channels: int, height: int, width: int, classes: int
) -> None:
    spec = LearnerSpec(LearnerSection(family=family, norm=norm), (3,) * len(FIXED[family]))
    learner = initialise(build_learner(spec, ImageShape(channels, height, width), classes), torch.Generator())
    logits = learner(torch.zeros(2, channels, height, width))
    assert logits.shape == (2, classes)
    assert bool(torch.isfinite(logits).all())


def test_the_papers_sizes() -> None:
    conv5 = build_learner(LearnerSpec(LearnerSection(family="conv5"), FIXED["conv5"]), ImageShape(3, 32, 32), 10)
    assert sum(p.numel() for p in conv5.parameters()) == pytest.approx(1.1e6, rel=0.05)


def test_widths_are_drawn_from_the_ranges_in_multiples_of_the_quantum() -> None:
    section = LearnerSection(family="conv2-fc", widths="random", width_quantum=16)
    drawn = {draw_learner([section], np.random.default_rng(seed)).widths for seed in range(200)}
    for position, (low, high) in enumerate(RANGES["conv2-fc"]):
        assert {widths[position] for widths in drawn} == set(range(low, high, 16))


def test_families_are_drawn_by_weight() -> None:
    mixture = [LearnerSection(family="linear", weight=3.0), LearnerSection(family="conv5", widths="fixed")]
    rng = np.random.default_rng(0)
    families = [draw_learner(mixture, rng).section.family for _ in range(400)]
    assert families.count("linear") == pytest.approx(300, abs=40)


def test_own_widths_and_their_mistakes() -> None:
    rng = np.random.default_rng(0)
    section = LearnerSection(family="conv2-gap", widths=(4, (8, 9)), width_quantum=8)
    assert draw_learner([section], rng).widths == (4, 8)
    with pytest.raises(ValidationError, match="conv2-gap has 2 hidden layers, widths has 1"):
        LearnerSection(family="conv2-gap", widths=(4,))
    with pytest.raises(
        ValidationError, match=r"no multiple of width_quantum = 200 .*\[32, 128\] of the family conv2-gap"
    ):
        LearnerSection(family="conv2-gap", width_quantum=200, weight=1e-9)


def test_the_last_layer_starts_small_where_it_is_asked_for() -> None:
    small = LearnerSpec(LearnerSection(family="linear", norm="none", weight_norm=False, head_scale=0.1), (5, 4))
    large = LearnerSpec(LearnerSection(family="linear", norm="none", weight_norm=False), (5, 4))
    first, second = (
        initialise(build_learner(spec, ImageShape(4, 1, 1), 2), torch.Generator().manual_seed(3))
        for spec in (small, large)
    )
    for (name, a), b in zip(first.named_parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(a, 0.1 * b if name == "5.weight" else b, msg=name)
