"""What every meta-gradient engine takes and gives."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gtn_hpc.core.records import Batch, Hyper
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.inner.step import Learner, LearnerState


class Episode(Protocol):
    """One pass over a curriculum: every method is a deterministic function of t and of the teacher's parameters."""

    @property
    def steps(self) -> int:
        """Inner steps of the pass."""

    def batch(self, t: int) -> Batch:
        """Synthetic images [B, C, H, W] and label probabilities [B, K] of inner step t."""

    def hyper(self, t: int) -> Hyper:
        """Learning rate and momentum of inner step t."""


Passed = Callable[[int, Tensors], None]
"""Told how many of the last steps the reverse loop has passed: in the gradient, what only those steps use is final."""


@dataclass(frozen=True)
class Task:
    """One replica: a fresh learner, an episode of the curriculum, and the real batches that judge it.

    `real` maps a number of inner steps done to the real batch of the loss after it; the losses are summed. The last
    key is `episode.steps` (the paper's meta-loss); further keys are intermediate losses. `passed` is called by an
    engine that goes back step by step, so that sending may begin. `beside` is the gradient of what the teacher holds
    and no inner step uses (a critic), by name; engines leave it to who asked for the meta-gradient.
    """

    learner: Learner
    initial: LearnerState
    episode: Episode
    real: Mapping[int, Batch]
    passed: Passed | None = None
    beside: Tensors = field(default_factory=dict)


@dataclass(frozen=True)
class MetaGradient:
    """`gradient` of the summed real loss by name of the teacher's parameter, and each loss by steps done.

    `initial` is the gradient with respect to the learner's initial parameters where it was asked for; `kept` says what
    the engine held in memory, where it had a choice.
    """

    losses: Mapping[int, float]
    gradient: Tensors
    initial: Tensors = field(default_factory=dict)
    kept: str = ""

    @property
    def loss(self) -> float:
        """The real loss of the learner after its last step."""
        return self.losses[max(self.losses)]


class Engine(ABC):
    """Makes the gradient of the real losses of a task through all its inner steps."""

    @abstractmethod
    def __call__(self, task: Task, teacher: Tensors, *, wrt_initial: bool = False) -> MetaGradient:
        """The exact meta-gradient with respect to `teacher` (parameters that the episode depends on), by name.

        A parameter that the losses do not depend on gets zeros.
        """
