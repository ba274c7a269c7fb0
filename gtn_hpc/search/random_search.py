"""Random search: the paper's (section 3.5)."""

from gtn_hpc.core.streams import numpy_rng
from gtn_hpc.search.algorithm import Algorithm, Outcome, Proposal
from gtn_hpc.search.novelty import Novelty
from gtn_hpc.spaces import Space


class RandomSearch(Algorithm):
    """Every architecture drawn anew from the space, each once; proposal n has a stream of its own."""

    def __init__(self, space: Space, steps: int, seed: int) -> None:
        self.space, self.steps, self.seed = space, steps, seed
        self.novelty = Novelty(space)

    @property
    def patient(self) -> bool:
        return True

    def ask(self, number: int, *, fresh: bool) -> Proposal | None:
        if not fresh:
            return None
        rng = numpy_rng(self.seed, "search/random", number)
        return Proposal(number, self.novelty.first_new(self.novelty.sample(rng)), self.steps)

    def tell(self, outcome: Outcome) -> None:
        """Random search learns nothing."""
