"""What a search algorithm is told and asked."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

from gtn_hpc.core.records import Architecture, Score


@dataclass(frozen=True)
class Proposal:
    """An architecture (canonical) to score after `fidelity` inner steps; the `ask`-th, made from `parent` (digest)."""

    ask: int
    arch: Architecture
    fidelity: int
    parent: str = ""


@dataclass(frozen=True)
class Outcome:
    """A proposal with the scores of its replicas, in their order."""

    proposal: Proposal
    scores: tuple[Score, ...]

    @cached_property
    def value(self) -> float:
        """Mean validation accuracy over replicas, or minus infinity where one of them did not end well."""
        if any(score.status != "ok" for score in self.scores):
            return -math.inf
        return sum(score.val_accuracy for score in self.scores) / len(self.scores)


class Algorithm(ABC):
    """Proposes architectures and learns how they did.

    A proposal is a function of the seed, its number and what was asked and told before, in that order: an algorithm
    that is asked and told the same again stands where it stood. An ask that gives None changes nothing.
    """

    @property
    def patient(self) -> bool:
        """Whether proposals do not depend on when outcomes are told, so that asking ahead changes none."""
        return False

    @abstractmethod
    def ask(self, number: int, *, fresh: bool) -> Proposal | None:
        """Proposal `number`, or None where nothing can be proposed before more is told (or at all).

        `fresh` says whether the budget leaves room for an architecture that was never proposed.

        Raises:
            SpaceExhausted: the space holds no more architectures.
        """

    @abstractmethod
    def tell(self, outcome: Outcome) -> None:
        """Takes the outcome of a proposal, in any order."""
