"""How fast evaluations go, and how long those that are left take, from the rows of those that have ended."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from gtn_hpc.core.records import plain

RECENT = 100
"""Evaluations by which the rate is judged."""

PAUSE = 20
"""How many times the usual wait between two rows a wait without work may last before it counts as a pause between two
starts."""


class Ended(NamedTuple):
    """When an evaluation ended (Unix time), and how long it took."""

    time: float
    seconds: float


@dataclass
class Kind:
    """Evaluations of one kind that have ended."""

    rows: int = 0
    seconds: float = 0.0


@dataclass
class Pace:
    """Takes evaluations of several kinds, which may take very different times."""

    ended: deque[Ended] = field(default_factory=lambda: deque(maxlen=10 * RECENT))
    kinds: dict[str, Kind] = field(default_factory=dict)

    def take(self, kind: str, row: Mapping[str, Any]) -> None:
        self.ended.append(Ended(row["time"], row["seconds"]))
        known = self.kinds.setdefault(kind, Kind())
        known.rows, known.seconds = known.rows + 1, known.seconds + row["seconds"]

    def summary(self, now: float, left: Mapping[str, int]) -> dict[str, Any]:
        """JSON-able: the rate and, where evaluations of some kinds are `left`, how long they take, with 95 % intervals.

        Each is taken to be as long as those of its kind on the mean. Where none of a kind has ended, what the others
        take is a lower bound, `seconds_left_at_least`.
        """
        from gtn_hpc.stats import rate

        recent, waiting = self._recent(), any(left.values())
        span = (now if waiting else recent[-1].time) - recent[0].time if recent else 0.0
        seen = rate(max(0, len(recent) - 1), span)
        told = {
            "per_minute": plain(60 * seen.value),
            "per_minute_interval": [plain(60 * seen.low), plain(60 * seen.high)],
        }
        if not waiting or not seen.value > 0:
            return told
        rows, unknown = self._as_recent(left, recent), any(left[kind] for kind in left.keys() - self.kinds)
        if not unknown:
            told["seconds_left"] = rows / seen.value
            told["seconds_left_interval"] = [rows / seen.high, plain(rows / seen.low) if seen.low else None]
        elif rows:
            told["seconds_left_at_least"] = rows / seen.value
        return told

    def _as_recent(self, left: Mapping[str, int], recent: list[Ended]) -> float:
        """How many evaluations as long as the recent ones are as much work as those that are `left`."""
        usual = sum(one.seconds for one in recent[1:]) / (len(recent) - 1)
        known = {kind: self.kinds[kind] for kind in left if kind in self.kinds}
        shares = {kind: one.seconds / one.rows / usual if usual else 1.0 for kind, one in known.items()}
        return sum(left[kind] * share for kind, share in shares.items())

    def _recent(self) -> list[Ended]:
        """The last rows, from the last pause on."""
        ended = sorted(self.ended)[-RECENT:]
        waits = [after.time - before.time for before, after in pairwise(ended)]
        longest = max(60.0, PAUSE * median(waits)) if waits else math.inf
        idle = [wait - after.seconds for wait, after in zip(waits, ended[1:], strict=True)]
        pauses = [place for place, wait in enumerate(idle, start=1) if wait > longest]
        return ended[pauses[-1] :] if pauses else ended
