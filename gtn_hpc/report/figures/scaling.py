"""What a search would take on more nodes."""

import altair as alt
import pandas as pd

from gtn_hpc.report.figures.style import Chart, colours, styled

POOLS = {"mpi": "teacher", "shards": "real", "shared": "best"}
"""Pools, and the roles of their colours."""

ORDERS = "datum.label == 'asked' ? '\u2500 as asked' : '- - longest first'"
"""What the dashes mean, with the dashes."""


def scaling(frame: pd.DataFrame) -> Chart:
    """Time over nodes, both logarithmic, of jobs that are warned before their limit.

    Columns: nodes, pool, order, warning, seconds, efficiency (a fraction).
    """
    base = alt.Chart(frame).encode(
        x=alt.X("nodes:Q", title="nodes", scale=alt.Scale(type="log"), axis=alt.Axis(values=_marks(frame))),
        y=alt.Y("hours:Q", title="hours from the first start to the last end", scale=alt.Scale(type="log", nice=False)),
        color=alt.Color("pool:N", scale=colours(POOLS)),
        strokeDash=alt.StrokeDash("order:N", legend=alt.Legend(labelExpr=ORDERS)),
        tooltip=["pool:N", "order:N", "warning:N", "nodes:Q", alt.Tooltip("hours:Q", format=",.2f"), "efficiency:Q"],
    )
    timed = base.transform_filter("datum.warning != 'none'").transform_calculate(hours="datum.seconds / 3600")
    return styled(timed.mark_line(point=True))


def _marks(frame: pd.DataFrame) -> list[int]:
    return sorted(int(nodes) for nodes in frame["nodes"].unique())
