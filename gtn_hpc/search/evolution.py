"""Regularised (ageing) evolution (Real et al. 2019, "Regularized Evolution for Image Classifier Search")."""

from collections import deque
from collections.abc import Iterator
from itertools import chain

import numpy as np

from gtn_hpc.config.searching import Evolution as EvolutionSection
from gtn_hpc.core.records import Architecture
from gtn_hpc.core.streams import numpy_rng
from gtn_hpc.search.algorithm import Algorithm, Outcome, Proposal
from gtn_hpc.search.novelty import Novelty
from gtn_hpc.spaces import Space

MUTATIONS = 100
"""Mutations from a parent without anything new after which a random architecture takes the child's place."""


class Evolution(Algorithm):
    """A population of random architectures; then each child is a mutation of the best of a random few, and the oldest
    of the population dies.

    Asynchronous: the population is the last `population` that were told. Synchronous: it is the last generation, and
    a generation is asked for when all of the one before are told, so that proposals do not depend on who is fastest.
    """

    def __init__(self, section: EvolutionSection, space: Space, steps: int, seed: int) -> None:
        self.section, self.space, self.steps, self.seed = section, space, steps, seed
        self.novelty = Novelty(space)
        self._alive: deque[Outcome] = deque(maxlen=section.population)
        self._told: dict[int, Outcome] = {}

    @property
    def patient(self) -> bool:
        return self.section.synchronous

    def ask(self, number: int, *, fresh: bool) -> Proposal | None:
        if not fresh:
            return None
        rng = numpy_rng(self.seed, "search/evolution", number)
        if number < self.section.population:
            return Proposal(number, self.novelty.first_new(self.novelty.sample(rng)), self.steps)
        population = self._population(number)
        if not population:
            return None
        chosen = rng.choice(len(population), min(self.section.sample, len(population)), replace=False)
        parent = max((population[index] for index in chosen), key=lambda outcome: outcome.value).proposal.arch
        child = self.novelty.first_new(chain(self._mutants(parent, rng), self.novelty.sample(rng)))
        return Proposal(number, child, self.steps, parent.digest)

    def tell(self, outcome: Outcome) -> None:
        self._told[outcome.proposal.ask] = outcome
        self._alive.append(outcome)

    def _population(self, number: int) -> list[Outcome]:
        """Who may become a parent of proposal `number`; empty where it has to wait."""
        if not self.section.synchronous:
            return list(self._alive)
        size = self.section.population
        first = (number // size - 1) * size
        generation = range(first, first + size)
        return [self._told[ask] for ask in generation] if all(ask in self._told for ask in generation) else []

    def _mutants(self, parent: Architecture, rng: np.random.Generator) -> Iterator[Architecture]:
        """Mutations one after another, so that a parent whose neighbours are all known still has children."""
        place = parent
        for _ in range(MUTATIONS):
            place = self.space.mutate(place, rng)
            yield place
