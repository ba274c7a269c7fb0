"""Images resident on the device, and how batches are drawn from them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from gtn_hpc.config.teaching import Augment
from gtn_hpc.core.records import Batch, ImageShape
from gtn_hpc.data.augment import augmented, sent

CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Normalisation:
    """Pixels -> mean 0, standard deviation 1 of each channel: one multiplication and one addition.

    `mean` and `std` [C] are fractions of full white; `scale` and `shift` [1, C, 1, 1] apply to 0..255.
    """

    mean: Tensor
    std: Tensor
    scale: Tensor
    shift: Tensor

    @classmethod
    def of(cls, images: Tensor, dtype: torch.dtype) -> "Normalisation":
        """Of uint8 images [N, C, H, W]; sums are exact integers, so the result does not depend on threads or device.

        A channel without variation is only centred.
        """
        count = images[:, 0].numel()
        total = images.sum((0, 2, 3), dtype=torch.int64).double().cpu()
        squares = sum((c.int() ** 2).sum((0, 2, 3), dtype=torch.int64) for c in images.split(CHUNK))
        mean = total / count
        std = (torch.as_tensor(squares).double().cpu() / count - mean**2).clamp(min=0).sqrt()
        std[std == 0] = 255.0
        mean, std = mean.to(images.device), std.to(images.device)
        scale, shift = (v.reshape(1, -1, 1, 1).to(dtype) for v in (1 / std, -mean / std))
        return cls((mean / 255).to(dtype), (std / 255).to(dtype), scale, shift)

    def apply(self, images: Tensor) -> Tensor:
        """uint8 [B, C, H, W] -> floats of this dtype."""
        return images.to(self.scale.dtype).mul_(self.scale).add_(self.shift)

    @property
    def black(self) -> Tensor:
        """What a pixel of value 0 becomes, [1, C, 1, 1]."""
        return self.shift


@dataclass(frozen=True, eq=False)
class ImageSet:
    """One split: images uint8 [N, C, H, W] and labels int64 [N] on one device.

    `held` is None, or all images normalised: four times the memory or more for a quicker `sample`.
    """

    images: Tensor
    labels: Tensor
    classes: int
    normalisation: Normalisation
    held: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> ImageShape:
        return ImageShape(*self.images.shape[1:])

    @property
    def mean(self) -> Tensor:
        """Mean of each channel [C] of the training split, as a fraction of full white."""
        return self.normalisation.mean

    @property
    def std(self) -> Tensor:
        """Standard deviation of each channel [C] of the training split, as a fraction of full white."""
        return self.normalisation.std

    @property
    def dtype(self) -> torch.dtype:
        return self.normalisation.scale.dtype

    def holding(self) -> "ImageSet":
        """The same split with its normalised images kept."""
        return ImageSet(
            self.images, self.labels, self.classes, self.normalisation, self.normalisation.apply(self.images)
        )

    def normalised(self, indices: Tensor | slice | None = None) -> Batch:
        """The images at `indices` (all if None) and their class numbers; a slice of a held set is a view."""
        if isinstance(indices, Tensor):
            return self._picked(indices)
        part = slice(None) if indices is None else indices
        images = self.normalisation.apply(self.images[part]) if self.held is None else self.held[part]
        return Batch(images, self.labels[part])

    def spread(self, most: int) -> "ImageSet":
        """At most `most` of the images, evenly spaced; the set itself where it has no more."""
        if len(self) <= most:
            return self
        every = torch.arange(most, device=self.labels.device) * len(self) // most
        held = None if self.held is None else self.held[every]
        return ImageSet(self.images[every], self.labels[every], self.classes, self.normalisation, held)

    def sample(self, size: int, generator: Generator, augment: Augment | None = None) -> Batch:
        """`size` different images, uniformly drawn; batches are independent of each other. All if N <= `size`."""
        return self._augmented(self._picked(_distinct(len(self), size, generator)), generator, augment)

    def epoch(self, batch: int, generator: Generator | None = None, augment: Augment | None = None) -> Iterator[Batch]:
        """Every image once, `batch` at a time (the last batch may be smaller), shuffled if there is a generator.

        `augment` needs a generator.
        """
        if generator is None:
            assert augment is None, "augmentation needs a generator"
            for start in range(0, len(self), batch):
                yield self.normalised(slice(start, start + batch))
            return
        order = torch.randperm(len(self), generator=generator, device=generator.device)
        for indices in sent(order, self.labels.device).split(batch):
            yield self._augmented(self._picked(indices), generator, augment)

    def _picked(self, indices: Tensor) -> Batch:
        indices = sent(indices, self.labels.device)
        labels = self.labels.index_select(0, indices)
        if self.held is not None:
            return Batch(self.held.index_select(0, indices), labels)
        return Batch(self.normalisation.apply(self.images.index_select(0, indices)), labels)

    def _augmented(self, batch: Batch, generator: Generator, augment: Augment | None) -> Batch:
        if augment is None:
            return batch
        return Batch(augmented(batch.x, augment, generator, self.normalisation.black), batch.y)


def _distinct(population: int, size: int, generator: Generator) -> Tensor:
    """Distinct indices, uniform over ordered subsets.

    A small draw out of many redraws whole batches until one has no repetition (1.6 draws at most, in the mean): a
    permutation of 45,000 would cost a hundred times more. On a GPU, where that test would wait, always a permutation.
    """
    if size * size > population or generator.device.type != "cpu":
        return torch.randperm(population, generator=generator, device=generator.device)[:size]
    while True:
        indices = torch.randint(population, (size,), generator=generator)
        if len(set(indices.tolist())) == size:
            return indices
