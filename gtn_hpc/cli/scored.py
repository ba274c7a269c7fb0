"""How a search goes, from its rows alone."""

import math
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

from gtn_hpc.core.records import plain

RECENT = 100
"""Evaluations by which the rate is judged."""

PAUSE = 20
"""How many times the usual wait between two rows may last before it counts as a pause between two starts."""


@dataclass
class Rank:
    """What one worker has done."""

    rows: int = 0
    seconds: float = 0.0
    host: str = ""
    last: float = 0.0


@dataclass
class Scored:
    """Takes scores row by row, each key once."""

    statuses: dict[str, str] = field(default_factory=dict)
    archs: set[str] = field(default_factory=set)
    best: float = 0.0
    best_arch: str = ""
    times: deque[float] = field(default_factory=lambda: deque(maxlen=10 * RECENT))
    ranks: dict[int, Rank] = field(default_factory=dict)

    def take(self, row: dict[str, Any]) -> None:
        if row["key"] in self.statuses:
            return
        self.statuses[row["key"]] = row["status"]
        self.archs.add(row["arch"])
        self.times.append(row["time"])
        rank = self.ranks.setdefault(row["rank"], Rank())
        rank.rows, rank.seconds, rank.host = rank.rows + 1, rank.seconds + row["seconds"], row["host"]
        rank.last = max(rank.last, row["time"])
        if row["status"] == "ok" and row["val_accuracy"] > self.best:
            self.best, self.best_arch = row["val_accuracy"], row["arch"]

    def summary(self, now: float, planned: int | None) -> dict[str, Any]:
        """JSON-able; `planned` rows in all give the time left with its 95 % interval, None where it is not known."""
        told: dict[str, Any] = {
            "architectures": len(self.archs),
            "rows": len(self.statuses),
            "planned": planned,
            "statuses": dict(Counter(self.statuses.values())),
            "best": self.best,
            "best_arch": self.best_arch,
        }
        return told | self._pace(now, planned) | self._slowest(now)

    def _pace(self, now: float, planned: int | None) -> dict[str, Any]:
        from gtn_hpc.stats import rate

        left = 0 if planned is None else max(0, planned - len(self.statuses))
        recent = self._recent()
        seen = rate(max(0, len(recent) - 1), (now if left else recent[-1]) - recent[0] if recent else 0.0)
        told = {
            "per_minute": plain(60 * seen.value),
            "per_minute_interval": [plain(60 * seen.low), plain(60 * seen.high)],
        }
        if left and seen.value > 0:
            told["seconds_left"] = left / seen.value
            told["seconds_left_interval"] = [left / seen.high, plain(left / seen.low) if seen.low else None]
        return told

    def _recent(self) -> list[float]:
        """The times of the last rows, from the last pause on."""
        times = sorted(self.times)[-RECENT:]
        waits = [after - before for before, after in pairwise(times)]
        longest = max(60.0, PAUSE * median(waits)) if waits else math.inf
        pauses = [place for place, wait in enumerate(waits, start=1) if wait > longest]
        return times[pauses[-1] :] if pauses else times

    def _slowest(self, now: float) -> dict[str, Any]:
        """The worker whose evaluations take longest on the mean, of several."""
        if len(self.ranks) < 2:
            return {}
        number, rank = max(self.ranks.items(), key=lambda item: item[1].seconds / item[1].rows)
        others = [other.seconds / other.rows for name, other in self.ranks.items() if name != number]
        mean = rank.seconds / rank.rows
        return {
            "slowest_rank": {
                "rank": number,
                "host": rank.host,
                "rows": rank.rows,
                "mean_seconds": mean,
                "median_of_others": median(others),
                "seconds_since_last": now - rank.last,
            }
        }
