"""Tiny replicas in float64, and how two meta-gradients are compared, part by part."""

from typing import Any

import torch

from gtn_hpc.config.teaching import Curriculum as CurriculumSection
from gtn_hpc.config.teaching import Generator, Inner, Teacher
from gtn_hpc.config.teaching import Learner as LearnerSection
from gtn_hpc.core.records import Batch, ImageShape
from gtn_hpc.curriculum.arms import make_curriculum
from gtn_hpc.curriculum.base import Curriculum
from gtn_hpc.inner.engine import Task
from gtn_hpc.inner.optimisers import Tensors, make_optimiser
from gtn_hpc.inner.step import Learner
from gtn_hpc.models.layers import initialise
from gtn_hpc.models.learners import LearnerSpec, build_learner

IMAGE, CLASSES = ImageShape(1, 8, 8), 3
WIDTHS = {"conv2-fc": (2, 3, 4), "conv2-gap": (2, 3), "linear": (5, 4), "conv5": (2,) * 5, "conv6": (2,) * 6}
PARTS = ("generator", "latents", "labels", "schedule.log_lr", "schedule.logit_momentum", "initial")


def make_teacher(
    steps: int,
    optimiser: str = "sgd",
    *,
    batch: int = 4,
    image: ImageShape = IMAGE,
    dtype: torch.dtype = torch.float64,
    **curriculum: Any,
) -> Curriculum:
    section = Teacher(
        generator=Generator(noise=2, hidden=4, channels=(2, 2)),
        curriculum=CurriculumSection(steps=steps, batch=batch, labels="learned", **curriculum),
    )
    lr = {"sgd": 0.2, "rmsprop": 0.02, "adam": 0.05}[optimiser]
    made = make_curriculum(section, Inner(optimiser=optimiser, lr=lr), image, CLASSES)
    return initialise(made, torch.Generator().manual_seed(1)).to(dtype)


def make_learner(
    family: str = "conv2-gap",
    optimiser: str = "sgd",
    *,
    norm: str = "batch",
    weight_norm: bool = True,
    dropout: float = 0.0,
    widths: tuple[int, ...] | None = None,
    image: ImageShape = IMAGE,
    seed: int = 2,
    dtype: torch.dtype = torch.float64,
) -> Learner:
    section = LearnerSection(family=family, norm=norm, weight_norm=weight_norm, dropout=dropout)
    module = build_learner(LearnerSpec(section, widths or WIDTHS[family]), image, CLASSES)
    initialise(module, torch.Generator().manual_seed(seed)).to(dtype)
    return Learner(module, make_optimiser(Inner(optimiser=optimiser, eps=1e-3, beta2=0.9)), seed=seed)


def make_task(learner: Learner, teacher: Curriculum, *, every: int = 0, image: ImageShape = IMAGE) -> Task:
    episode = teacher.episode(torch.Generator().manual_seed(3))
    after = {t for t in range(1, episode.steps) if every and t % every == 0} | {episode.steps}
    dtype, draws = next(teacher.parameters()).dtype, torch.Generator().manual_seed(4)
    real = {t: real_batch(draws, image, dtype) for t in sorted(after)}
    return Task(learner, learner.initial_state(), episode, real)


def real_batch(draws: torch.Generator, image: ImageShape, dtype: torch.dtype, size: int = 6) -> Batch:
    x = torch.randn(size, image.channels, image.height, image.width, generator=draws, dtype=torch.float64)
    return Batch(x.to(dtype), torch.randint(CLASSES, (size,), generator=draws))


def parameters(teacher: Curriculum) -> Tensors:
    return dict(teacher.named_parameters())


def part(gradient: Tensors, name: str) -> torch.Tensor:
    """The gradient of one part of the teacher as a vector."""
    return torch.cat([g.flatten() for k, g in gradient.items() if k.startswith(name)])


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference over the norm of what is expected, which counts as at least 1e-5."""
    return float((found - expected).norm() / expected.norm().clamp_min(1e-5))
