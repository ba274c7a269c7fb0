"""Seeded train, validation and test splits that never overlap."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gtn_hpc.config.teaching import Augment, Data
from gtn_hpc.core.errors import ConfigError
from gtn_hpc.core.records import ImageShape
from gtn_hpc.core.streams import numpy_rng
from gtn_hpc.data.catalogue import find
from gtn_hpc.data.image_set import ImageSet, Normalisation
from gtn_hpc.data.source import Labelled, Source

HOLD_BYTES = 64 * 2**20

Parts = tuple[Labelled, Labelled, Labelled]
"""Train, validation, test."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """Which of a set's `total` images are in each split; none in `test` where the set has its `own_test`."""

    total: int
    own_test: bool
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    def trained_on(self, section: Data, seed: int) -> int:
        """How many of the images that are held out here are training images under another section and seed."""
        other = cut(self.total, section, seed, own_test=self.own_test)
        return int(np.isin(np.concatenate([self.validation, self.test]), other.train).sum())


@dataclass(frozen=True, eq=False)
class Splits:
    """An image set ready for use; `name` stands beside every result, `found` says where it was read."""

    name: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    class_names: tuple[str, ...]
    found: str
    numbers: Numbers

    @property
    def shape(self) -> ImageShape:
        return self.train.shape

    @property
    def classes(self) -> int:
        return len(self.class_names)


def load(
    section: Data,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    hold_bytes: int = HOLD_BYTES,
) -> Splits:
    """Reads the set that `section` names and splits it by its seed, else by `seed`; a set's own test split is kept as
    it is.

    All splits are normalised with the statistics of the training split. Sets whose normalised images take at most
    `hold_bytes` keep them on the device, which makes drawing a batch quicker.

    Raises:
        ConfigError: no set has that name, or `section` asks for what the set does not have.
        DataError: the set is missing or damaged.
    """
    found = find(section)
    require_augment(section.augment, found.train.shape, "data.augment")
    if section.train is not None and section.train < len(found.classes):
        raise ConfigError(
            f"data.train is {section.train}, but {found.name} has {len(found.classes)} classes",
            remedy="Train on more images, several of each class, or leave data.train empty for all.",
        )
    numbers = split(found, section, seed)
    _require_judges(section, found, numbers)
    return resident(found, numbers, device, dtype, hold_bytes)


def _require_judges(section: Data, found: Source, numbers: Numbers) -> None:
    held_out = [("validation", section.validation, numbers.validation), ("test", section.test, numbers.test)]
    for key, share, part in held_out[:1] if numbers.own_test else held_out:
        if len(part) < 2:
            raise ConfigError(
                f"data.{key} = {share:g} takes one image of {found.name}: one is none to judge by",
                remedy=f"Give data.{key} as a larger share, or as a number of images from 2 on.",
            )


def resident(
    found: Source,
    numbers: Numbers,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    hold_bytes: int = HOLD_BYTES,
) -> Splits:
    """The splits of `found` where they are used, normalised as `load` says."""
    parts = taken(found, numbers)
    normalisation = Normalisation.of(torch.from_numpy(parts[0].images).to(device), dtype)
    size = sum(part.images.size for part in parts) * torch.finfo(dtype).bits // 8
    train, validation, test = (
        _resident(part, len(found.classes), normalisation, hold=size <= hold_bytes) for part in parts
    )
    return Splits(found.name, train, validation, test, found.classes, found.found, numbers)


def require_augment(settings: Augment, image: ImageShape, key: str) -> None:
    """Passes where something of an `image` is left by the crop and cutout of the section `key`.

    Raises:
        ConfigError: one of them is as large as the image.
    """
    side = min(image.height, image.width)
    for name, pixels in (("crop", settings.crop), ("cutout", settings.cutout)):
        if pixels >= side:
            raise ConfigError(
                f"{key}.{name} is {pixels} pixels, but the images are {image.height}x{image.width}: none may be left",
                remedy=f"Give {key}.{name} below {side}; an eighth of the side (crop) or half of it (cutout) is usual.",
            )


def split(found: Source, section: Data, seed: int) -> Numbers:
    """Which images of `found` are in each split; errors as in `cut`."""
    return cut(len(found.train), section, seed, own_test=found.test is not None)


def cut(total: int, section: Data, seed: int, *, own_test: bool) -> Numbers:
    """A permutation of a set's `total` images by the section's seed, else by `seed`, cut in pieces: test (unless the
    set has its `own_test`), validation, train. So `section.train` changes only the last.

    Raises:
        ConfigError: there are not so many images.
    """
    order = numpy_rng(section.seed_of(seed), "data.splits").permutation(total)
    test, rest = np.split(order, [0 if own_test else _count(section.test, total, "test")])
    validation, rest = np.split(rest, [_count(section.validation, len(rest), "validation")])
    if section.train is not None and section.train > len(rest):
        raise ConfigError(
            f"data.train asks for {section.train} images, but {len(rest)} are left beside the held-out",
            remedy=f"Lower data.train to {len(rest)} or less, or leave it empty for all.",
        )
    return Numbers(total, own_test, rest[: section.train], validation, test)


def taken(found: Source, numbers: Numbers) -> Parts:
    """The images and labels of each split."""
    test = found.test or _taken(found.train, numbers.test)
    return _taken(found.train, numbers.train), _taken(found.train, numbers.validation), test


def _count(share: float, total: int, key: str) -> int:
    count = int(share) if share >= 1 else max(1, round(share * total))
    if count >= total:
        raise ConfigError(
            f"data.{key} = {share:g} takes {count} of {total} images and leaves none to train on",
            remedy=f"Give data.{key} as a share below 1, or a number below {total}.",
        )
    return count


def _taken(part: Labelled, indices: NDArray[np.int64]) -> Labelled:
    return Labelled(part.images[indices], part.labels[indices])


def _resident(part: Labelled, classes: int, normalisation: Normalisation, *, hold: bool) -> ImageSet:
    device = normalisation.scale.device
    images, labels = torch.from_numpy(part.images).to(device), torch.from_numpy(part.labels).to(device)
    resident = ImageSet(images, labels, classes, normalisation)
    return resident.holding() if hold else resident
