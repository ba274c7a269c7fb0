"""How good is a teacher: fresh learners taught by it, beside the same learners on tuned real data."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_hpc.config import Config
from gtn_hpc.core.allocator import keep_freed_memory
from gtn_hpc.core.errors import NonFiniteError
from gtn_hpc.core.streams import derive, torch_generator
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.data import ImageSet, Splits
from gtn_hpc.inner.engine import Episode
from gtn_hpc.inner.step import Learner
from gtn_hpc.meta.replica import drawn, fresh_learner
from gtn_hpc.models.norm import use_running_statistics
from gtn_hpc.training.run import Progress, train
from gtn_hpc.training.streams import RealBatches, constant

Accuracies = NDArray[np.float64]
"""[learners, T]: accuracy of each learner after each inner step; the last on all images of a split."""

ON_THE_WAY = 2000
"""Images, spread over the split, that accuracy before the last step is measured on: a curve needs no more."""


@dataclass(frozen=True)
class Control:
    """The real-data control: rate, momentum and batch-norm statistics chosen on validation, and its accuracies."""

    lr: float
    momentum: float
    statistics: str
    accuracy: Accuracies


@dataclass(frozen=True)
class Evaluation:
    """Accuracies of fresh learners on `split`, taught by the curriculum and, if asked for, on real data; `families`
    names the network family of each, where it is known."""

    split: str
    teacher: Accuracies
    control: Control | None
    families: tuple[str, ...] = ()

    @property
    def summary(self) -> dict[str, Any]:
        """Mean accuracy after the last step."""
        return {"accuracy": float(self.teacher[:, -1].mean())}


def evaluate_teacher(
    config: Config, frozen: Frozen, splits: Splits, *, learners: int, split: str = "validation", real_data: bool = True
) -> Evaluation:
    """Trains `learners` never-seen learners on the curriculum, and the same ones on real data.

    The control's rate and momentum are chosen on validation from `evaluate.real_data`, with learners of its own.
    """
    keep_freed_memory()
    images = splits.test if split == "test" else splits.validation
    taught = np.array([_taught(config, frozen, splits, images, index) for index in range(learners)])
    control = _control(config, frozen, splits, images, learners) if real_data else None
    families = tuple(drawn(config, "evaluate", index).section.family for index in range(learners))
    return Evaluation(split, taught, control, families)


def final_accuracies(config: Config, frozen: Frozen, splits: Splits, *, learners: int) -> NDArray[np.float64]:
    """Validation accuracy [learners] after the whole curriculum; the quick check during meta-training."""
    images = splits.validation
    return np.array([_taught(config, frozen, splits, images, n, whole=False)[-1] for n in range(learners)])


def _taught(
    config: Config, frozen: Frozen, splits: Splits, images: ImageSet, index: int, *, whole: bool = True
) -> list[float]:
    episode = frozen.episode(torch_generator(config.run.seed, "evaluate/order", index))
    return _curve(_learner(config, splits, images, "evaluate", index), episode, images, whole)


def _control(config: Config, frozen: Frozen, splits: Splits, images: ImageSet, learners: int) -> Control:
    best = max(_trials(config, frozen, splits), key=lambda trial: trial[0])
    _, lr, momentum, statistics = best
    rows = [
        _on_real_data(config, frozen, splits, images, "evaluate", n, lr, momentum, statistics) for n in range(learners)
    ]
    return Control(lr, momentum, statistics, np.array(rows))


def _trials(config: Config, frozen: Frozen, splits: Splits) -> Iterator[tuple[float, float, float, str]]:
    """Mean final validation accuracy of each point of the grid."""
    section, images = config.evaluate.real_data, splits.validation
    for lr, momentum, statistics in itertools.product(section.lr, section.momentum, ("last", "running")):
        finals = [
            _on_real_data(config, frozen, splits, images, "tune", n, lr, momentum, statistics, whole=False)[-1]
            for n in range(section.tune_learners)
        ]
        yield float(np.mean(finals)), lr, momentum, statistics


def _on_real_data(
    config: Config,
    frozen: Frozen,
    splits: Splits,
    images: ImageSet,
    stream: str,
    index: int,
    lr: float,
    momentum: float,
    statistics: str,
    *,
    whole: bool = True,
) -> list[float]:
    learner = _learner(config, splits, images, stream, index)
    use_running_statistics(learner.module, None if statistics == "last" else 0.1)
    seed = derive(config.run.seed, f"{stream}/real", index)
    like = frozen.x
    stream_of_real = RealBatches(
        splits.train, frozen.batch, frozen.steps, seed, constant(lr, like), constant(momentum, like)
    )
    return _curve(learner, stream_of_real, images, whole)


def _learner(config: Config, splits: Splits, images: ImageSet, stream: str, index: int) -> Learner:
    return fresh_learner(config, splits.shape, splits.classes, stream, index, device=images.images.device)


def _curve(learner: Learner, episode: Episode, images: ImageSet, whole: bool) -> list[float]:
    """Accuracy after the last step, and before it after each if it is to be the `whole` curve.

    A learner that diverges counts as one that knows nothing.
    """
    last, progress = episode.steps, Progress(0, learner.initial_state())
    before = range(1, last) if whole else ()
    try:
        if whole:
            few = images.spread(ON_THE_WAY)
            progress = train(learner, progress, episode, few, until=last - 1, at=before)
        progress = train(learner, progress, episode, images, until=last, at=[last])
    except NonFiniteError:
        return [1.0 / images.classes] * (len(before) + 1)
    return [progress.curve[t].accuracy for t in (*before, last)]
