"""A curriculum beside the images that judge whom it teaches."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gtn_hpc.config import Config, parse
from gtn_hpc.core.errors import ConfigError, DataError
from gtn_hpc.core.records import ImageShape
from gtn_hpc.curriculum.file import CurriculumFile
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.data import Splits

SAME = 1e-6
"""Relative difference of means and deviations up to which units are the same."""


def fitted(taught: CurriculumFile, splits: Splits, config: Config) -> Frozen:
    """The curriculum in units of the images of `splits`, which are those of `config`.

    The units of a file are the mean and the standard deviation that it states, else those of the images.

    Raises:
        DataError: its images have another size or other classes, or it was taught on images that would judge here.
    """
    require_fit(taught, splits.shape, splits.classes, splits.name)
    require_unseen(taught, splits, config)
    return _in_units(taught, splits.train.mean, splits.train.std)


def _in_units(taught: CurriculumFile, mean: Tensor, std: Tensor) -> Frozen:
    frozen, stated = taught.frozen, (taught.description.mean, taught.description.std)
    if not all(stated):
        return frozen
    here = [_by_channel(values.tolist(), frozen.x) for values in (mean, std)]
    there = [_by_channel(values, frozen.x) for values in stated]
    if all(torch.allclose(one, other, rtol=SAME, atol=SAME) for one, other in zip(here, there, strict=True)):
        return frozen
    pixels = frozen.x * there[1] + there[0]
    return frozen.showing(((pixels - here[0]) / here[1]).to(frozen.x.dtype))


def _by_channel(values: Sequence[float], x: Tensor) -> Tensor:
    """One value, or one a channel, beside images [.., C, H, W], in float64."""
    return torch.tensor(values, dtype=torch.float64, device=x.device).reshape(-1, 1, 1).expand(x.shape[2], 1, 1)


def require_fit(taught: CurriculumFile, image: ImageShape, classes: int, name: str) -> None:
    """Passes where the curriculum shows images as those of the image set `name`.

    Raises:
        DataError: they have another size, or other classes.
    """
    if (taught.image, taught.classes) != (image, classes):
        raise DataError(
            f"The curriculum {taught.path} shows images of {taught.image} in {taught.classes} classes; "
            f"the image set {name} has {image} in {classes}.",
            remedy="Take a curriculum that was taught on this image set, or its own set (data.name).",
        )


def require_unseen(taught: CurriculumFile, splits: Splits, config: Config) -> None:
    """Passes where no image that is held out here was one of those that made the curriculum, as far as its file tells.

    Raises:
        DataError: some were.
    """
    try:
        maker = parse(taught.config) if taught.config.strip() else None
        if maker is None or taught.description.data != splits.name:
            return
        seen = splits.numbers.trained_on(maker.data, maker.run.seed)
    except ConfigError:  # of another release, or of a set that had another size
        return
    if not seen:
        return
    data, numbers = maker.data, splits.numbers
    held_out = len(numbers.validation) + len(numbers.test)
    seed, ours = data.seed_of(maker.run.seed), config.data.seed_of(config.run.seed)
    test = "" if numbers.own_test else f" data.test={data.test:g}"
    raise DataError(
        f"The curriculum {taught.path} was taught on {seen} of the {held_out} images of {splits.name} that would judge "
        f"here: it has another split (of seed {seed}; here {ours}).",
        remedy=f"Have the configuration split them in the same way: data.seed={seed} "
        f"data.validation={data.validation:g}{test}",
    )
