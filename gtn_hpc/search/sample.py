"""Which architectures are trained on real data as well: a part of every few that were asked for, while they come."""

import math
from collections.abc import Collection, Mapping, Sequence

from gtn_hpc.config import Config
from gtn_hpc.config.searching import Certificate as Section
from gtn_hpc.search.certificate import drawn, stratified


class Sample:
    """Of each `every` proposals, once all are told, a fraction is drawn evenly over strata of the estimate.

    A function of seed and estimates, whatever the order in which scores come. An architecture is a candidate once, by
    its first estimate.
    """

    def __init__(self, section: Section, seed: int) -> None:
        self._section, self._seed = section, seed
        self._told: dict[int, tuple[str, float]] = {}
        self._considered: set[str] = set()
        self._next = 0
        self.blocks: list[list[str]] = []

    @property
    def chosen(self) -> list[str]:
        """All that were drawn, in their order."""
        return [arch for block in self.blocks for arch in block]

    def tell(self, ask: int, arch: str, value: float) -> None:
        """Proposal `ask` was architecture `arch`; `value` is its estimate, not finite where there is none."""
        self._told[ask] = (arch, value)

    def draw(self) -> None:
        """Adds a block for every part that is complete."""
        every = self._section.every
        while all(ask in self._told for ask in range(self._next, self._next + every)):
            self._add(range(self._next, self._next + every))
            self._next += every

    def finish(self) -> None:
        """Adds what is left when nothing more is asked for, and what `minimum` lacks."""
        if self._section.fraction == 0:
            return
        self.draw()
        self._add([ask for ask in sorted(self._told) if ask >= self._next])
        lacking = self._section.minimum - len(self.chosen)
        left = self._scored(sorted(self._told))
        for arch in self.chosen:
            left.pop(arch, None)
        if lacking > 0 and left:
            self.blocks.append(drawn(left, lacking, self._section.strata, self._seed, len(self.blocks)))

    def _add(self, asks: Sequence[int]) -> None:
        scored = {arch: value for arch, value in self._scored(asks).items() if arch not in self._considered}
        self._considered.update(scored)
        section = self._section.model_copy(update={"minimum": 0})
        if block := stratified(scored, section, self._seed, len(self.blocks)):
            self.blocks.append(block)

    def _scored(self, asks: Sequence[int]) -> dict[str, float]:
        """The first estimate of each architecture of `asks`."""
        told = (self._told[ask] for ask in reversed(asks))
        return {arch: value for arch, value in told if math.isfinite(value)}


def outstanding(
    config: Config, budget: int, told: Mapping[int, tuple[str, float]], trained: Collection[tuple[str, str, int]]
) -> dict[str, int]:
    """How many trainings the certificate of a search of `budget` architectures lacks, by source; empty without one, and
    for successive halving, whose candidates are not known beforehand, and parts, which leave them to a manager.

    `told` has the architecture and the estimate of each proposal so far, those to come are taken to get one; `trained`
    the source, architecture and replica of each training. Cost: that of drawing the whole sample.
    """
    section = config.search.certificate
    if config.search.algorithm.name == "halving" or config.search.in_parts:
        return {}
    sample = Sample(section, config.run.seed)
    for ask in range(max([budget, *(ask + 1 for ask in told)])):
        sample.tell(ask, *told.get(ask, (f"to come {ask}", 0.0)))
    sample.finish()
    done, replicas = set(trained), range(config.search.replicas)
    sources = ("truth", *section.controls) if sample.blocks else ()
    return {
        source: sum((source, arch, replica) not in done for arch in sample.chosen for replica in replicas)
        for source in sources
    }
