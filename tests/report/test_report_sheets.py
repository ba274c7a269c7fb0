"""PNGs of synthetic images, read back by an independent decoder."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from gtn_hpc.report import sheets


@pytest.mark.parametrize(("depth", "mode"), [(2, "LA"), (4, "RGBA")])
def test_a_png_holds_the_pixels(depth, mode):
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (7, 5, depth), dtype=np.uint8)
    uri = sheets.data_uri(pixels)
    image = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))
    assert image.mode == mode
    assert (np.asarray(image) == pixels).all()


def test_a_column_a_class_and_gaps_are_transparent():
    images = np.stack([np.full((3, 2, 2), 10 * k, np.uint8) for k in range(4)])
    found = sheets.sheet(images, np.array([1, 0, 1, 1]), classes=3, rows=2)
    assert found.shape == (7, 10, 4)
    assert (found[1:3, 1:3, 0] == 10).all()
    assert (found[1:3, 4:6, 0] == 0).all()
    assert (found[4:6, 4:6, 0] == 20).all()
    assert (found[:, 7:, 3] == 0).all()
    assert (found[0, :, 3] == 0).all()
    assert (found[1:3, 1:3, 3] == 255).all()


@pytest.mark.parametrize("steps", [1, 8, 128])
@pytest.mark.parametrize("image_bytes", [64, 784, 3072, 150_528])
def test_steps_and_rows_fit_the_limit(steps, image_bytes):
    chosen, rows = sheets.chosen_steps(steps, image_bytes, 10, 700_000)
    assert chosen[0] == 0
    assert chosen[-1] == steps - 1 or len(chosen) == 1
    assert len(chosen) * rows * image_bytes * 10 <= 700_000 or (len(chosen), rows) == (1, 1)


def test_shades_are_stretched_over_the_whole_curriculum():
    x = np.linspace(-3, 3, 2 * 5 * 64).reshape(2, 5, 1, 8, 8)
    found = sheets.pixels(x, np.array([4.9]), np.array([6.0]))
    assert (found.min(), found.max()) == (0, 255)
    assert found[0].max() < found[1].min() + 3
