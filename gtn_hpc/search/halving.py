"""Successive halving (Jamieson and Talwalkar 2016) and its asynchronous form ASHA (Li et al. 2020) over inner steps."""

import math
from bisect import bisect, insort
from collections.abc import Iterable
from itertools import takewhile

from gtn_hpc.config.searching import SuccessiveHalving as HalvingSection
from gtn_hpc.core.records import Architecture
from gtn_hpc.core.streams import numpy_rng
from gtn_hpc.search.algorithm import Algorithm, Outcome, Proposal
from gtn_hpc.search.novelty import Novelty
from gtn_hpc.spaces import Space


class Rung:
    """What was told at one number of inner steps, the best first; cost of an entry: a move within a list."""

    def __init__(self) -> None:
        self._values: dict[str, float] = {}
        self._staying: list[tuple[float, str]] = []
        self._promoted: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._values)

    def tell(self, arch: str, value: float) -> None:
        """A value that is told again takes the place of the one before."""
        there = self._staying
        if arch in self._values:
            before = (-self._values[arch], arch)
            there = self._promoted if _holds(self._promoted, before) else self._staying
            there.remove(before)
        self._values[arch] = value
        insort(there, (-value, arch))

    def promote(self, share: int) -> str | None:
        """The best of those that were not promoted, if it is among the best one in `share` of all and did not fail."""
        if not self._staying:
            return None
        best = self._staying[0]
        if bisect(self._promoted, best) >= len(self) // share or best[0] == math.inf:
            return None
        insort(self._promoted, self._staying.pop(0))
        return best[1]


class SuccessiveHalving(Algorithm):
    """Random architectures are taught for few steps; the best one in `eta` of a rung goes on to `eta` times as many.

    Asynchronous: promotes whenever a rung allows it. Synchronous: first the whole budget at the lowest rung, then rung
    by rung, each when all of the one below are told, so that proposals do not depend on who is fastest. A promoted
    learner goes on from its saved state, or begins anew where that is gone.
    """

    def __init__(self, section: HalvingSection, space: Space, steps: int, seed: int) -> None:
        self.section, self.space, self.seed = section, space, seed
        self.novelty = Novelty(space)
        self.rungs = rungs(section.first, section.eta, steps)
        self._architectures: dict[str, Architecture] = {}
        self._told = [Rung() for _ in self.rungs]
        self._asked = [0 for _ in self.rungs]

    @property
    def patient(self) -> bool:
        return not self.section.asynchronous

    def ask(self, number: int, *, fresh: bool) -> Proposal | None:
        waits = fresh and not self.section.asynchronous
        proposal = None if waits else self._promotion(number)
        if proposal is None and fresh:
            proposal = self._beginner(number)
        if proposal is not None:
            self._asked[self.rungs.index(proposal.fidelity)] += 1
        return proposal

    def tell(self, outcome: Outcome) -> None:
        rung = self.rungs.index(outcome.proposal.fidelity)
        self._told[rung].tell(outcome.proposal.arch.digest, outcome.value)

    def _beginner(self, number: int) -> Proposal:
        rng = numpy_rng(self.seed, "search/halving", number)
        arch = self.novelty.first_new(self.novelty.sample(rng))
        self._architectures[arch.digest] = arch
        return Proposal(number, arch, self.rungs[0])

    def _promotion(self, number: int) -> Proposal | None:
        """The best that may go on."""
        for rung in self._promoting():
            if (arch := self._told[rung].promote(self.section.eta)) is not None:
                return Proposal(number, self._architectures[arch], self.rungs[rung + 1], parent=arch)
        return None

    def _promoting(self) -> Iterable[int]:
        """Rungs to promote from: all, from the highest; synchronously from the lowest, up to one with some untold."""
        lower = range(len(self.rungs) - 1)
        if self.section.asynchronous:
            return reversed(lower)
        return takewhile(lambda rung: self._asked[rung] == len(self._told[rung]), lower)


def _holds(entries: list[tuple[float, str]], entry: tuple[float, str]) -> bool:
    """Of sorted entries."""
    place = bisect(entries, entry)
    return place > 0 and entries[place - 1] == entry


def rungs(first: int, eta: int, steps: int) -> list[int]:
    """Inner steps of each rung: `first`, then `eta` times as many each, the last one `steps`."""
    found = [first]
    while found[-1] * eta < steps:
        found.append(found[-1] * eta)
    return [*found, steps] if first < steps else [steps]
