"""How well the policies play that the teacher taught."""

from collections.abc import Iterator, Mapping
from typing import Any

from gtn_hpc.report import figures
from gtn_hpc.report.blocks import Block, Missing, Table, figure
from gtn_hpc.report.evidence import Evidence
from gtn_hpc.report.frames import playing


def taught(evidence: Evidence) -> Iterator[Block]:
    """Returns of never-seen policies by arm, and how they rose during meta-training."""
    found = None if evidence.lessons is None else playing.returns(evidence.curriculum)
    if found is None:
        yield Missing("No curriculum yet", evidence.command("gtn train RUN"))
    elif found.empty:
        yield Missing("The curriculum was not evaluated", evidence.command("gtn evaluate RUN"))
    else:
        policies, episodes = found["policies"].iloc[0], found["episodes"].iloc[0]
        yield Table(
            f"Return of {policies} never-seen policies, mean of {episodes} episodes each: mean over policies, "
            "95 % interval (bootstrap), standard deviation, lowest.",
            ("", "steps", "mean", "interval", "sd", "lowest"),
            [_row(row) for row in found.to_dict("records")],
        )
    yield from _curve(evidence)


def _row(row: Mapping[Any, Any]) -> tuple[str, ...]:
    low, high = f"{row['low']:.1f}", f"{row['high']:.1f}"
    numbers = (f"{row[name]:.1f}" for name in ("sd", "lowest"))
    return (str(row["arm"]), str(row["horizon"]), f"{row['mean']:.1f}", f"{low} to {high}", *numbers)


def _curve(evidence: Evidence) -> Iterator[Block]:
    curve = playing.played(evidence.events)
    if len(curve) > 1:
        first, last = curve["mean_return"].iloc[0], curve["mean_return"].iloc[-1]
        yield figure(
            figures.meta_returns(curve),
            "Meta-training: return of never-seen policies, mean and standard deviation.",
            f"Return from {first:.0f} to {last:.0f} over {curve['iteration'].iloc[-1]} meta-iterations.",
        )
