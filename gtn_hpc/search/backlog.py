"""Evaluations that are asked for and wait: longest first, and none that cannot end before the deadline."""

from bisect import bisect
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gtn_hpc.cluster.deadline import Deadline
from gtn_hpc.core.errors import Requeue, RunError
from gtn_hpc.core.records import Score
from gtn_hpc.scores.rows import CertificateRow
from gtn_hpc.search.costs import FIRST, WORK, Costs, Size
from gtn_hpc.spaces import Space
from gtn_hpc.training.request import Request

SAFETY = 1.25
"""How much longer than expected an evaluation may take."""

GROWTH = 1.1
"""How many more rows there have to be before the order is looked at again."""

TELLING = ("ok", "timeout")
"""Statuses of evaluations that took as long as their size makes them take."""


class Waiting(NamedTuple):
    """A request with what it is sorted by: how long it takes, and how many came before it, negative."""

    length: float
    place: int
    request: Request
    features: NDArray[np.float64]


class Backlog:
    """Requests of one kind. They are sorted by what the rows so far say of their time, before that by FLOPs x steps.

    Sorting changes who is evaluated when, and no score. What is added is put where it belongs; all lengths are
    predicted anew when a tenth was learnt. Cost of adding or taking one: a prediction and a move within a list.
    """

    def __init__(self, space: Space | None = None, deadline: Deadline | None = None) -> None:
        self.costs = Costs()
        self._space, self._deadline = space, deadline
        self._waiting: list[Waiting] = []  # the longest is the last
        self._features: NDArray[np.float64] | None = None  # theirs, once the longest does not end in time
        self._places = count(0, -1)
        self._begun = False
        self._again: float | None = None  # seconds that another start would have for tasks
        self._sorted_at = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, request: Request) -> None:
        waiting = self._entry(request)
        place = bisect(self._waiting, waiting)
        self._waiting.insert(place, waiting)
        if self._features is not None:
            self._features = np.insert(self._features, place, waiting.features, axis=0)

    def extend(self, requests: Iterable[Request]) -> None:
        """Adds many at once, which costs one sort."""
        self._waiting += map(self._entry, requests)
        self._waiting.sort()
        self._features = None

    def _entry(self, request: Request) -> Waiting:
        arch, space = request.arch, self._space
        params, flops = (0, 0) if space is None else (space.params(arch), space.flops(arch))
        features = Size(params, flops, request.fidelity).features
        return Waiting(float(self._lengths(features)), next(self._places), request, features)

    def take(self) -> Request | None:
        """The longest that ends before the deadline; None where none waits or none does."""
        if self._again is None and self._deadline is not None:
            self._again = self._deadline.again
        self._sort()
        place = self._first_fitting()
        if place is None:
            return None
        self._begun = True
        if self._features is not None:
            self._features = np.delete(self._features, place, axis=0)
        return self._waiting.pop(place).request

    @property
    def late(self) -> bool:
        """Whether nothing that waits would end before the deadline if it began now, as far as that can be known."""
        return self._first_fitting() is None

    def _first_fitting(self) -> int | None:
        """From the longest on."""
        if not self._waiting:
            return None
        if self._deadline is None or self._fitting(self._waiting[-1].features):
            return len(self._waiting) - 1
        fitting = np.flatnonzero(self._fitting(self._all_features()))
        return int(fitting[-1]) if len(fitting) else None

    def _fitting(self, features: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of those that have these features end before the deadline."""
        assert self._deadline is not None
        fitting: NDArray[np.bool_] = SAFETY * self._seconds(features) <= self._deadline.left
        return fitting

    def _all_features(self) -> NDArray[np.float64]:
        """Of all that wait, in their order; kept from one question to the next."""
        if self._features is None:
            self._features = np.array([waiting.features for waiting in self._waiting])
        return self._features

    def _sort(self) -> None:
        """Where much was learnt since the last time, or times are known now instead of work."""
        learnt = self.costs.count
        if learnt >= GROWTH * self._sorted_at + 1 or self._sorted_at < FIRST <= learnt:
            if self._waiting:
                lengths = self._lengths(np.array([waiting.features for waiting in self._waiting])).tolist()
                pairs = zip(self._waiting, lengths, strict=True)
                self._waiting = sorted(waiting._replace(length=length) for waiting, length in pairs)
            self._sorted_at, self._features = learnt, None

    def discard(self, done: Callable[[Request], bool]) -> None:
        """Drops what is `done`."""
        self._waiting = [waiting for waiting in self._waiting if not done(waiting.request)]
        self._features = None

    def rest(self) -> Iterator[Request]:
        """Takes one after the other."""
        while (request := self.take()) is not None:
            yield request

    def learn(self, row: Score | CertificateRow) -> None:
        """Takes what a row says of the time."""
        if row.status in TELLING:
            steps = row.fidelity if isinstance(row, Score) else row.steps
            self.costs.learn(Size(row.params, row.flops, steps), row.seconds)

    def require_begun(self, *others: "Backlog") -> None:
        """Where something was left for want of time, here or in `others`, which have the same deadline.

        Raises:
            RunError: no start has the time for it.
            Requeue: another start has.
        """
        waiting = [backlog for backlog in (self, *others) if backlog]
        if self._deadline is None or not waiting:
            return
        shortest, begun = min(backlog._shortest for backlog in waiting), any(one._begun for one in (self, *others))
        if not begun and self._again is not None and shortest > self._again:
            raise RunError(
                f"No evaluation would end in time: the shortest is expected to take up to {shortest:.0f} s, and a "
                f"start has {self._again:.0f} s for it.",
                remedy="Give it more time: run.deadline, or the job's --time.",
            )
        raise Requeue(
            f"The time left does not suffice for any of the {sum(map(len, waiting))} evaluations that wait.",
            remedy="Start it again: it goes on where it was.",
        )

    @property
    def _shortest(self) -> float:
        """Seconds that the shortest that waits may take."""
        return float(SAFETY * self._seconds(self._all_features()).min())

    def _seconds(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected, 0 while that cannot be known."""
        seconds = self.costs.seconds_of(features)
        return np.zeros(features.shape[:-1]) if seconds is None else seconds

    def _lengths(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds, or work while no time is known."""
        seconds = self.costs.seconds_of(features)
        return features[..., WORK] if seconds is None else seconds
