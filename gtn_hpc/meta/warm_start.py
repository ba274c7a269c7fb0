"""A start from real images: the teacher first learns to show real images of its classes, then to teach.

Dataset distillation commonly begins from real images (e.g. Zhao et al. 2021). For a generator that means fitting it,
and its latents, to one real training image per synthetic one; meta-training then begins about where tuned real data
stand, and skips the long plateau of a random start.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from gtn_hpc.core.errors import ConfigError
from gtn_hpc.curriculum.arms import DistilledPixels, Generated, Noise
from gtn_hpc.curriculum.base import Curriculum
from gtn_hpc.data import ImageSet
from gtn_hpc.models.generator import AMPLITUDE
from gtn_hpc.training.updates import Adam

FIT_LR = 0.01
"""Learning rate of the Adam that fits the generator."""


def start_from_real(teacher: Curriculum, images: ImageSet, passes: int, generator: torch.Generator) -> None:
    """Fits the pool of `teacher` to training images of the same classes by mean squared error.

    `passes` over the curriculum's batches; cost: a generator's forward and backward pass a batch. Distilled pixels are
    copied instead. Both are cut to the range of a generator's images, 1.96 standard deviations.

    Raises:
        ConfigError: the arm has no images of its own to fit, or a class has no training image.
    """
    if isinstance(teacher, DistilledPixels):
        with torch.no_grad():
            teacher.pixels.copy_(_targets(teacher.labels.ids, images, generator))
    elif isinstance(teacher, Generated) and not isinstance(teacher, Noise):
        _fit(teacher, _targets(teacher.labels.ids, images, generator), passes)
    else:
        raise ConfigError(
            "teacher.curriculum.start is real, but this arm has no images of its own.",
            remedy="Use start: noise, or another arm: full, shuffled_*, fixed_latents or distilled_pixels.",
        )


def _fit(teacher: Generated, targets: Tensor, passes: int) -> None:
    adam = Adam((p for p in teacher.parameters() if p.requires_grad), betas=(0.9, 0.999), eps=1e-8)
    index = torch.arange(len(targets), device=targets.device).reshape(teacher.cycle, teacher.batch)
    for _ in range(passes):
        for step in index:
            teacher.zero_grad(set_to_none=True)
            F.mse_loss(teacher.show(step).x, targets[step]).backward()
            adam.step(FIT_LR)


def _targets(classes: Tensor, images: ImageSet, generator: torch.Generator) -> Tensor:
    """For each synthetic image a training image [N, C, H, W] of its class, each used once before any is used again."""
    order = torch.randperm(len(images), generator=generator).to(images.labels.device)
    chosen = torch.empty_like(classes)
    for label in classes.unique():
        pool = order[images.labels[order] == label]
        if not len(pool):
            raise ConfigError(
                f"teacher.curriculum.start is real, but class {int(label)} has no training image to start from.",
                remedy="Give it some (data.train, data.validation and data.test share the images out, data.seed draws "
                "them anew; gtn data info counts them), or begin from noise: teacher.curriculum.start=noise.",
            )
        places = torch.nonzero(classes == label).flatten()
        chosen[places] = pool[torch.arange(len(places), device=pool.device) % len(pool)]
    return images.normalised(chosen).x.clamp(-0.98 * AMPLITUDE, 0.98 * AMPLITUDE)
