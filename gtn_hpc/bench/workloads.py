"""The workloads of `gtn bench meta-step`: a teacher, a learner and a real batch, with random images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from gtn_hpc.bench.machine import CPU, Machine
from gtn_hpc.cluster.reduction import ByStep
from gtn_hpc.config.families import FIXED, RANGES
from gtn_hpc.config.teaching import Curriculum as CurriculumSection
from gtn_hpc.config.teaching import Generator, Inner, Teacher, multiples
from gtn_hpc.config.teaching import Learner as LearnerSection
from gtn_hpc.core.records import Batch, ImageShape
from gtn_hpc.curriculum.arms import make_curriculum
from gtn_hpc.inner.engine import Task
from gtn_hpc.inner.optimisers import SGD, Tensors
from gtn_hpc.inner.step import Learner
from gtn_hpc.models.layers import Conv2d, LeakyReLU, Linear, initialise
from gtn_hpc.models.learners import LearnerSpec, MaxPool, Widths, build_learner
from gtn_hpc.models.norm import BatchNorm

CLASSES = 10


@dataclass(frozen=True)
class Workload:
    """Sizes of a meta-step: B synthetic and `real` real images; `family` "" is W1's own learner."""

    image: ImageShape
    batch: int
    real: int
    generator: Generator
    family: Any
    widths: Widths
    ranges: tuple[tuple[int, int], ...]


WORKLOADS = {
    "w1": Workload(
        ImageShape(1, 28, 28),
        64,
        256,
        Generator(noise=64, hidden=512, channels=(64, 32)),
        "",
        (32, 64),
        ((16, 48), (32, 96)),
    ),
    "mnist": Workload(
        ImageShape(1, 28, 28),
        128,
        128,
        Generator(),
        "conv2-fc",
        FIXED["conv2-fc"],
        RANGES["conv2-fc"],
    ),
    "cifar": Workload(
        ImageShape(3, 32, 32),
        128,
        256,
        Generator(),
        "conv5",
        FIXED["conv5"],
        RANGES["conv5"],
    ),
    "overhead": Workload(
        ImageShape(1, 8, 8),
        16,
        64,
        Generator(noise=16, hidden=64, channels=(8, 8)),
        "",
        (8, 8),
        ((8, 33), (8, 33)),
    ),
    "digits": Workload(
        ImageShape(1, 8, 8),
        64,
        128,
        Generator(noise=64, hidden=128, channels=(32, 16)),
        "conv2-fc",
        (16, 16, 32),
        ((8, 33), (8, 33), (8, 33)),
    ),
}
"""W1 is conv-BN-LReLU-pool twice and FC10, `overhead` the same so small that the cost of calls bounds it; `mnist` and
`cifar` are the paper's, `digits` the demo's size, with weight norm."""


@dataclass(frozen=True)
class Problem:
    """A workload at T steps, drawn from a seed; `by_step` says what in the gradient is final early."""

    task: Task
    teacher: Tensors
    by_step: ByStep


def make_problem(
    workload: Workload, steps: int, *, seed: int = 0, widths: Widths | None = None, machine: Machine = CPU
) -> Problem:
    """Everything is drawn on the CPU, so that every device gets the same."""
    draws, place = torch.Generator().manual_seed(seed), (machine.device, machine.dtype)
    section = Teacher(
        generator=workload.generator, curriculum=CurriculumSection(steps=steps, batch=workload.batch, labels="even")
    )
    curriculum = make_curriculum(section, Inner(lr=0.02), workload.image, CLASSES)
    initialise(curriculum, draws).to(*place)
    module = initialise(_network(workload, widths or workload.widths), draws).to(*place)
    learner, image = Learner(module, SGD(), seed, machine.autocast), workload.image
    x = torch.randn(workload.real, image.channels, image.height, image.width, generator=draws).to(*place)
    y = torch.randint(CLASSES, (workload.real,), generator=draws).to(machine.device)
    episode = curriculum.episode(draws)
    task = Task(learner, learner.initial_state(), episode, {steps: Batch(x, y)})
    return Problem(task, dict(curriculum.named_parameters()), ByStep(curriculum.by_step(), steps))


def draw_widths(workload: Workload, quantum: int, rng: np.random.Generator) -> Widths:
    """One size a layer, a multiple of `quantum`."""
    return tuple(int(rng.choice(multiples(low, high, quantum))) for low, high in workload.ranges)


def _network(workload: Workload, widths: Widths) -> nn.Module:
    image = workload.image
    if workload.family:
        section = LearnerSection(family=workload.family)
        return build_learner(LearnerSpec(section, widths), image, CLASSES)
    first, second = widths
    pixels = -(-image.height // 4) * -(-image.width // 4)
    return nn.Sequential(
        *_block(image.channels, first),
        *_block(first, second),
        nn.Flatten(),
        Linear(second * pixels, CLASSES, weight_norm=False),
    )


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    conv = Conv2d(inputs, outputs, 3, bias=False, weight_norm=False)
    return [conv, BatchNorm(outputs), LeakyReLU(), MaxPool()]
