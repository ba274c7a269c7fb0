"""An algorithm whose inner runs can be made longer while it goes on."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace

from gtn_hpc.config import Config
from gtn_hpc.config.searching import SuccessiveHalving
from gtn_hpc.core.errors import ConfigError
from gtn_hpc.scores.rows import Ask
from gtn_hpc.search.algorithm import Algorithm, Outcome, Proposal
from gtn_hpc.training.setting import Setting


class Lengthening(Algorithm):
    """Proposes what `inner` proposes, whose full training has `length` inner steps.

    After `lengthen` all that was proposed before is proposed once more at the new length, then `inner` goes on; it is
    told first values only, and its proposals are numbered without those made again. `recorded` (proposal -> inner
    steps) says where a search that is replayed was lengthened.
    """

    def __init__(self, inner: Algorithm, length: int, recorded: Mapping[int, int]) -> None:
        self._inner, self._recorded = inner, recorded
        self.length = length
        self._lengthened = False
        self._made: dict[int, Proposal] = {}
        self._again: deque[Proposal] = deque()

    @property
    def patient(self) -> bool:
        return self._inner.patient

    @property
    def reached(self) -> set[int]:
        """The lengths beyond the present one that a search that is replayed came to."""
        return {length for length in self._recorded.values() if length > self.length}

    def lengthen(self, length: int) -> None:
        self.length, self._lengthened = length, True
        self._again = deque(self._made.values())

    def ask(self, number: int, *, fresh: bool) -> Proposal | None:
        if (recorded := self._recorded.get(number, 0)) > self.length:
            self.lengthen(recorded)
        if self._again:
            return replace(self._again.popleft(), ask=number, fidelity=self.length)
        proposal = self._inner.ask(len(self._made), fresh=fresh)
        if proposal is None:
            return None
        self._made[number] = proposal
        fidelity = max(proposal.fidelity, self.length) if self._lengthened else proposal.fidelity
        return replace(proposal, ask=number, fidelity=fidelity)

    def tell(self, outcome: Outcome) -> None:
        if (made := self._made.get(outcome.proposal.ask)) is not None:
            self._inner.tell(Outcome(made, outcome.scores))


def lengthening(inner: Algorithm, config: Config, setting: Setting, before: Iterable[Ask]) -> Lengthening:
    """The algorithm of a search that `before` tells of.

    Raises:
        ConfigError: inner runs are to be lengthened whose steps the algorithm itself chooses.
    """
    if config.search.certificate.policy == "lengthen" and isinstance(config.search.algorithm, SuccessiveHalving):
        raise ConfigError(
            "search.certificate.policy is lengthen, but the algorithm halving chooses the inner steps itself.",
            remedy="Take policy warn or stop, or another algorithm.",
        )
    return Lengthening(inner, setting.last_step, {ask.order: ask.fidelity for ask in before})
