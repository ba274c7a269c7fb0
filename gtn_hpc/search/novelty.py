"""Architectures that were not proposed before."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from gtn_hpc.core.errors import GtnError
from gtn_hpc.core.records import Architecture
from gtn_hpc.spaces import Space

DRAWS = 10_000
"""Draws without anything new after which a space counts as exhausted."""


class SpaceExhausted(GtnError):
    """No architecture is left that was not proposed."""

    def __init__(self, space: str, known: int) -> None:
        super().__init__(
            f"The space {space} gave nothing new in {DRAWS} draws: {known} architectures are known.",
            remedy=f"Lower search.budget to {known}, or take a larger space; what was scored is kept.",
        )


class Novelty:
    """The canonical architectures proposed so far; equal networks count as one."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.known: set[str] = set()

    def sample(self, rng: np.random.Generator) -> Iterator[Architecture]:
        """Random architectures without end."""
        while True:
            yield self.space.sample(rng)

    def first_new(self, candidates: Iterable[Architecture]) -> Architecture:
        """The first of `candidates`, in canonical form, that is new; it is known from now on.

        Raises:
            SpaceExhausted: none of the first `DRAWS` is.
        """
        for arch in map(self.space.canonical, islice(candidates, DRAWS)):
            if arch.digest not in self.known:
                self.known.add(arch.digest)
                return arch
        raise SpaceExhausted(self.space.name, len(self.known))
