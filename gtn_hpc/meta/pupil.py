"""Who judges: never-seen learners, and what they know after their lessons."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gtn_hpc.config import Config
from gtn_hpc.core.errors import NonFiniteError
from gtn_hpc.data import ImageSet, Splits
from gtn_hpc.inner.engine import Episode
from gtn_hpc.inner.step import Learner
from gtn_hpc.meta.replica import fresh_learner
from gtn_hpc.training.run import Progress, train

Accuracies = NDArray[np.float64]
"""[learners, T]: accuracy of each learner after each inner step; the last on all images of a split."""

ON_THE_WAY = 2000
"""Most images, spread over the split, that accuracy before the last step is measured on: a curve needs no more."""

CURVE = 64_000
"""Images that a curve of many steps is measured on in all; else it would cost more than the training."""


Tell = Callable[[int, int], object]
"""Hears how much of a judgement is done, and of how much."""


def nobody(done: int, total: int) -> None:
    """Does not listen."""


class Learned(NamedTuple):
    """Accuracies of one learner on its way and in the end; one that `diverged` counts as one that knows nothing."""

    accuracy: list[float]
    diverged: bool = False


@dataclass
class Tally:
    """What is `done` of `total`, in steps (`work`) or in episodes; `tell` hears of it whenever something is added."""

    total: int
    tell: Tell
    done: int = 0

    def add(self, more: int) -> None:
        self.done += more
        self.tell(self.done, self.total)


def pupil(config: Config, splits: Splits, stream: str, index: int) -> Learner:
    """Learner `index` of `stream`, where the images are."""
    device = splits.validation.images.device
    return fresh_learner(config, splits.shape, splits.classes, stream, index, device=device)


def accuracies(learner: Learner, episode: Episode, images: ImageSet, *, whole: bool) -> Learned:
    """Accuracy after the last step, and before it after each if it is to be the `whole` curve."""
    last, progress = episode.steps, Progress(0, learner.initial_state())
    before = range(1, last) if whole else ()
    try:
        if whole:
            few = images.spread(_on_the_way(last))
            progress = train(learner, progress, episode, few, until=last - 1, at=before)
        progress = train(learner, progress, episode, images, until=last, at=[last])
    except NonFiniteError:
        return Learned([1.0 / images.classes] * (len(before) + 1), diverged=True)
    return Learned([progress.curve[t].accuracy for t in (*before, last)])


def work(steps: int, batch: int, images: int, *, whole: bool) -> int:
    """What `accuracies` takes, in training steps of `batch` images: one that is looked at counts as a third of one that
    is learned from, whose gradient takes twice as long as the loss."""
    looked_at = images + (steps - 1) * min(_on_the_way(steps), images) * whole
    return steps + round(looked_at / (3 * batch))


def _on_the_way(steps: int) -> int:
    """Images that each step before the last is judged by."""
    return min(ON_THE_WAY, -(-CURVE // steps))
