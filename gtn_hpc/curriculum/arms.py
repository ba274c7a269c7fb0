"""The curricula that the paper compares (section 3.3)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gtn_hpc.config.teaching import Inner, Teacher
from gtn_hpc.core.errors import ConfigError, UsageError
from gtn_hpc.core.records import Batch, ImageShape
from gtn_hpc.curriculum.base import Curriculum, Order, Show
from gtn_hpc.curriculum.labels import Labels
from gtn_hpc.curriculum.schedule import Schedule, make_schedule
from gtn_hpc.models.generator import AMPLITUDE, Generator

RealBatches = Callable[[int, torch.Generator], Batch]
"""Draws a batch of that many real training images with soft labels [B, K]."""


class Generated(Curriculum):
    """Images made by a generator from latents of a pool, learned or fixed (arms full, shuffled, fixed_latents)."""

    latents: Tensor

    def __init__(
        self, section: Teacher, schedule: Schedule, image: ImageShape, classes: int, *, order: Order, learned: bool
    ) -> None:
        chosen = section.curriculum
        super().__init__(schedule, chosen.steps, chosen.batch, order, chosen.cycle)
        images = self.cycle * self.batch
        self.labels = Labels(images, classes, learned=chosen.labels == "learned")
        self.generator = Generator(section.generator, image, classes)
        latents = torch.empty(images, section.generator.noise)
        if learned:
            self.latents = nn.Parameter(latents)
        else:
            self.register_buffer("latents", latents)

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        self.latents.normal_(generator=generator)

    def plan(self, generator: torch.Generator) -> Show:
        index = self.index(generator, self.latents.device)
        return self.shown(index, lambda rows: self.make(rows, self.latents))

    def show(self, index: Tensor) -> Batch:
        """The images of `index` [B] as one batch."""
        return self.make(index[None], self.latents)[0]

    def make(self, index: Tensor, latents: Tensor) -> list[Batch]:
        """The batches of `index` [S, B]; batch norm sees each of them alone."""
        flat, (steps, size) = index.flatten(), index.shape
        x = self.generator(latents[flat], self.labels.one_hot(flat), batches=steps)
        y = self.labels(flat)
        return [Batch(x, y)] if steps == 1 else list(map(Batch, x.split(size), y.split(size)))


class Noise(Generated):
    """Fresh Gaussian latents in every pass: the generator alone is learned (arm none)."""

    def __init__(self, section: Teacher, schedule: Schedule, image: ImageShape, classes: int) -> None:
        super().__init__(section, schedule, image, classes, order="fixed", learned=False)
        self.order = "batches"

    def plan(self, generator: torch.Generator) -> Show:
        latents = torch.empty_like(self.latents, device="cpu").normal_(generator=generator).to(self.latents.device)
        index = torch.arange(len(latents), device=latents.device).reshape(self.steps, self.batch)
        return lambda steps: self.make(index[steps.start : steps.stop], latents)


class DistilledPixels(Curriculum):
    """The pixels themselves are learned, without a generator (Dataset Distillation, Wang et al. 2018)."""

    def __init__(self, section: Teacher, schedule: Schedule, image: ImageShape, classes: int) -> None:
        chosen = section.curriculum
        super().__init__(schedule, chosen.steps, chosen.batch, "fixed", chosen.cycle)
        images = self.cycle * self.batch
        self.labels = Labels(images, classes, learned=chosen.labels == "learned")
        self.pixels = nn.Parameter(torch.empty(images, image.channels, image.height, image.width))

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        self.pixels.normal_(0.0, AMPLITUDE / 2, generator=generator)

    def plan(self, generator: torch.Generator) -> Show:
        index = self.index(generator, self.pixels.device)
        return self.shown(index, lambda rows: [Batch(self.pixels[row], self.labels(row)) for row in rows])


class RealData(Curriculum):
    """Fresh real batches in every pass; only the inner schedule is learned (the paper's control)."""

    def __init__(self, section: Teacher, schedule: Schedule, real: RealBatches) -> None:
        super().__init__(schedule, section.curriculum.steps, section.curriculum.batch, "batches")
        self.real = real

    def plan(self, generator: torch.Generator) -> Show:
        batches = [self.real(self.batch, generator) for _ in range(self.steps)]
        return lambda steps: batches[steps.start : steps.stop]


def make_curriculum(
    section: Teacher, inner: Inner, image: ImageShape, classes: int, real: RealBatches | None = None
) -> Curriculum:
    """The arm of the configuration, with uninitialised parameters (`models.layers.initialise` draws them).

    Raises:
        UsageError: the arm needs real images, or its images do not come to one of each class.
    """
    _require_every_class(section, classes)
    schedule = make_schedule(inner, section.curriculum.steps)
    arm = section.curriculum.arm
    if arm == "real_data":
        if real is None:
            raise UsageError("The arm real_data needs an image set.", remedy="Give one, or take another arm.")
        return RealData(section, schedule, real)
    if arm == "none":
        return Noise(section, schedule, image, classes)
    if arm == "distilled_pixels":
        return DistilledPixels(section, schedule, image, classes)
    order: Order = {"shuffled_batch": "batches", "all_shuffled": "all"}.get(arm, "fixed")  # type: ignore[assignment]
    return Generated(section, schedule, image, classes, order=order, learned=arm != "fixed_latents")


def as_long_as(taught: Curriculum, section: Teacher) -> Teacher:
    """`section` with steps, batch and cycle of `taught`."""
    asked = section.curriculum
    cycle = None if asked.cycle is None else min(asked.cycle, taught.steps)
    size = {"steps": taught.steps, "batch": taught.batch, "cycle": cycle}
    return section.model_copy(update={"curriculum": asked.model_copy(update=size)})


def _require_every_class(section: Teacher, classes: int) -> None:
    chosen = section.curriculum
    batches = chosen.steps if chosen.cycle is None else chosen.cycle
    if chosen.arm != "real_data" and chosen.labels == "even" and batches * chosen.batch < classes:
        name = "steps" if chosen.cycle is None else "cycle"
        raise ConfigError(
            f"teacher.curriculum shows {batches * chosen.batch} images ({name} x batch), but there are {classes} "
            "classes: some would never be taught.",
            remedy=f"Raise teacher.curriculum.{name} or batch, or let labels be learned (teacher.curriculum.labels).",
        )
