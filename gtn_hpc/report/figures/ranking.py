"""Whether the teacher's estimates may be believed."""

import altair as alt
import pandas as pd

from gtn_hpc.report.figures.style import PALETTE, Chart, colours, several, styled

STATISTICS = {"Spearman": "teacher", "Kendall": "real"}
TITLE, SCALE = "rank correlation with the truth", alt.Scale(domain=[-1, 1])


def correlation(frame: pd.DataFrame) -> Chart:
    """Scatter of estimate against truth, both accuracies. Columns: arch, estimate, truth, params, flops, run."""
    percent = alt.Axis(format=".1%")
    chart = (
        alt.Chart(frame)
        .mark_circle(size=70, opacity=0.75)
        .encode(
            x=alt.X("estimate:Q", title="accuracy after the curriculum", axis=percent, scale=alt.Scale(zero=False)),
            y=alt.Y("truth:Q", title="accuracy on real data", axis=percent, scale=alt.Scale(zero=False)),
            color=alt.Color("run:N") if several(frame) else alt.value(PALETTE["teacher"]),
            tooltip=architecture_tooltip("estimate", "truth"),
        )
    )
    return styled(chart, height=340)


def architecture_tooltip(*accuracies: str) -> list[alt.Tooltip]:
    """The architecture's name first: the page shows its drawing by it."""
    return [
        alt.Tooltip("arch:N", title="architecture"),
        *(alt.Tooltip(f"{name}:Q", format=".2%") for name in accuracies),
        alt.Tooltip("params:Q", title="parameters", format=","),
        alt.Tooltip("flops:Q", title="FLOPs", format=".3s"),
    ]


def correlations(frame: pd.DataFrame) -> Chart:
    """Rank correlations with their intervals. Columns: name (of the predictor), statistic, value, low, high."""
    base = alt.Chart(frame).encode(
        y=alt.Y("name:N", title=None, sort=None),
        yOffset=alt.YOffset("statistic:N", sort=list(STATISTICS)),
        color=alt.Color("statistic:N", scale=colours(STATISTICS)),
        tooltip=[
            "name:N",
            "statistic:N",
            *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")),
        ],
    )
    rule = base.mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q", title=TITLE, scale=SCALE), x2="high:Q")
    zero = (
        alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=PALETTE["faint"], strokeDash=[3, 3]).encode(x="zero:Q")
    )
    return styled(
        zero + rule + base.mark_circle(size=80, opacity=1).encode(x=alt.X("value:Q", title=TITLE, scale=SCALE)),
        height=60 + 44 * frame["name"].nunique(),
    )
