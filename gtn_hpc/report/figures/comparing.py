"""Teachers compared: by their curriculum, and by the learners that they meet."""

import altair as alt
import numpy as np
import pandas as pd

from gtn_hpc.report.figures.style import PALETTE, PERCENT, Chart, styled, together

ARMS = {
    "full": "teacher",
    "shuffled_batch": "best",
    "all_shuffled": "bad",
    "none": "faint",
    "real data (control)": "real",
}
OTHERS = ["#7a4fd0", "#b5892b", "#3f7f93"]
"""For curricula that the paper does not compare."""

CELL, MARGIN = 56, 190


def arms(curves: pd.DataFrame, table: pd.DataFrame, split: str) -> Chart:
    """Learning curves of each run and their means by arm, and accuracy at the end next to the paper's.

    `curves`: columns arm, run, step, accuracy; `table`: arm, mean, low, high, paper (empty where it has none), the best
    first.
    """
    order = list(table["arm"])
    return together(alt.hconcat(_curves(curves, order, split), _ends(table, order), spacing=30))


def _scale(order: list[str]) -> alt.Scale:
    """An arm has one colour in all figures."""
    others = iter(OTHERS * len(order))
    return alt.Scale(domain=order, range=[PALETTE[ARMS[arm]] if arm in ARMS else next(others) for arm in order])


def _curves(curves: pd.DataFrame, order: list[str], split: str) -> alt.LayerChart:
    base = alt.Chart(curves).encode(
        x=alt.X("step:Q", title="inner step", axis=alt.Axis(tickMinStep=1), scale=alt.Scale(nice=False)),
        color=alt.Color("arm:N", scale=_scale(order), legend=None),
        tooltip=["arm:N", "run:N", "step:Q", alt.Tooltip("accuracy:Q", format=".2%")],
    )
    y = alt.Y("accuracy:Q", title=f"accuracy on the {split} split", axis=alt.Axis(format=PERCENT))
    mean = alt.Y("mean(accuracy):Q", title=f"accuracy on the {split} split", axis=alt.Axis(format=PERCENT))
    each = base.mark_line(strokeWidth=1, opacity=0.45).encode(y=y, detail="run:N")
    thick = base.mark_line(strokeWidth=3, point=alt.OverlayMarkDef(size=36)).encode(
        y=mean, tooltip=["arm:N", "step:Q", alt.Tooltip("mean(accuracy):Q", format=".2%")]
    )
    return _panel(each + thick, "Never-seen learners while they are taught (thin: each run)")


def _panel(chart: alt.LayerChart, title: str) -> alt.LayerChart:
    return chart.properties(width=360, height=280, title=alt.TitleParams(title, frame="group", offset=14, fontSize=13))


def _ends(table: pd.DataFrame, order: list[str]) -> alt.LayerChart:
    title = "accuracy after the last step (95 % interval)"
    numbers = table[["mean", "low", "high", "paper"]].to_numpy(dtype=float)
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    room = 0.04 * (high - low) or 0.01
    x = alt.X(
        "mean:Q",
        title=title,
        axis=alt.Axis(format=PERCENT, grid=True),
        scale=alt.Scale(domain=[low - room, high + room], nice=False),
    )
    base = alt.Chart(table).encode(
        y=alt.Y("arm:N", sort=order, title=None), color=alt.Color("arm:N", scale=_scale(order), legend=None)
    )
    rule = base.mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q", title=title), x2="high:Q")
    dot = base.mark_circle(size=110, opacity=1).encode(x=x)
    paper = base.transform_filter("isValid(datum.paper)").mark_point(
        shape="diamond", size=110, strokeWidth=2, color=PALETTE["ink"]
    )
    return _panel(
        rule + dot + paper.encode(x="paper:Q", color=alt.value(PALETTE["ink"])),
        "At the end (diamond: the paper, on MNIST)",
    )


def transfer(frame: pd.DataFrame, split: str) -> Chart:
    """Heat map of accuracy: rows are what a teacher was taught on, columns who is judged.

    A frame marks families that the teacher knows, `worst` is the lowest of a row. Columns: taught_on, judged_on, mean,
    sd, known, worst.
    """
    shown = frame.assign(label=[_label(*row) for row in frame[["mean", "sd", "worst"]].itertuples(index=False)])
    columns, rows = list(dict.fromkeys(shown["judged_on"])), list(dict.fromkeys(shown["taught_on"]))
    base = alt.Chart(shown).encode(
        x=alt.X(
            "judged_on:N",
            sort=columns,
            title="learners that are judged",
            axis=alt.Axis(labelAngle=0, labelExpr="split(datum.label, ' ')", labelOverlap=False),
        ),
        y=alt.Y(
            "taught_on:N",
            sort=rows,
            title="teacher was taught on",
            axis=alt.Axis(labelLimit=MARGIN, labelExpr="split(datum.label, ' + ')"),
        ),
    )
    low, high = float(frame["mean"].min()), float(frame["mean"].max())
    middle = low + 0.6 * (high - low)
    boxes = base.mark_rect(stroke="white", strokeWidth=2).encode(
        color=alt.Color("mean:Q", scale=alt.Scale(scheme="blues", domain=[low - 0.1, high]),
                        legend=alt.Legend(format=".0%", orient="right", gradientLength=120))
    )  # fmt: skip
    known = base.transform_filter("datum.known").mark_rect(filled=False, stroke=PALETTE["real"], strokeWidth=2.5)
    text = base.mark_text(fontSize=12, lineBreak="|").encode(
        text="label:N", color=alt.condition(f"datum.mean > {middle}", alt.value("white"), alt.value(PALETTE["ink"]))
    )
    title = alt.TitleParams(
        f"Accuracy in % on the {split} split, \N{PLUS-MINUS SIGN} sd",
        subtitle="framed: a family that the teacher was taught on",
        offset=14,
    )
    return styled((boxes + known + text).properties(title=title), height=70 + CELL * len(rows))


def _label(mean: float, sd: float, worst: bool) -> str:
    spread = "" if pd.isna(sd) else f" \N{PLUS-MINUS SIGN} {100 * sd:.1f}"
    return f"{100 * mean:.1f}{spread}{'|worst' if worst else ''}"
