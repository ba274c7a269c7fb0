"""The paper's table as a figure: test error with its spread, and the other columns as text."""

from typing import Any

import altair as alt
import pandas as pd

from gtn_hpc.report.figures.style import PALETTE, Chart, together
from gtn_hpc.report.frames import records
from gtn_hpc.report.wording import NONE, plural, short

SOURCES = {"measured": "teacher", "published": "faint"}
ROW = 34
WIDTHS = {"F": 34, "parameters": 84, "searching": 104, "training": 104}


def table1(frame: pd.DataFrame) -> Chart:
    """Columns: source, method, data, filters, error, sd, runs, params, searching_hours, training_hours, unit."""
    shown = frame.assign(
        row=range(len(frame)),
        label=[_name(row) for row in records(frame)],
        low=frame["error"] - frame["sd"],
        high=frame["error"] + frame["sd"],
    )
    texts = pd.DataFrame(
        {
            "row": shown["row"],
            "F": [NONE if pd.isna(value) else f"{value:.0f}" for value in frame["filters"]],
            "parameters": [NONE if pd.isna(value) else short(value) for value in frame["params"]],
            "searching": [_time(*pair) for pair in zip(frame["searching_hours"], frame["unit"], strict=True)],
            "training": [_time(*pair) for pair in zip(frame["training_hours"], frame["unit"], strict=True)],
        }
    )
    columns = [_column(texts, name, width) for name, width in WIDTHS.items()]
    return together(alt.hconcat(_errors(shown), *columns, spacing=6).resolve_scale(y="shared"))


def _errors(shown: pd.DataFrame) -> alt.LayerChart:
    """Rows by their place, so that equal names stay apart."""
    names = f"{shown['label'].tolist()}[datum.value]"
    axis = alt.Axis(
        labelExpr=names,
        labelLimit=330,
        title=None,
        ticks=False,
        domain=False,
        labelColor=PALETTE["ink"],
        values=shown["row"].tolist(),
    )
    height = ROW * len(shown)
    base = alt.Chart(shown).encode(
        y=alt.Y("row:O", axis=axis),
        color=alt.Color(
            "source:N", scale=alt.Scale(domain=list(SOURCES), range=[PALETTE[role] for role in SOURCES.values()])
        ),
    )
    x = alt.X(
        "error:Q",
        title="test error (mean and sd over runs)",
        axis=alt.Axis(format=".1%", grid=True),
        scale=alt.Scale(zero=True),
    )
    rule = base.mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q", title=""), x2="high:Q")
    text = (
        base.transform_filter("isValid(datum.error)")
        .transform_calculate(
            told="format(100 * datum.error, '.2f') + (isValid(datum.sd) ? ' ± ' + format(100 * datum.sd, '.2f') : '')"
        )
        .mark_text(align="left", dx=9, dy=-9, fontSize=11)
        .encode(x=x, text="told:N", color=alt.value(PALETTE["ink"]))
    )
    return (rule + base.mark_circle(size=110, opacity=1).encode(x=x) + text).properties(width=300, height=height)


def _column(texts: pd.DataFrame, name: str, width: int) -> alt.Chart:
    return (
        alt.Chart(texts, title=alt.TitleParams(name, fontSize=12, anchor="middle"))
        .mark_text(fontSize=12, color=PALETTE["ink"])
        .encode(y=alt.Y("row:O", axis=None), x=alt.value(width / 2), text=f"{name}:N")
        .properties(width=width, height=ROW * len(texts))
    )


def _name(row: dict[str, Any]) -> str:
    """Method, images, runs."""
    runs = "published" if row["source"] == "published" else plural(row["runs"], "run")
    return f"{row['method']} ({row['data']}, {runs})"


def _time(hours: float, unit: str) -> str:
    """GPU-days, or core-hours."""
    if pd.isna(hours):
        return NONE
    return f"{hours / 24:.2g} GPU-days" if unit == "GPU" else f"{hours:.2g} core-hours"
