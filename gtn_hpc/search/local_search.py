"""Local search (White et al. 2021, "Exploring the Loss Landscape in Neural Architecture Search")."""

from collections import deque

from gtn_hpc.config.searching import LocalSearch as LocalSearchSection
from gtn_hpc.core.records import Architecture
from gtn_hpc.core.streams import numpy_rng
from gtn_hpc.search.algorithm import Algorithm, Outcome, Proposal
from gtn_hpc.search.novelty import Novelty
from gtn_hpc.spaces import Space


class LocalSearch(Algorithm):
    """Climbs from the best of `starts` random architectures: moves as soon as a neighbour is better, and begins
    anew at one random architecture when none is."""

    def __init__(self, section: LocalSearchSection, space: Space, steps: int, seed: int) -> None:
        self.space, self.steps, self.seed = space, steps, seed
        self.novelty = Novelty(space)
        self._values: dict[str, float] = {}
        self._pending: set[str] = set()
        self._begin(section.starts)

    def ask(self, number: int, *, fresh: bool) -> Proposal | None:
        if not fresh:
            return None
        while not self._starts:
            if self._centre is None and not self._pending:
                self._move(max(self._climb, key=lambda outcome: outcome.value).proposal.arch, number)
            if (neighbour := self._new_neighbour()) is not None:
                return self._propose(number, neighbour, parent=self._parent)
            if self._pending:
                return None
            self._begin(starts=1)
        self._starts -= 1
        rng = numpy_rng(self.seed, "search/local", number)
        return self._propose(number, self.novelty.first_new(self.novelty.sample(rng)), parent="")

    def tell(self, outcome: Outcome) -> None:
        arch = outcome.proposal.arch
        self._values[arch.digest] = outcome.value
        self._pending.discard(arch.digest)
        self._climb.append(outcome)
        if self._centre is not None and outcome.value > self._values[self._centre.digest]:
            self._move(arch, outcome.proposal.ask)

    @property
    def _parent(self) -> str:
        return "" if self._centre is None else self._centre.digest

    def _begin(self, starts: int) -> None:
        self._starts = starts
        self._climb: list[Outcome] = []
        self._centre: Architecture | None = None
        self._around: deque[Architecture] = deque()

    def _propose(self, number: int, arch: Architecture, parent: str) -> Proposal:
        self._pending.add(arch.digest)
        return Proposal(number, arch, self.steps, parent)

    def _new_neighbour(self) -> Architecture | None:
        while self._around:
            arch = self._around.popleft()
            if arch.digest not in self.novelty.known:
                self.novelty.known.add(arch.digest)
                return arch
        return None

    def _move(self, arch: Architecture, number: int) -> None:
        """To `arch`, and on over better ones that are known already; the others around it are tried in random order."""
        around = {found.digest: found for found in map(self.space.canonical, self.space.neighbours(arch))}
        known = sorted(set(around) & set(self._values))
        best = max(known, key=lambda digest: self._values[digest], default=arch.digest)
        if self._values[best] > self._values[arch.digest]:
            self._move(around[best], number)
            return
        self._centre = arch
        unknown = sorted(set(around) - set(self._values))
        order = numpy_rng(self.seed, "search/local/around", number).permutation(len(unknown))
        self._around = deque(around[unknown[index]] for index in order)
