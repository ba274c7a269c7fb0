"""How a search goes, from its rows alone."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from gtn_hpc.cli import console
from gtn_hpc.cli.pace import Pace

if TYPE_CHECKING:
    from gtn_hpc.config import Config

SCORE = "score"
"""The kind of an evaluation that the search itself asks for; others are named by the source of the certificate."""


@dataclass
class Rank:
    """What one worker has done."""

    rows: int = 0
    seconds: float = 0.0
    host: str = ""
    last: float = 0.0


TOLD, UNTOLD = 0, 1


class Place(NamedTuple):
    """Of an architecture, the best first, as `gtn search` names them; `steps` and `value` are negative."""

    kind: int
    steps: int
    value: float
    arch: str


@dataclass
class Scored:
    """Takes scores, trainings of the certificate, and tells row by row, each key once.

    `told` is by proposal: the architecture and its estimate; `trained` by key: source, architecture and replica; `best`
    sorts first of all that was told, at the most steps, or of single scores while nothing was.
    """

    statuses: dict[str, str] = field(default_factory=dict)
    archs: set[str] = field(default_factory=set)
    best: Place | None = None
    ranks: dict[int, Rank] = field(default_factory=dict)
    told: dict[int, tuple[str, float]] = field(default_factory=dict)
    trained: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)

    def take(self, row: dict[str, Any]) -> None:
        match row["kind"]:
            case "score" if row["key"] not in self.statuses:
                self._score(row)
            case "certificate" if row["key"] not in self.trained:
                self.trained[row["key"]] = (row["source"], row["arch"], row["replica"])
                self.pace.take(row["source"], row)
            case "tell":
                value = float("-inf" if row["value"] is None else row["value"])
                self.told[row["ask"]] = (row["arch"], value)
                if math.isfinite(value):
                    self._place(Place(TOLD, -row["fidelity"], -value, row["arch"]))

    def _score(self, row: dict[str, Any]) -> None:
        self.statuses[row["key"]] = row["status"]
        self.archs.add(row["arch"])
        self.pace.take(SCORE, row)
        rank = self.ranks.setdefault(row["rank"], Rank())
        rank.rows, rank.seconds, rank.host = rank.rows + 1, rank.seconds + row["seconds"], row["host"]
        rank.last = max(rank.last, row["time"])
        if row["status"] == "ok":
            self._place(Place(UNTOLD, 0, -row["val_accuracy"], row["arch"]))

    def _place(self, place: Place) -> None:
        self.best = place if self.best is None else min(self.best, place)

    def certificate_left(self, config: "Config", budget: int) -> dict[str, int]:
        """Trainings of the certificate that a search of `budget` architectures has still to do, by source."""
        from gtn_hpc.search.sample import outstanding

        return outstanding(config, budget, self.told, self.trained.values())

    def summary(
        self, now: float, planned: int | None, certificate_left: Mapping[str, int] = {}, *, running: bool = True
    ) -> dict[str, Any]:
        """JSON-able; `planned` scores in all and `certificate_left` give the time left while the search is `running`,
        with its 95 % interval, None where it is not known."""
        left = {SCORE: 0 if planned is None else max(0, planned - len(self.statuses)), **certificate_left}
        told: dict[str, Any] = {
            "architectures": len(self.archs),
            "rows": len(self.statuses),
            "planned": planned,
            "statuses": dict(Counter(self.statuses.values())),
            "best": self.best and -self.best.value,
            "best_arch": self.best and self.best.arch,
            "certificate": len(self.trained),
            "certificate_left": dict(certificate_left),
        }
        return told | self.pace.summary(now, left if running else {}) | self._slowest(now)

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


def planned(config: "Config", budget: int) -> int | None:
    """Scores that a `budget` asks for; None for successive halving, whose promotions are not known beforehand."""
    return None if config.search.algorithm.name == "halving" else budget * config.search.replicas


def time_left(found: Mapping[str, Any]) -> str:
    """In words, of a `summary`: a lower bound where trainings are left of a kind of which none has ended."""
    if "seconds_left" in found:
        return f"{console.duration(found['seconds_left'])} left"
    if "seconds_left_at_least" in found:
        return f"at least {console.duration(found['seconds_left_at_least'])} left"
    return "time left unknown"
