"""Small image sets written as real files of every kind that is read."""

import gzip
import io
import struct

import numpy as np
from PIL import Image

CHANCE = np.random.default_rng(0)
GREY = CHANCE.integers(0, 256, (30, 9, 11), dtype=np.uint8)
COLOUR = CHANCE.integers(0, 256, (30, 9, 11, 3), dtype=np.uint8)
LABELS = np.arange(30) % 3


def idx_bytes(array, kind=8):
    return struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, split, images, labels, *, dash="-", packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for part, rank, array in (("images", 3, images), ("labels", 1, np.asarray(labels, np.uint8))):
        content = idx_bytes(array)
        name = f"{split}-{part}{dash}idx{rank}-ubyte"
        (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)


def jpeg(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def jpeg_arrays(split, images, labels):
    pictures = [jpeg(image) for image in images]
    return {
        f"{split}_jpeg": np.frombuffer(b"".join(pictures), np.uint8),
        f"{split}_offsets": np.cumsum([0, *map(len, pictures)]),
        f"{split}_labels": np.asarray(labels, np.uint8),
    }


def write_jpeg_packed(path, **changes):
    arrays = {**jpeg_arrays("train", COLOUR, LABELS), **jpeg_arrays("test", COLOUR[:6], LABELS[:6])}
    np.savez(path, **{**arrays, "classes": ["x", "y", "z"], **changes})
    return path


def write_pictures(folder, images, labels, mode="PNG"):
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / f"class{label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i:02d}.{mode.lower()}")
