"""What a reader of files hands on: checked images and labels on the host, before they are split."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gtn_hpc.core.errors import DataError
from gtn_hpc.core.records import SMALLEST_SIDE, ImageShape

MOST_CHANNELS = 4


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images uint8 [N, C, H, W] and labels int64 [N] on the host."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> ImageShape:
        return ImageShape(*self.images.shape[1:])


@dataclass(frozen=True, eq=False)
class Source:
    """A whole image set; `test` is None where the set has no test split of its own.

    `name` is what results are filed under, `classes` the names of the labels 0..K-1, `found` where the set was read.
    """

    name: str
    train: Labelled
    test: Labelled | None
    classes: tuple[str, ...]
    found: str


def labelled(images: NDArray[np.generic], labels: NDArray[np.generic], where: str) -> Labelled:
    """Checks one pair of arrays, images [N, H, W] or [N, H, W, C], and turns them into [N, C, H, W].

    Raises DataError, which names `where`, for another dtype or shape, or when the lengths differ.
    """
    pixels, classes = _pixels(np.asarray(images), where), _labels(np.asarray(labels), where)
    if len(pixels) != len(classes):
        raise DataError(
            f"{where}: {len(pixels)} images but {len(classes)} labels",
            remedy="Every image needs one label, in the same order.",
        )
    if len(pixels) == 0:
        raise DataError(f"{where}: holds no images", remedy="Give a set with at least one image in each split.")
    return Labelled(np.require(pixels.transpose(0, 3, 1, 2), requirements=["C", "W"]), classes)


def source(name: str, train: Labelled, test: Labelled | None, classes: Sequence[str] | None, found: str) -> Source:
    """Joins the splits; without names of the `classes` the labels must be 0..K-1, each with at least one image.

    Raises:
        DataError: sizes or labels do not fit, there are fewer than two classes, or two of one name.
    """
    if test is not None and test.shape != train.shape:
        raise DataError(
            f"{found}: training images are {train.shape} and test images {test.shape} (channels x height x width)",
            remedy="Both splits need images of one size.",
        )
    labels = train.labels if test is None else np.concatenate([train.labels, test.labels])
    names = tuple(classes) if classes is not None else _numbered(labels, found)
    _check_range(labels, len(names), found)
    if len(names) < 2:
        raise DataError(f"{found}: only {len(names)} class", remedy="Classification needs two classes or more.")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(
            f"{found}: {names.count(twice[0])} classes are named '{twice[0]}'",
            remedy="Give each class a name of its own in `classes`.",
        )
    return Source(name, train, test, names, found)


def _pixels(images: NDArray[np.generic], where: str) -> NDArray[np.uint8]:
    if images.dtype != np.uint8:
        raise DataError(
            f"{where}: images are {images.dtype}{_non_finite(images)}, not uint8",
            remedy="Store pixels as uint8 0..255, for instance (images * 255).round().astype('uint8').",
        )
    if images.ndim not in (3, 4):
        raise DataError(
            f"{where}: images have the shape {list(images.shape)}", remedy="Valid: [N, H, W] or [N, H, W, C]."
        )
    channels_last = images[..., None] if images.ndim == 3 else images
    _, height, width, channels = channels_last.shape
    if not 1 <= channels <= MOST_CHANNELS:
        guess = "The channels seem to stand first: move them last" if images.shape[1] in (1, 3) else "Wanted"
        raise DataError(
            f"{where}: {channels} channels in images of shape {list(images.shape)}",
            remedy=f"{guess}: [N, H, W, C] with 1 to {MOST_CHANNELS} channels.",
        )
    if min(height, width) < SMALLEST_SIDE:
        raise DataError(
            f"{where}: images are {height}x{width} pixels",
            remedy=f"The networks need at least {SMALLEST_SIDE}x{SMALLEST_SIDE}; enlarge the images.",
        )
    return channels_last.astype(np.uint8, copy=False)


def _labels(labels: NDArray[np.generic], where: str) -> NDArray[np.int64]:
    if labels.dtype.kind not in "iu":
        raise DataError(
            f"{where}: labels are {labels.dtype}{_non_finite(labels)}, not integers",
            remedy="Store the class numbers 0..K-1 as integers.",
        )
    if labels.ndim != 1:
        raise DataError(
            f"{where}: labels have the shape {list(labels.shape)}",
            remedy="One class number an image is wanted: shape [N].",
        )
    return labels.astype(np.int64)


def _non_finite(values: NDArray[np.generic]) -> str:
    if values.dtype.kind != "f":
        return ""
    count = values.size - int(np.isfinite(values.astype(np.float64)).sum())
    return f" with {count} non-finite values" if count else ""


def _numbered(labels: NDArray[np.int64], where: str) -> tuple[str, ...]:
    present = np.unique(labels)
    if present[0] < 0:
        raise DataError(
            f"{where}: label {present[0]} is below 0 (image {np.argmin(labels)}, {(labels < 0).sum()} labels below 0)",
            remedy="Number the classes 0..K-1 without gaps; an image without a class has no place in the set.",
        )
    if present[-1] != len(present) - 1:
        missing = next((k for k in range(len(present)) if k not in present), len(present))
        raise DataError(
            f"{where}: labels run from {present[0]} to {present[-1]}, but class {missing} has no image",
            remedy="Number the classes 0..K-1 without gaps, or store their names as `classes`.",
        )
    return tuple(str(k) for k in present)


def _check_range(labels: NDArray[np.int64], classes: int, where: str) -> None:
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(outside):
        raise DataError(
            f"{where}: label {labels[outside[0]]} is out of range 0..{classes - 1}"
            f" (image {outside[0]}, {len(outside)} such labels)",
            remedy="The file is damaged, or its list of classes too short: correct the labels.",
        )
