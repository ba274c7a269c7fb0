"""The training of one learner, without graphs: used to judge teachers, architectures and winners alike."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch.nn import functional as F

from gtn_hpc.core.errors import NonFiniteError
from gtn_hpc.core.records import Batch, Hyper
from gtn_hpc.data import ImageSet
from gtn_hpc.inner.engine import Episode
from gtn_hpc.inner.step import Learner, LearnerState, evaluate
from gtn_hpc.models.norm import without_start
from gtn_hpc.training.steppers import Begin, Plain


@dataclass(frozen=True)
class Measurement:
    """On one split: `accuracy` as a fraction, `loss` the mean cross-entropy in nats."""

    accuracy: float
    loss: float


@dataclass(frozen=True)
class Progress:
    """A learner after `steps` inner steps, and what was measured on the way, by steps done.

    `measuring`: the seconds that `train` has just spent on measurements before the end.
    """

    steps: int
    state: LearnerState
    curve: Mapping[int, Measurement] = field(default_factory=dict)
    measuring: float = 0.0


def train(
    learner: Learner,
    progress: Progress,
    episode: Episode,
    images: ImageSet,
    *,
    until: int,
    at: Collection[int] = (),
    begin: Begin = Plain,
    chunk: int = 256,
) -> Progress:
    """Goes on from `progress` to `until` steps, and measures on `images` after each number of steps in `at`.

    Equal, bit for bit, to a straight run for any way of cutting it in pieces; `begin` says how steps are taken, `chunk`
    how many images are measured at a time. Running averages of batch norm count without the share of their start.

    Raises:
        NonFiniteError: a measured loss is not finite.
    """
    stepper, curve, measuring = begin(learner, progress.state), dict(progress.curve), 0.0
    for t in range(progress.steps, until):
        stepper.step(t, *_detached(episode, t))
        if t + 1 in at:
            began = _now(images)
            state = stepper.state()
            settled = replace(state, buffers=without_start(learner.module, state.buffers, t + 1))
            curve[t + 1] = measure(learner, settled, images, chunk)
            measuring += time.perf_counter() - began if t + 1 < until else 0.0
    return Progress(max(until, progress.steps), stepper.state(), curve, measuring)


def _now(images: ImageSet) -> float:
    """Once a GPU has done what it was given so far."""
    if images.images.device.type == "cuda":
        torch.cuda.synchronize(images.images.device)
    return time.perf_counter()


@torch.no_grad()
def measure(learner: Learner, state: LearnerState, images: ImageSet, batch: int = 256) -> Measurement:
    """Accuracy and loss on all of `images`; no sample's result depends on another's.

    Raises:
        NonFiniteError: the loss is NaN or infinite.
    """
    sums = torch.zeros(2, dtype=torch.float64, device=images.labels.device)  # read once: a GPU is waited for once
    for x, y in images.epoch(batch):
        logits = evaluate(learner, state, x)
        sums += torch.stack([(logits.argmax(dim=1) == y).sum(), F.cross_entropy(logits, y, reduction="sum")])
    correct, loss = sums.tolist()
    if not loss < float("inf"):
        raise NonFiniteError(
            f"The learner's loss on {len(images)} images is {loss}.",
            remedy="Its training diverged: lower the inner learning rate, or use another learner.",
        )
    return Measurement(correct / len(images), loss / len(images))


@torch.no_grad()
def _detached(episode: Episode, t: int) -> tuple[Batch, Hyper]:
    return episode.batch(t), episode.hyper(t)
