"""How well the policies play that the teacher taught."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from gtn_hpc.report import figures
from gtn_hpc.report.blocks import Block, Table, figure
from gtn_hpc.report.evidence import Evidence
from gtn_hpc.report.frames import playing
from gtn_hpc.report.sections.absent import unjudged, untaught
from gtn_hpc.report.wording import NONE


def taught(evidence: Evidence) -> Iterator[Block]:
    """Returns of never-seen policies by arm, and how they rose during meta-training."""
    found = None if evidence.lessons is None else playing.returns(evidence.curriculum)
    if found is None:
        yield untaught(evidence, "No curriculum yet")
    elif found.empty:
        yield unjudged(evidence, "returns of policies")
    else:
        number, episodes = found["policies"].iloc[0], found["episodes"].iloc[0]
        policies = f"{number} never-seen {'policy' if number == 1 else 'policies'}"
        yield Table(
            f"Return of {policies}, mean of {episodes} episodes each: mean over policies, "
            "95 % interval (bootstrap), standard deviation, lowest.",
            ("", "steps", "mean", "interval", "sd", "lowest"),
            [_row(row) for row in found.to_dict("records")],
        )
    yield from _curve(evidence)


def _row(row: Mapping[Any, Any]) -> tuple[str, ...]:
    mean, low, high, sd, lowest = (_number(row[name]) for name in ("mean", "low", "high", "sd", "lowest"))
    interval = NONE if NONE in (low, high) else f"{low} to {high}"
    return (str(row["arm"]), str(row["horizon"]), mean, interval, sd, lowest)


def _number(value: float) -> str:
    """A dash where there is none, as for the spread of a single policy."""
    return NONE if math.isnan(value) else f"{value:.1f}"


def _curve(evidence: Evidence) -> Iterator[Block]:
    curve = playing.played(evidence.events)
    if len(curve) > 1:
        first, last = curve["mean_return"].iloc[0], curve["mean_return"].iloc[-1]
        yield figure(
            figures.meta_returns(curve),
            "Meta-training: return of never-seen policies, mean and standard deviation.",
            f"Return from {first:.0f} to {last:.0f} over {curve['iteration'].iloc[-1]} meta-iterations.",
        )
