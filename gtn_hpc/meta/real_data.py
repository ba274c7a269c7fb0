"""The control of a teacher: the same learners on real data, at the best point of a grid."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gtn_hpc.config import Config
from gtn_hpc.core.streams import derive
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.data import ImageSet, Splits
from gtn_hpc.meta.pupil import Accuracies, Learned, Tally, accuracies, pupil, work
from gtn_hpc.models.norm import RUNNING, use_running_statistics
from gtn_hpc.training.streams import RealBatches, constant

STATISTICS = ("last", "running")


class Point(NamedTuple):
    """Of the grid: rate, momentum and whose statistics batch norm uses in the end, the last batch's or an average."""

    lr: float
    momentum: float
    statistics: str


@dataclass(frozen=True)
class Control:
    """The real-data control: rate, momentum and batch-norm statistics chosen on validation, its accuracies, and how
    many of its learners `diverged`, where that is known."""

    lr: float
    momentum: float
    statistics: str
    accuracy: Accuracies
    diverged: int | None = None


@dataclass(frozen=True, eq=False)
class RealData:
    """Learners of `config` in `steps` steps of as many real images as a batch of the curriculum holds."""

    config: Config
    splits: Splits
    taught: Frozen
    steps: int
    tally: Tally

    def tuned(self, images: ImageSet, learners: int, *, whole: bool) -> Control:
        """Accuracies on `images` at the point that does best on validation, with learners of its own.

        Cost: `work` training steps.
        """
        best = max(self._trials(), key=lambda trial: trial[0])[1]
        rows = [self._learn(images, "evaluate", n, best, whole=whole) for n in range(learners)]
        return Control(*best, np.array([row.accuracy for row in rows]), sum(row.diverged for row in rows))

    def _trials(self) -> Iterator[tuple[float, Point]]:
        """Mean final validation accuracy of each point of the grid."""
        section, images = self.config.evaluate.real_data, self.splits.validation
        for point in itertools.starmap(Point, itertools.product(section.lr, section.momentum, STATISTICS)):
            found = [self._learn(images, "tune", n, point, whole=False) for n in range(section.tune_learners)]
            yield float(np.mean([one.accuracy[-1] for one in found])), point

    def _learn(self, images: ImageSet, stream: str, index: int, point: Point, *, whole: bool) -> Learned:
        learner = pupil(self.config, self.splits, stream, index)
        use_running_statistics(learner.module, None if point.statistics == "last" else RUNNING)
        seed, like = derive(self.config.run.seed, f"{stream}/real", index), self.taught.x
        rates = constant(point.lr, like), constant(point.momentum, like)
        episode = RealBatches(self.splits.train, self.taught.batch, self.steps, seed, *rates)
        found = accuracies(learner, episode, images, whole=whole)
        self.tally.add(self._work(images, whole=whole))
        return found

    def work(self, images: ImageSet, learners: int, *, whole: bool) -> int:
        """What `tuned` takes, in training steps, with the learners that the point of the grid is chosen by."""
        grid = self.config.evaluate.real_data
        trials = grid.tune_learners * len(grid.lr) * len(grid.momentum) * len(STATISTICS)
        own = learners * self._work(images, whole=whole)
        return own + trials * self._work(self.splits.validation, whole=False)

    def _work(self, images: ImageSet, *, whole: bool) -> int:
        return work(self.steps, self.taught.batch, len(images), whole=whole)
