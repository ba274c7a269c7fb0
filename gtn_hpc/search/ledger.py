"""The manager's asks and tells in its journal, and back."""

import time
from collections.abc import Sequence

from gtn_hpc.core.errors import RunError
from gtn_hpc.core.records import Architecture
from gtn_hpc.scores.journal import Journal
from gtn_hpc.scores.replay import Journals
from gtn_hpc.scores.rows import ArchitectureRow, Ask, Tell
from gtn_hpc.search.algorithm import Outcome, Proposal
from gtn_hpc.search.study import Asked, Told
from gtn_hpc.spaces import Space
from gtn_hpc.training.estimates import architectures_of


class JournalLedger:
    """Writes to `journal`, going on from the asks and tells that `before` holds."""

    def __init__(self, journal: Journal, space: Space, before: Journals) -> None:
        self._journal, self._space = journal, space
        self._asks = 1 + max((ask.order for ask in before.asks), default=-1)
        self._tells = 1 + max((tell.order for tell in before.tells), default=-1)

    def asked(self, asked: Asked) -> None:
        self._journal.append(rows_of(asked, self._space))
        self._asks += 1

    def told(self, *outcomes: Outcome) -> None:
        """In one write."""
        self._journal.append([self._tell(order, outcome) for order, outcome in enumerate(outcomes, start=self._tells)])
        self._tells += len(outcomes)

    def _tell(self, order: int, outcome: Outcome) -> Tell:
        proposal = outcome.proposal
        failed = [score.status for score in outcome.scores if score.status != "ok"]
        return Tell(
            order=order,
            ask=proposal.ask,
            arch=proposal.arch.digest,
            fidelity=proposal.fidelity,
            value=outcome.value,
            status=failed[0] if failed else "ok",
            time=time.time(),
            extra={"asked": float(self._asks)},
        )


def rows_of(asked: Asked, space: Space) -> list[ArchitectureRow | Ask]:
    """What is written down of a proposal: its architecture, and that it was asked for."""
    proposal, arch = asked.proposal, asked.proposal.arch
    ask = Ask(
        order=proposal.ask,
        arch=arch.digest,
        fidelity=proposal.fidelity,
        parent=proposal.parent,
        time=time.time(),
        extra={"fresh": float(asked.fresh)},
    )
    return [ArchitectureRow.of(arch, params=space.params(arch), flops=space.flops(arch)), ask]


def events(journals: Journals) -> list[Asked | Told]:
    """What was asked and told, in the order in which it happened; a row that is there twice counts once.

    Raises:
        RunError: an ask or its architecture is missing, so what came after cannot be understood.
    """
    architectures = architectures_of(journals)
    asks = {ask.order: ask for ask in journals.asks}
    tells = {tell.order: tell for tell in journals.tells}
    _refuse_gaps(list(asks.values()), architectures)
    found: list[tuple[int, int, Asked | Told]] = []
    found += [(ask.order + 1, 0, _asked(ask, architectures[ask.arch])) for ask in asks.values()]
    found += [(int(tell.extra["asked"]), 1, Told(tell.ask)) for tell in tells.values()]
    return [event for _, _, event in sorted(found, key=lambda entry: entry[:2])]


def _asked(ask: Ask, arch: Architecture) -> Asked:
    return Asked(Proposal(ask.order, arch, ask.fidelity, ask.parent), bool(ask.extra["fresh"]))


def _refuse_gaps(asks: Sequence[Ask], known: dict[str, Architecture]) -> None:
    for expected, ask in enumerate(asks):
        if ask.order != expected or ask.arch not in known:
            raise RunError(
                f"The journal of this run has lost proposal {expected} ({len(asks)} are there).",
                remedy="See what gtn scores fsck says; start another run.name, and gtn scores merge the old rows.",
            )
