"""What the outer loop tells those who watch it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Iterated:
    """One meta-iteration done: mean real loss over replicas, norm of the meta-gradient, outer rate, seconds of each of
    the `ranks` that worked on it."""

    iteration: int
    iterations: int
    loss: float
    gradient_norm: float
    lr: float
    steps: int
    seconds: float
    ranks: int = 1


@dataclass(frozen=True)
class Suspect:
    """A replica whose gradient was not finite: the rank that ran it, and what its learner was drawn from."""

    rank: int
    replica: int
    family: str
    widths: tuple[int, ...]
    seed: int


@dataclass(frozen=True)
class Refused:
    """A meta-iteration whose loss or gradient was not finite: nobody updated; the n-th `in_a_row`.

    `replay` names the directory with the teacher of that moment, for `gtn check-grad --replay`. Without replicas, each
    of them was finite and their sum was not.
    """

    iteration: int
    generation: int
    in_a_row: int
    replicas: tuple[Suspect, ...]
    replay: str


@dataclass(frozen=True)
class WentBack:
    """Training diverged and goes on from `iteration`, with the random streams of `generation`."""

    iteration: int
    generation: int


@dataclass(frozen=True)
class Evaluated:
    """Mean and standard deviation (NaN of one learner) of the validation accuracy after the whole curriculum."""

    iteration: int
    accuracy: float
    sd: float
    learners: int


@dataclass(frozen=True)
class Played:
    """Mean return of never-seen policies after the whole curriculum, and its standard deviation over them."""

    iteration: int
    mean_return: float
    sd: float
    policies: int


@dataclass(frozen=True)
class Resumed:
    """Training goes on from a checkpoint."""

    iteration: int


@dataclass(frozen=True)
class Judging:
    """At the end: so much of the judgement is `done`, of `total` training steps (with rl: rollouts); not recorded."""

    done: int
    total: int


@dataclass(frozen=True)
class Noted:
    """A message for the user, e.g. of a damaged checkpoint that was passed over."""

    message: str


Event: TypeAlias = Iterated | Refused | WentBack | Evaluated | Played | Resumed | Judging | Noted
Observer: TypeAlias = Callable[[Event], None]
