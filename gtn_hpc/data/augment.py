"""Random crops, mirrored images and cutout for a whole batch at once, on the device of the batch."""

import torch
from torch import Generator, Tensor

from gtn_hpc.config.teaching import Augment


def augmented(x: Tensor, settings: Augment, generator: Generator, black: Tensor) -> Tensor:
    """A new batch [B, C, H, W]: crop out of an image padded with `black` [1, C, 1, 1], mirror, then cut out to zero.

    The same `generator` state gives the same batch; numbers are drawn on the generator's device, B of each kind.
    """
    if settings.crop or settings.flip:
        x = _moved(x, settings, generator, black)
    if settings.cutout:
        x = _cut_out(x, settings.cutout, generator)
    return x


def _moved(x: Tensor, settings: Augment, generator: Generator, black: Tensor) -> Tensor:
    """Gathers every pixel from where it lay: shifted by up to `crop` each way (padded crop), mirrored by half."""
    batch, channels, height, width = x.shape
    rows = torch.arange(height, device=x.device) + _shifts(batch, settings.crop, generator, x)
    columns = torch.arange(width, device=x.device) + _shifts(batch, settings.crop, generator, x)
    if settings.flip:
        mirrored = _integers(2, batch, generator, x).bool()
        columns = torch.where(mirrored, columns.flip(1), columns)
    places = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    moved = x.flatten(2).gather(2, places.reshape(batch, 1, -1).expand(-1, channels, -1)).reshape(x.shape)
    if not settings.crop:
        return moved
    inside = _within(rows, height)[:, :, None] & _within(columns, width)[:, None, :]
    return torch.where(inside[:, None], moved, black)


def _cut_out(x: Tensor, side: int, generator: Generator) -> Tensor:
    """A square around a uniformly drawn centre becomes zero; it may reach over the border (DeVries and Taylor 2017)."""
    batch, _, height, width = x.shape
    top = _integers(height, batch, generator, x) - side // 2
    left = _integers(width, batch, generator, x) - side // 2
    rows = _within(torch.arange(height, device=x.device) - top, side)
    columns = _within(torch.arange(width, device=x.device) - left, side)
    return x.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


def _shifts(batch: int, reach: int, generator: Generator, x: Tensor) -> Tensor:
    return _integers(2 * reach + 1, batch, generator, x) - reach


def _integers(high: int, batch: int, generator: Generator, x: Tensor) -> Tensor:
    return sent(torch.randint(high, (batch, 1), generator=generator, device=generator.device), x.device)


def sent(drawn: Tensor, device: torch.device) -> Tensor:
    """`drawn` on `device`; nobody waits for a GPU to have it."""
    if device.type != "cuda" or drawn.is_cuda:
        return drawn.to(device)
    return drawn.pin_memory().to(device, non_blocking=True)


def _within(places: Tensor, size: int) -> Tensor:
    return (places >= 0) & (places < size)
