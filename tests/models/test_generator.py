"""Images of every size, in the promised range; the released sizes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from gtn_hpc.config.teaching import Generator as GeneratorSection
from gtn_hpc.core.records import ImageShape
from gtn_hpc.models.generator import Generator, double_and_convolve
from gtn_hpc.models.layers import Conv2d, initialise


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


@pytest.mark.parametrize("bias", [False, True])
def test_the_folded_convolution_is_that_of_the_doubled_map(bias: bool) -> None:
    draws = torch.Generator().manual_seed(0)
    conv = initialise(Conv2d(3, 4, 3, padding=0, bias=bias, weight_norm=False).double(), draws)
    x = torch.randn(2, 3, 5, 7, generator=draws, dtype=torch.float64)
    doubled = F.pad(F.interpolate(x, scale_factor=2.0, mode="nearest"), (1, 1, 1, 1), mode="reflect")
    torch.testing.assert_close(double_and_convolve(x, conv), conv(doubled), rtol=1e-12, atol=1e-12)
