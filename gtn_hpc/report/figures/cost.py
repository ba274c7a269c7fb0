"""What it cost: who worked when, what took the time, and what failed."""

import altair as alt
import pandas as pd

from gtn_hpc.report.figures.style import PALETTE, Chart, colours, styled

WORK = {"scores": "teacher", "certificate": "real", "final": "best"}
"""Tables whose rows are work, and the roles of their colours."""

LINES = 60
"""Workers that a time line has room for."""


def utilisation(frame: pd.DataFrame) -> Chart:
    """Who worked when. Columns: worker, work (scores, certificate, final), start, end (seconds)."""
    chart = (
        alt.Chart(frame)
        .mark_bar(height=12)
        .encode(
            x=alt.X("start:Q", title="seconds since the first evaluation began"),
            x2="end:Q",
            y=alt.Y("worker:N", title=None),
            color=alt.Color("work:N", scale=colours(WORK), legend=alt.Legend(symbolType="square")),
            tooltip=["worker:N", "work:N", alt.Tooltip("start:Q", format=",.1f"), alt.Tooltip("end:Q", format=",.1f")],
        )
    )
    return styled(chart, height=40 + 18 * frame["worker"].nunique())


def failures(frame: pd.DataFrame) -> Chart:
    """How evaluations ended. Columns: work, status, rows."""
    chart = (
        alt.Chart(frame)
        .mark_bar(height=18)
        .encode(
            x=alt.X("rows:Q", title="evaluations", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("status:N", title=None, sort="-x"),
            color=alt.condition("datum.status == 'ok'", alt.value(PALETTE["best"]), alt.value(PALETTE["bad"])),
            tooltip=["status:N", "work:N", "rows:Q"],
        )
    )
    return styled(chart, height=30 + 30 * frame["status"].nunique())
