"""How good is a teacher: fresh learners taught by it, beside the same learners on tuned real data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtn_hpc.config import Config
from gtn_hpc.core.allocator import keep_freed_memory
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.data import ImageSet, Splits
from gtn_hpc.meta.pupil import Accuracies, Learned, Tally, Tell, accuracies, nobody, pupil, work
from gtn_hpc.meta.real_data import Control, RealData
from gtn_hpc.meta.replica import drawn


@dataclass(frozen=True)
class Evaluation:
    """Accuracies of fresh learners on `split`, taught by the curriculum and, if asked for, on real data: for as many
    steps, and for each number of steps in `longer` (there after the last step alone). `families` names the network
    family of each learner, and `diverged` says how many that the curriculum taught did, where it is known."""

    split: str
    teacher: Accuracies
    control: Control | None
    families: tuple[str, ...] = ()
    longer: Mapping[int, Control] = field(default_factory=dict)
    diverged: int | None = None

    @property
    def summary(self) -> dict[str, Any]:
        """Mean accuracy after the last step."""
        return {"accuracy": float(self.teacher[:, -1].mean())}


def evaluate_teacher(
    config: Config,
    frozen: Frozen,
    splits: Splits,
    *,
    learners: int,
    split: str = "validation",
    real_data: bool = True,
    longer: Sequence[int] = (),
    tell: Tell = nobody,
) -> Evaluation:
    """Trains `learners` never-seen learners on the curriculum, and the same ones on real data.

    The control's rate and momentum are chosen on validation from `evaluate.real_data`, with learners of its own; for
    each number of steps in `longer` anew. `tell` hears of the work done, in training steps.
    """
    keep_freed_memory()
    images = splits.test if split == "test" else splits.validation
    tally, whole = Tally(0, tell), frozen.steps if real_data else None
    beside = {n: RealData(config, splits, frozen, n, tally) for n in sorted({*([whole] if whole else []), *longer})}
    tally.total = learners * work(frozen.steps, frozen.batch, len(images), whole=True)
    tally.total += sum(control.work(images, learners, whole=n == whole) for n, control in beside.items())
    taught = [_taught(config, frozen, splits, images, index, tally=tally) for index in range(learners)]
    controls = {n: control.tuned(images, learners, whole=n == whole) for n, control in beside.items()}
    families = tuple(drawn(config, "evaluate", index).section.family for index in range(learners))
    control = controls[frozen.steps] if real_data else None
    curves, diverged = np.array([one.accuracy for one in taught]), sum(one.diverged for one in taught)
    return Evaluation(split, curves, control, families, {n: controls[n] for n in longer}, diverged)


def final_accuracies(config: Config, frozen: Frozen, splits: Splits, *, learners: int) -> NDArray[np.float64]:
    """Validation accuracy [learners] after the whole curriculum; the quick check during meta-training."""
    images = splits.validation
    return np.array([_taught(config, frozen, splits, images, n).accuracy[-1] for n in range(learners)])


def _taught(
    config: Config, frozen: Frozen, splits: Splits, images: ImageSet, index: int, *, tally: Tally | None = None
) -> Learned:
    """The whole curve where there is a `tally`, else its end."""
    episode = frozen.episode(torch_generator(config.run.seed, "evaluate/order", index))
    found = accuracies(pupil(config, splits, "evaluate", index), episode, images, whole=tally is not None)
    if tally is not None:
        tally.add(work(frozen.steps, frozen.batch, len(images), whole=True))
    return found
