"""Images as the real thing: real batches judge learners, accuracy judges the teacher."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from gtn_hpc.config import Config
from gtn_hpc.core.records import Batch, ImageShape
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.curriculum.arms import RealBatches, make_curriculum
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.data import ImageSet, Splits, load
from gtn_hpc.inner.engine import Task
from gtn_hpc.meta.evaluation import Evaluation, evaluate_teacher, final_accuracies
from gtn_hpc.meta.events import Evaluated
from gtn_hpc.meta.export import export, read_evaluation
from gtn_hpc.meta.pupil import Tell, nobody
from gtn_hpc.meta.replica import judged_after, stream
from gtn_hpc.meta.room import Room
from gtn_hpc.meta.warm_start import start_from_real
from gtn_hpc.models.layers import initialise
from gtn_hpc.models.precision import use_precision
from gtn_hpc.stats import sd


@dataclass(frozen=True, eq=False)
class Classroom(Room[Evaluation]):
    """Real images, the teacher and what fresh learners are drawn from."""

    splits: Splits

    @property
    def shape(self) -> ImageShape:
        return self.splits.shape

    @property
    def classes(self) -> int:
        return self.splits.classes

    def begin(self) -> None:
        curriculum, seed = self.config.teacher.curriculum, self.config.run.seed
        if curriculum.from_real:
            start_from_real(
                self.teacher, self.splits.train, curriculum.start_passes, torch_generator(seed, "teacher/real")
            )

    def judged(self, task: Task, iteration: int, replica: int, generation: int) -> Task:
        config = self.config
        draw = torch_generator(config.run.seed, stream("real", generation), iteration, replica)
        real = {
            steps: self.splits.train.sample(config.meta.batch, draw, config.data.augment)
            for steps in judged_after(task.episode.steps, config.inner.intermediate_every)
        }
        return replace(task, real=real)

    def progress(self, frozen: Frozen, done: int) -> Evaluated:
        found = final_accuracies(self.config, frozen, self.splits, learners=self.config.evaluate.during)
        return Evaluated(done, float(np.mean(found)), sd(found), len(found))

    def evaluate(self, frozen: Frozen, tell: Tell = nobody) -> Evaluation:
        section = self.config.evaluate
        return evaluate_teacher(
            self.config, frozen, self.splits, learners=section.learners, real_data=section.real_data.enabled, tell=tell
        )

    def export(self, path: Path, frozen: Frozen, found: Evaluation | None, dtype: str = "float32") -> None:
        export(path, self.config, self.splits, frozen, found, dtype)

    def read(self, path: Path) -> Evaluation | None:
        return read_evaluation(path)


def enter_classroom(config: Config, device: torch.device) -> Classroom:
    """Loads the images and draws the initial teacher from the run's seed."""
    dtype = use_precision(config.run.precision).dtype
    splits = load(config.data, seed=config.run.seed, device=device, dtype=dtype)
    real = _soft_batches(splits.train, splits.classes)
    teacher = make_curriculum(config.teacher, config.inner, splits.shape, splits.classes, real)
    initialise(teacher.to(dtype), torch_generator(config.run.seed, "teacher"))
    teacher.to(device)
    return Classroom(config, teacher, device, splits)


def _soft_batches(images: ImageSet, classes: int) -> RealBatches:
    def draw(size: int, generator: torch.Generator) -> Batch:
        x, y = images.sample(size, generator)
        return Batch(x, F.one_hot(y, classes).to(x.dtype))

    return draw
