"""Evaluations that are asked for and wait: longest first, and none that cannot end before the deadline."""

from collections.abc import Iterator

from gtn_hpc.cluster.deadline import Deadline
from gtn_hpc.core.errors import Requeue, RunError
from gtn_hpc.core.records import Score
from gtn_hpc.scores.rows import CertificateRow
from gtn_hpc.search.costs import Costs, Size
from gtn_hpc.spaces import Space
from gtn_hpc.training.request import Request

SAFETY = 1.25
"""How much longer than expected an evaluation may take."""

GROWTH = 1.1
"""How many more rows there have to be before the order is looked at again."""

TELLING = ("ok", "timeout")
"""Statuses of evaluations that took as long as their size makes them take."""


class Backlog:
    """Requests of one kind. They are sorted by what the rows so far say of their time, before that by FLOPs x steps.

    Sorting changes who is evaluated when, and no score. It is done anew when something is added or a tenth was learnt.
    """

    def __init__(self, space: Space | None = None, deadline: Deadline | None = None) -> None:
        self.costs = Costs()
        self._space, self._deadline = space, deadline
        self._waiting: list[tuple[Request, Size]] = []
        self._begun = False
        self._sorted_at: int | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, request: Request) -> None:
        arch, space = request.arch, self._space
        params, flops = (0, 0) if space is None else (space.params(arch), space.flops(arch))
        self._waiting.append((request, Size(params, flops, request.fidelity)))
        self._sorted_at = None

    def take(self) -> Request | None:
        """The longest that ends before the deadline; None where none waits or none does."""
        self._sort()
        place = self._first_fitting()
        if place is None:
            return None
        self._begun = True
        return self._waiting.pop(place)[0]

    @property
    def late(self) -> bool:
        """Whether nothing that waits would end before the deadline if it began now, as far as that can be known."""
        return self._first_fitting() is None

    def _first_fitting(self) -> int | None:
        return next((place for place, (_, size) in enumerate(self._waiting) if self._fits(size)), None)

    def _sort(self) -> None:
        """Where something new waits, or much was learnt since the last time."""
        if self._sorted_at is None or self.costs.count >= GROWTH * self._sorted_at + 1:
            self._waiting.sort(key=lambda entry: self._length(entry[1]), reverse=True)
            self._sorted_at = self.costs.count

    def rest(self) -> Iterator[Request]:
        """Takes one after the other."""
        while (request := self.take()) is not None:
            yield request

    def learn(self, row: Score | CertificateRow) -> None:
        """Takes what a row says of the time."""
        if row.status in TELLING:
            steps = row.fidelity if isinstance(row, Score) else row.steps
            self.costs.learn(Size(row.params, row.flops, steps), row.seconds)

    def _fits(self, size: Size) -> bool:
        return self._deadline is None or SAFETY * (self.costs.seconds(size) or 0.0) <= self._deadline.left

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
        if not begun and self._deadline.whole is not None and shortest > self._deadline.whole:
            raise RunError(
                f"No evaluation would end in time: the shortest is expected to take up to {shortest:.0f} s, and a "
                f"start has {self._deadline.whole:.0f} s.",
                remedy="Give it more time: run.deadline, or the job's --time.",
            )
        raise Requeue(
            f"The time left does not suffice for any of the {sum(map(len, waiting))} evaluations that wait.",
            remedy="Start it again: it goes on where it was.",
        )

    @property
    def _shortest(self) -> float:
        """Seconds that the shortest that waits may take."""
        return SAFETY * min(self.costs.seconds(size) or 0.0 for _, size in self._waiting)

    def _length(self, size: Size) -> float:
        seconds = self.costs.seconds(size)
        return size.work if seconds is None else seconds
