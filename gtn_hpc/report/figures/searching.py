"""How the search went, and what it found for which cost."""

import json
from collections.abc import Mapping
from typing import Literal

import altair as alt
import pandas as pd

from gtn_hpc.report.figures.ranking import architecture_tooltip
from gtn_hpc.report.figures.style import PALETTE, Chart, dashes, styled

By = Literal["evaluations", "seconds", "busy_seconds"]
Cost = Literal["params", "flops"]

TITLES: Mapping[str, str] = {
    "evaluations": "architectures scored",
    "seconds": "seconds since the first evaluation began",
    "busy_seconds": "seconds of evaluation, all workers together",
    "params": "parameters",
    "flops": "FLOPs of one image, forward",
}

COLOURED = 4
"""Lines that are told apart by colours."""

PERCENT = alt.Axis(format=".1%")
SHOWN = alt.Scale(zero=False)


def progress(frame: pd.DataFrame, by: By = "evaluations") -> Chart:
    """Best estimate so far over evaluations or seconds. Columns: evaluations, seconds, busy_seconds, best, run."""
    chart = (
        alt.Chart(frame)
        .mark_line(interpolate="step-after", strokeWidth=2.5, color=PALETTE["best"])
        .encode(
            x=alt.X(f"{by}:Q", title=TITLES[by]),
            y=alt.Y("best:Q", title="best accuracy so far", axis=PERCENT, scale=SHOWN),
            strokeDash=dashes(frame),
            tooltip=[
                alt.Tooltip(f"{by}:Q", format=",.4~r"),
                alt.Tooltip("best:Q", format=".2%"),
                alt.Tooltip("arch:N", title="architecture"),
            ],
        )
    )
    return styled(chart, height=240)


def comparison(frame: pd.DataFrame, cost: str, value: str) -> Chart:
    """Mean over seeds of what algorithms reach for a cost (logarithmic), with its interval.

    `cost` and `value` are the titles of the axes. Columns: algorithm, cost, mean, low, high (shares of one).
    """
    algorithms = list(frame["algorithm"].unique())
    base = alt.Chart(frame).encode(
        x=alt.X("cost:Q", title=cost, scale=alt.Scale(type="log", nice=False), axis=alt.Axis(format="~s")),
        color=alt.Color("algorithm:N", sort=algorithms),
        tooltip=[
            "algorithm:N",
            "cost:Q",
            *(alt.Tooltip(f"{name}:Q", format=".2%") for name in ("mean", "low", "high")),
        ],
    )
    y = alt.Y("mean:Q", title=value, axis=PERCENT, scale=SHOWN)
    band = base.mark_area(opacity=0.18, interpolate="step-after").encode(y=alt.Y("low:Q", title=value), y2="high:Q")
    return styled(band + base.mark_line(strokeWidth=2.5, interpolate="step-after").encode(y=y))


def pareto(frame: pd.DataFrame, cost: Cost = "params") -> Chart:
    """Accuracy against cost; those that none beats in both are joined.

    Columns: arch, estimate, params, flops, front (bool).
    """
    base = alt.Chart(frame).encode(
        x=alt.X(f"{cost}:Q", title=TITLES[cost], scale=alt.Scale(type="log", nice=False), axis=alt.Axis(format="~s")),
        y=alt.Y("estimate:Q", title="accuracy", axis=PERCENT, scale=SHOWN),
    )
    tooltip = architecture_tooltip("estimate")
    dots = base.mark_circle(size=34, opacity=0.55, color=PALETTE["faint"]).encode(tooltip=tooltip)
    front = base.transform_filter("datum.front")
    line = front.mark_line(color=PALETTE["best"], interpolate="step-after", strokeWidth=2).encode(
        strokeDash=dashes(frame)
    )
    winners = front.mark_circle(size=80, opacity=1, color=PALETTE["best"]).encode(tooltip=tooltip)
    return styled(dots + line + winners)


def training_curves(frame: pd.DataFrame) -> Chart:
    """Validation accuracy of each architecture during its training on real data: the best `COLOURED` by their highest
    point in colours of their own, the others faint. Columns: arch, step, val_accuracy."""
    ranked = frame.groupby("arch")["val_accuracy"].max().sort_values(ascending=False, kind="stable").index
    best = list(ranked[:COLOURED])
    base = alt.Chart(frame).encode(
        x=alt.X("step:Q", title="epoch", axis=alt.Axis(tickMinStep=1)),
        y=alt.Y("val_accuracy:Q", title="validation accuracy", axis=PERCENT, scale=SHOWN),
        tooltip=[
            alt.Tooltip("arch:N", title="architecture"),
            "step:Q",
            alt.Tooltip("val_accuracy:Q", format=".2%"),
        ],
    )
    place = f"indexof({json.dumps(best)}, datum.arch)"
    colour = alt.Color("arch:N", sort=best, scale=alt.Scale(domain=best), legend=alt.Legend(columns=2))
    front = base.transform_filter(f"{place} >= 0").mark_line(strokeWidth=2).encode(color=colour)
    if len(ranked) == len(best):
        return styled(front, height=240)
    others = base.transform_filter(f"{place} < 0").encode(detail="arch:N")
    return styled(others.mark_line(color=PALETTE["faint"], opacity=0.6, strokeWidth=1) + front, height=240)
