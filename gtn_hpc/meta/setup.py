"""What meta-training needs, built from the configuration: images, teacher, fresh learners, tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from gtn_hpc.config import Config
from gtn_hpc.config.teaching import Learner as LearnerSection
from gtn_hpc.core.records import Batch, ImageShape
from gtn_hpc.core.streams import derive, numpy_rng, torch_generator
from gtn_hpc.curriculum.arms import RealBatches, make_curriculum
from gtn_hpc.curriculum.base import Curriculum
from gtn_hpc.data import ImageSet, Splits, load
from gtn_hpc.inner.engine import Task
from gtn_hpc.inner.optimisers import make_optimiser
from gtn_hpc.inner.step import Learner
from gtn_hpc.meta.warm_start import start_from_real
from gtn_hpc.models.layers import initialise
from gtn_hpc.models.learners import build_learner, draw_learner
from gtn_hpc.models.precision import PRECISIONS, use_precision


@dataclass(frozen=True, eq=False)
class Classroom:
    """Images, the teacher and what fresh learners are drawn from, on one device."""

    config: Config
    splits: Splits
    teacher: Curriculum
    device: torch.device

    @property
    def dtype(self) -> torch.dtype:
        return PRECISIONS[self.config.run.precision].dtype


def prepare(config: Config, device: torch.device) -> Classroom:
    """Loads the images and draws the initial teacher from the run's seed."""
    dtype = use_precision(config.run.precision).dtype
    splits = load(config.data, seed=config.run.seed, device=device, dtype=dtype)
    real = _soft_batches(splits.train, splits.classes)
    teacher = make_curriculum(config.teacher, config.inner, splits.shape, splits.classes, real)
    initialise(teacher.to(dtype), torch_generator(config.run.seed, "teacher"))
    teacher.to(device)
    curriculum = config.teacher.curriculum
    if curriculum.start == "real":
        start_from_real(
            teacher, splits.train, curriculum.start_passes, torch_generator(config.run.seed, "teacher/real")
        )
    return Classroom(config, splits, teacher, device)


def fresh_learner(
    config: Config, shape: ImageShape, classes: int, stream: str, *indices: int, device: torch.device
) -> Learner:
    """A learner of the mixture with new widths and new initial parameters, a function of seed, stream and indices."""
    sections: Sequence[LearnerSection] = config.learners
    seed = config.run.seed
    spec = draw_learner(sections, numpy_rng(seed, f"{stream}/widths", *indices))
    precision = PRECISIONS[config.run.precision]
    module: nn.Module = build_learner(spec, shape, classes).to(precision.dtype)
    initialise(module, torch_generator(seed, f"{stream}/parameters", *indices))
    return Learner(
        module.to(device), make_optimiser(config.inner), derive(seed, f"{stream}/dropout", *indices), precision.autocast
    )


def make_task(room: Classroom, iteration: int, replica: int, generation: int = 0) -> Task:
    """Replica `replica` of meta-iteration `iteration`: a new learner, an episode, and real batches to judge by."""
    config, seed = room.config, room.config.run.seed
    learner = fresh_learner(
        config,
        room.splits.shape,
        room.splits.classes,
        stream("learner", generation),
        iteration,
        replica,
        device=room.device,
    )
    order = torch_generator(seed, stream("episode", generation), iteration, replica)
    episode = room.teacher.episode(order, length(config, iteration))
    draw = torch_generator(seed, stream("real", generation), iteration, replica)
    real = {
        steps: room.splits.train.sample(config.meta.batch, draw, config.data.augment)
        for steps in judged_after(episode.steps, config.inner.intermediate_every)
    }
    return Task(learner, learner.initial_state(), episode, real)


def stream(name: str, generation: int) -> str:
    """The stream's name; a fresh one for each time that training went back to a checkpoint because it diverged."""
    return name if generation == 0 else f"{name}/generation-{generation}"


def length(config: Config, iteration: int) -> int:
    """Inner steps at `iteration`; fewer than T while the curriculum grows."""
    steps, grow = config.teacher.curriculum.steps, config.meta.grow
    return steps if grow is None else min(steps, grow.start + iteration // grow.every)


def judged_after(steps: int, every: int) -> list[int]:
    """Numbers of inner steps after which a real loss is taken: each multiple of `every`, and the end."""
    return sorted({*(range(every, steps, every) if every else ()), steps})


def _soft_batches(images: ImageSet, classes: int) -> RealBatches:
    def draw(size: int, generator: torch.Generator) -> Batch:
        x, y = images.sample(size, generator)
        return Batch(x, F.one_hot(y, classes).to(x.dtype))

    return draw
