"""Where a search stands: what was asked, what is known, what still has to run."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gtn_hpc.core.errors import RunError
from gtn_hpc.core.records import Score
from gtn_hpc.search.algorithm import Algorithm, Outcome, Proposal
from gtn_hpc.search.backlog import Backlog
from gtn_hpc.search.novelty import SpaceExhausted
from gtn_hpc.training.request import Identity, Request

PACE = 4
"""Proposals that one question for an evaluation draws at most, so that the first does not wait for all."""

PIECE = 1000
"""Proposals or outcomes that are written down at once: each time waits for the disk."""

Item = TypeVar("Item")


def pieces(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """In their order, as they are written down."""
    return (items[start : start + PIECE] for start in range(0, len(items), PIECE))


@dataclass(frozen=True)
class Asked:
    """A proposal as it was recorded, with the `fresh` that the algorithm was asked with."""

    proposal: Proposal
    fresh: bool


@dataclass(frozen=True)
class Told:
    """The algorithm was told the outcome of proposal `ask`."""

    ask: int


class Ledger(Protocol):
    """The manager's own record, durable when a method returns."""

    def asked(self, asked: Asked) -> None: ...

    def told(self, *outcomes: Outcome) -> None: ...


@dataclass(frozen=True)
class Terms:
    """`budget` distinct architectures, each scored by the mean of `replicas`."""

    budget: int
    replicas: int


def requests_of(proposals: Iterable[Proposal], replicas: int) -> list[Request]:
    """The evaluations of each proposal, one a replica."""
    return [
        Request(proposal.arch, proposal.fidelity, replica, parent=proposal.parent, ask=proposal.ask)
        for proposal in proposals
        for replica in range(replicas)
    ]


class Study:
    """Turns proposals into requests and scores into outcomes; what is known already is never asked for again.

    `algorithm` decides what is tried, `ledger` remembers it, `watch` is called
    with every outcome, and `stop` says when to propose nothing more. Of a patient algorithm, up to `ahead` evaluations
    are asked for before a worker is free, so that `backlog` can begin with the longest.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        identity: Identity,
        ledger: Ledger,
        terms: Terms,
        *,
        watch: Callable[[Outcome], None] = lambda _: None,
        stop: Callable[[], object] = lambda: False,
        backlog: Backlog | None = None,
        ahead: int = 0,
    ) -> None:
        self._algorithm, self._identity, self._ledger, self._terms = algorithm, identity, ledger, terms
        self._watch, self._stop = watch, stop
        self._known: dict[str, Score] = {}
        self._waiting: dict[str, list[Proposal]] = {}
        self._backlog = Backlog() if backlog is None else backlog
        self._ahead = ahead if algorithm.patient else 0
        self._exhausted: SpaceExhausted | None = None
        self._distinct: set[str] = set()
        self._asks = 0

    @property
    def patient(self) -> bool:
        """Whether evaluations may be asked for before a worker is free."""
        return self._ahead > 0

    @property
    def distinct(self) -> int:
        """Architectures proposed so far."""
        return len(self._distinct)

    def ask(self) -> Request | None:
        """The next evaluation, or None where there is none before another is told (or at all)."""
        asked = 0
        while not self._stop() and (not self._backlog or (asked < PACE and len(self._backlog) < self._ahead)):
            if not self._propose():
                break
            asked += 1
        return None if self._stop() else self._backlog.take()

    def _propose(self) -> bool:
        """Whether the algorithm proposed something. A space without more leaves longer trainings of what is known; it
        is told when all else is done."""
        fresh = self._exhausted is None and self.distinct < self._terms.budget
        try:
            proposal = self._algorithm.ask(self._asks, fresh=fresh)
        except SpaceExhausted as error:
            self._exhausted, fresh = error, False
            proposal = self._algorithm.ask(self._asks, fresh=False)
        if proposal is None:
            if self._exhausted and not self._waiting:
                raise self._exhausted
            return False
        self._ledger.asked(Asked(proposal, fresh))
        self._note(proposal)
        self._begin(proposal)
        return True

    def tell(self, score: Score) -> None:
        """Takes a score; a proposal whose replicas are all there is told to the algorithm."""
        self._known[score.key] = score
        self._backlog.learn(score)
        for proposal in self._waiting.pop(score.key, ()):
            if self._complete(proposal):
                self._settle(proposal)

    def replay(self, known: Iterable[Score], events: Iterable[Asked | Told]) -> None:
        """Brings the algorithm to where it stood, then takes up the proposals that were not told.

        A stop leaves them to the next start. Cost: one wait for the disk for each piece of those that are all scored.

        Raises:
            RunError: the record does not follow from this algorithm, seed and space.
        """
        for score in known:
            self._known[score.key] = score
            self._backlog.learn(score)
        unsettled: dict[int, Proposal] = {}
        for event in events:
            if isinstance(event, Asked):
                unsettled[event.proposal.ask] = self._ask_again(event)
            elif event.ask in unsettled and self._complete(unsettled[event.ask]):
                self._algorithm.tell(self._outcome(unsettled.pop(event.ask)))
        scored = {ask: proposal for ask, proposal in unsettled.items() if self._complete(proposal)}
        for piece in pieces(list(scored.values())):
            if self._stop():
                return
            self._settle(*piece)
        for ask, proposal in unsettled.items():
            if ask not in scored:
                self._begin(proposal)

    def _ask_again(self, event: Asked) -> Proposal:
        proposal = self._algorithm.ask(event.proposal.ask, fresh=event.fresh)
        if proposal != event.proposal:
            raise RunError(
                f"Proposal {event.proposal.ask} of this run was {event.proposal.arch.to_json()}; the same question now "
                f"gives {None if proposal is None else proposal.arch.to_json()}.",
                remedy="Go on with the version that began the run and, of a list, with the file search.algorithm.path "
                "as it was (lines may be added at its end), or give this search another run.name.",
            )
        self._note(proposal)
        return proposal

    def _note(self, proposal: Proposal) -> None:
        self._asks = proposal.ask + 1
        self._distinct.add(proposal.arch.digest)

    def _begin(self, proposal: Proposal) -> None:
        missing = [r for r in self._requests(proposal) if self._identity.key(r) not in self._known]
        for request in missing:
            waiting = self._waiting.setdefault(self._identity.key(request), [])
            if not waiting:
                self._backlog.add(request)
            waiting.append(proposal)
        if not missing:
            self._settle(proposal)

    def _settle(self, *proposals: Proposal) -> None:
        outcomes = [self._outcome(proposal) for proposal in proposals]
        self._ledger.told(*outcomes)
        for outcome in outcomes:
            self._algorithm.tell(outcome)
            self._watch(outcome)

    def _requests(self, proposal: Proposal) -> list[Request]:
        return requests_of([proposal], self._terms.replicas)

    def _complete(self, proposal: Proposal) -> bool:
        return all(self._identity.key(request) in self._known for request in self._requests(proposal))

    def _outcome(self, proposal: Proposal) -> Outcome:
        return Outcome(proposal, tuple(self._known[self._identity.key(r)] for r in self._requests(proposal)))
