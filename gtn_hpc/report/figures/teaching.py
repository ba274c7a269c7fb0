"""How well the teacher teaches, and how it learned to."""

import altair as alt
import pandas as pd

from gtn_hpc.report.figures.style import PALETTE, PERCENT, Chart, colours, dashes, styled

SOURCES = {"teacher": "teacher", "real data": "real"}
"""Series of the learning curves and the roles of their colours."""

ACCURACY = alt.Axis(format=PERCENT)


def learning_curves(frame: pd.DataFrame) -> Chart:
    """Accuracy of fresh learners after each inner step: mean and interval, teacher against real data.

    Columns: step, source (teacher, real data), mean, low, high, and run where there are several.
    """
    base = alt.Chart(frame).encode(
        x=alt.X("step:Q", title="inner step", axis=alt.Axis(tickMinStep=1), scale=alt.Scale(nice=False)),
        color=alt.Color("source:N", scale=colours(SOURCES)),
        tooltip=[
            alt.Tooltip("source:N"),
            alt.Tooltip("step:Q"),
            alt.Tooltip("mean:Q", format=".2%"),
            alt.Tooltip("low:Q", format=".2%"),
            alt.Tooltip("high:Q", format=".2%"),
        ],
    )
    y = alt.Y("mean:Q", title="accuracy", axis=ACCURACY)
    detail = [alt.Detail("run:N")] if "run" in frame else []
    band = base.mark_area(opacity=0.22).encode(*detail, y=alt.Y("low:Q", title="accuracy", axis=ACCURACY), y2="high:Q")
    line = base.mark_line(strokeWidth=2.5).encode(y=y, strokeDash=dashes(frame))
    return styled(band + line + base.mark_circle(size=36).encode(y=y))


def meta_loss(frame: pd.DataFrame) -> Chart:
    """Real loss after the inner run over meta-iterations, faint, and its running mean. Columns: iteration, loss."""
    base = alt.Chart(frame).encode(x=alt.X("iteration:Q", title="meta-iteration"))
    scale = alt.Scale(type="log", nice=False)
    loss = alt.Y("loss:Q", title="meta-loss (nat)", scale=scale)
    each = base.mark_line(color=PALETTE["teacher"], opacity=0.35, strokeWidth=1).encode(
        y=loss, tooltip=["iteration:Q", alt.Tooltip("loss:Q", format=".4f")], strokeDash=dashes(frame)
    )
    group = ["run"] if "run" in frame else []
    smooth = (
        base.transform_window(mean="mean(loss)", frame=[-5, 5], groupby=group, sort=[alt.SortField("iteration")])
        .mark_line(color=PALETTE["teacher"], strokeWidth=2.5)
        .encode(y=alt.Y("mean:Q", scale=scale), strokeDash=dashes(frame))
    )
    return styled(each + smooth, height=220)


def meta_accuracy(frame: pd.DataFrame) -> Chart:
    """Validation accuracy of fresh learners during meta-training. Columns: iteration, accuracy, low, high."""
    base = alt.Chart(frame).encode(
        x=alt.X("iteration:Q", title="meta-iteration"),
        tooltip=["iteration:Q", alt.Tooltip("accuracy:Q", format=".2%"), alt.Tooltip("sd:Q", format=".2%")],
    )
    accuracy = alt.Y("accuracy:Q", title="accuracy", axis=ACCURACY, scale=alt.Scale(zero=False))
    line = base.mark_line(color=PALETTE["teacher"], strokeWidth=2.5, point=True).encode(
        y=accuracy, strokeDash=dashes(frame)
    )
    spread = base.mark_rule(color=PALETTE["teacher"], opacity=0.5).encode(
        y=alt.Y("low:Q", title="accuracy", axis=ACCURACY), y2="high:Q"
    )
    return styled(spread + line, height=220)
