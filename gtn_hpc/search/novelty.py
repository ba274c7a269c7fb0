"""Architectures that were not proposed before."""

from collections.abc import Callable

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

    def draw(self, sample: Callable[[], Architecture]) -> Architecture:
        """The first of `sample`'s architectures, in canonical form, that is new; it is known from now on.

        Raises:
            SpaceExhausted: none came.
        """
        for _ in range(DRAWS):
            arch = self.space.canonical(sample())
            if arch.digest not in self.known:
                self.known.add(arch.digest)
                return arch
        raise SpaceExhausted(self.space.name, len(self.known))
