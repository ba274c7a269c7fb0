"""What the outer loop tells those who watch it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Iterated:
    """One meta-iteration done: mean real loss over replicas, norm of the meta-gradient, outer rate, seconds."""

    iteration: int
    iterations: int
    loss: float
    gradient_norm: float
    lr: float
    steps: int
    seconds: float


@dataclass(frozen=True)
class Refused:
    """A meta-iteration whose loss or gradient was not finite: nobody updated."""

    iteration: int
    replicas: tuple[int, ...]


@dataclass(frozen=True)
class Evaluated:
    """Mean and standard deviation of the validation accuracy of fresh learners after the whole curriculum."""

    iteration: int
    accuracy: float
    sd: float
    learners: int


@dataclass(frozen=True)
class Resumed:
    """Training goes on from a checkpoint."""

    iteration: int


@dataclass(frozen=True)
class Noted:
    """A message for the user, e.g. of a damaged checkpoint that was passed over."""

    message: str


Event: TypeAlias = Iterated | Refused | Evaluated | Resumed | Noted
Observer: TypeAlias = Callable[[Event], None]
