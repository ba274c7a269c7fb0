"""Pictures in any format that Pillow reads."""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

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
