"""Images of every size, in the promised range; the released sizes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gtn_hpc.config.teaching import Generator as GeneratorSection
from gtn_hpc.core.records import ImageShape
from gtn_hpc.models.generator import Generator
from gtn_hpc.models.layers import initialise


def make(image: ImageShape, classes: int = 10, **options: object) -> Generator:
    section = GeneratorSection(**{"noise": 3, "hidden": 8, "channels": (4, 2), **options})
    return initialise(Generator(section, image, classes), torch.Generator().manual_seed(0))


@given(st.integers(1, 4), st.integers(8, 21), st.integers(8, 21), st.integers(2, 5))
def test_makes_images_of_any_size_in_range(channels: int, height: int, width: int, classes: int) -> None:
    generator = make(ImageShape(channels, height, width), classes)
    images = generator(torch.randn(4, 3, generator=torch.Generator().manual_seed(1)), torch.eye(classes)[[0, 1, 0, 1]])
    assert images.shape == (4, channels, height, width)
    assert float(images.detach().abs().max()) <= 2.0
    assert not torch.equal(images[0], images[1])


def test_statistics_are_those_of_the_synthetic_batch_in_evaluation_too() -> None:
    generator = make(ImageShape(1, 8, 8))
    latent, label = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)), torch.eye(10)[:6]
    assert torch.equal(generator.train()(latent, label), generator.eval()(latent, label))
    assert not list(generator.buffers())


@pytest.mark.parametrize(("image", "millions"), [(ImageShape(1, 28, 28), 6.7), (ImageShape(3, 32, 32), 8.6)])
def test_released_sizes(image: ImageShape, millions: float) -> None:
    generator = Generator(GeneratorSection(), image, 10)
    assert sum(p.numel() for p in generator.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)
