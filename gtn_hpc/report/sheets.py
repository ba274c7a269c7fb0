"""Synthetic images as small PNGs: one pixel a pixel, the page enlarges them."""

import base64
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LIMIT_BYTES = 700_000
"""Pixels of all sheets of a run, before compression."""
GAP = 1
COLOUR_TYPE = {2: 4, 4: 6}
"""PNG's number for grey or RGB with transparency, by the bytes of a pixel."""


def data_uri(sheet: Array) -> str:
    """`sheet` [H, W, 2 or 4] uint8 (grey or RGB, then opacity) as a PNG in a URI."""
    height, width, depth = sheet.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), sheet.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPE[depth], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return "data:image/png;base64," + base64.b64encode(png).decode()


def chosen_steps(steps: int, image_bytes: int, classes: int, limit: int) -> tuple[list[int], int]:
    """Which steps are shown, evenly from the first to the last, and how many images of each class."""
    shown = max(1, min(steps, 32, limit // (image_bytes * classes)))
    rows = max(1, min(4, limit // (image_bytes * classes * shown)))
    return sorted({round(place) for place in np.linspace(0, steps - 1, shown)}), rows


def pixels(x: Array, mean: Array, std: Array) -> Array:
    """Images [..., C, H, W] in units of the image set to uint8; black and white are the 1st and 99th percentile."""
    shades = x.astype(np.float32) * _spread(std, x) + _spread(mean, x)
    low, high = np.percentile(shades, (1, 99))
    return (np.clip((shades - low) / max(high - low, 1e-6), 0, 1) * 255).round().astype(np.uint8)


def _spread(values: Array, x: Array) -> Array:
    channels = x.shape[-3]
    return np.resize(np.asarray(values, np.float32), channels).reshape(channels, 1, 1)


def sheet(images: Array, labels: Array, classes: int, rows: int) -> Array:
    """A column of at most `rows` images of each class: [H', W', 2 or 4] uint8, transparent where there is none.

    `images` [B, C, H, W] uint8, `labels` [B]. Images of neither one nor three channels are shown as their mean.
    """
    if images.shape[1] not in (1, 3):
        images = images.mean(axis=1, keepdims=True).astype(np.uint8)
    channels, height, width = images.shape[1:]
    canvas = np.zeros((rows * (height + GAP) + GAP, classes * (width + GAP) + GAP, channels + 1), np.uint8)
    for label in range(classes):
        left = label * (width + GAP) + GAP
        for row, image in enumerate(images[labels == label][:rows]):
            top = row * (height + GAP) + GAP
            canvas[top : top + height, left : left + width, :channels] = image.transpose(1, 2, 0)
            canvas[top : top + height, left : left + width, channels] = 255
    return canvas
