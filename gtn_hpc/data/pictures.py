"""Pictures in any format that Pillow reads."""

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from gtn_hpc.core.errors import DataError

GREY = ("1", "L")
DEEP = ("I", "I;16", "I;16B", "I;16L", "F")


def decode(picture: Path | bytes, where: str) -> NDArray[np.uint8]:
    """One picture as uint8 [H, W, C]: C = 1 for grey pictures, else 3 (palettes and transparency become RGB)."""
    try:
        with Image.open(BytesIO(picture) if isinstance(picture, bytes) else picture) as image:
            if image.mode in DEEP:
                raise DataError(f"{where}: more than 8 bits a channel ({image.mode})", remedy="Store 8-bit pictures.")
            mode = "L" if image.mode in GREY else "RGB"
            pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "not a picture" if isinstance(error, UnidentifiedImageError) else error
        raise DataError(f"{where}: cannot be decoded ({reason})", remedy="Replace or remove it.") from None
    return pixels[..., None] if pixels.ndim == 2 else pixels


def stacked(pictures: Iterable[tuple[Path | bytes, str]]) -> NDArray[np.uint8]:
    """Decodes pairs of a picture and its name: [N, H, W, C] of one size, grey ones widened where others have colour."""
    arrays: list[NDArray[np.uint8]] = []
    for picture, where in pictures:
        pixels = decode(picture, where)
        if arrays and pixels.shape[:2] != arrays[0].shape[:2]:
            raise DataError(
                f"{where}: {pixels.shape[1]}x{pixels.shape[0]} pixels where the first picture has"
                f" {arrays[0].shape[1]}x{arrays[0].shape[0]}",
                remedy="Scale all pictures to one size.",
            )
        arrays.append(pixels)
    channels = max((pixels.shape[-1] for pixels in arrays), default=1)
    wide = [np.broadcast_to(pixels, (*pixels.shape[:2], channels)) for pixels in arrays]
    return np.stack(wide) if wide else np.empty((0, 0, 0, 1), np.uint8)


def encode(pixels: NDArray[np.uint8], where: str) -> bytes:
    """uint8 [H, W, C] as PNG, grey for C = 1 and RGB for C = 3.

    Raises:
        DataError: another number of channels.
    """
    if pixels.shape[-1] not in (1, 3):
        raise DataError(
            f"{where}: {pixels.shape[-1]} channels make no picture", remedy="Export it as .npz, which holds any number."
        )
    buffer = BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def shades(x: NDArray[Any], mean: Sequence[float], std: Sequence[float]) -> tuple[NDArray[np.uint8], float]:
    """Normalised images [..., C, H, W] back to pixels [..., H, W, C], and the share of values that had to be cut.

    `mean` and `std`, of each channel or of all, are fractions of full white, as in `image_set.Normalisation`. What was
    learned knows no bounds: values outside of 0..255 are cut.
    """
    of_channel = (-1, 1, 1)
    white = np.asarray(x, np.float64) * np.reshape(std, of_channel) + np.reshape(mean, of_channel)
    levels = np.rint(255 * white)
    kept = np.clip(levels, 0, 255)
    return np.moveaxis(kept.astype(np.uint8), -3, -1), float((levels != kept).mean())
