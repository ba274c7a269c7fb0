"""From how many real steps on real data rank as well as the teacher."""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from gtn_hpc.report.figures.style import PALETTE, Chart, colours, together

SOURCES = {"teacher": "teacher", "real data": "real", "real data, a training of its own": "best"}
AXES = {
    "steps": "training steps of one architecture",
    "seconds": "seconds of one architecture (ring: with its share of meta-training)",
}
SIZE = {"width": 400, "height": 260}
TITLE = "Spearman's correlation with the truth"


@dataclass(frozen=True, eq=False)
class Swept:
    """A run to be shown: its title, its `truth`, a table (columns ranked_by, steps, seconds, seconds_with_teaching,
    value, low, high) and where real data meet the teacher (columns axis, value, low, high; infinite: never)."""

    title: str
    truth: str
    table: pd.DataFrame
    crossing: pd.DataFrame


def equivalence(runs: Sequence[Swept]) -> Chart:
    """Correlation over steps and over seconds, a pair of charts for each run, and where real data meet the teacher."""
    return together(alt.vconcat(*map(_pair, runs), spacing=30))


def _pair(run: Swept) -> alt.HConcatChart:
    title = alt.TitleParams(run.title, subtitle=f"truth: {run.truth}", offset=12)
    return alt.hconcat(*(_panel(run.table, run.crossing, axis) for axis in AXES), spacing=40, title=title)


def _panel(table: pd.DataFrame, crossing: pd.DataFrame, axis: str) -> alt.LayerChart | alt.FacetChart:
    frame = table.dropna(subset=["value"]).assign(cost=table[axis])
    x = alt.X("cost:Q", title=AXES[axis], scale=alt.Scale(type="log", nice=False, padding=14), axis=_ticks())
    base = alt.Chart(frame).encode(
        x=x,
        color=alt.Color("ranked_by:N", scale=colours(SOURCES)),
        tooltip=[
            "ranked_by:N",
            "steps:Q",
            *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")),
        ],
    )
    y = alt.Y("value:Q", title=TITLE, scale=alt.Scale(zero=False))
    low, high = alt.Y("low:Q", title=TITLE), alt.Y2("high:Q")
    swept = base.transform_filter("datum.ranked_by == 'real data'")
    alone = base.transform_filter("datum.ranked_by != 'real data'")
    layers = [
        *_crossing(crossing[crossing["axis"] == axis], frame),
        swept.mark_area(opacity=0.2).encode(y=low, y2=high),
        swept.mark_line(strokeWidth=2.5, point=alt.OverlayMarkDef(size=40)).encode(y=y),
        alone.mark_rule(strokeWidth=2.5).encode(y=low, y2=high),
        alone.mark_circle(size=110, opacity=1).encode(y=y),
    ]
    layers += [_with_teaching(frame)] if axis == "seconds" else []
    return alt.layer(*layers).properties(**SIZE)


def _ticks() -> alt.Axis:
    return alt.Axis(format=",~r", labelOverlap="greedy")


def _crossing(crossing: pd.DataFrame, frame: pd.DataFrame) -> list[alt.Chart]:
    """The teacher's level, and where real data meet it with the interval; an infinite end goes to the last step."""
    teacher = frame[frame["ranked_by"] == "teacher"]
    level = alt.Chart(teacher).mark_rule(color=PALETTE["teacher"], strokeDash=[4, 4], opacity=0.8).encode(y="value:Q")
    real = frame.loc[frame["ranked_by"] == "real data", "cost"]
    inside = crossing.assign(low=crossing["low"].clip(upper=real.max()), high=crossing["high"].clip(upper=real.max()))
    band = alt.Chart(inside.dropna()).mark_rect(color=PALETTE["faint"], opacity=0.18).encode(x="low:Q", x2="high:Q")
    met = crossing[crossing["value"] <= real.max()].assign(label=crossing.apply(_label, axis=1))
    line = alt.Chart(met).mark_rule(color=PALETTE["muted"], strokeWidth=1.5).encode(x="value:Q")
    late = met["value"].gt(real.min() ** 0.5 * real.max() ** 0.5).any()
    side = {"align": "right", "dx": -5} if late else {"align": "left", "dx": 5}
    text = line.mark_text(**side, baseline="bottom", color=PALETTE["ink"], fontSize=12, fontWeight=600)
    return [band, level, line, text.encode(text="label:N", y=alt.value(SIZE["height"] - 4))]


def _label(row: "pd.Series[float]") -> str:
    """Value and interval."""
    high = f"{row['high']:.3g}" if row["high"] < float("inf") else "never"
    return f"{row['value']:.3g} [{row['low']:.3g}, {high}]"


def _with_teaching(frame: pd.DataFrame) -> alt.Chart:
    ring = alt.Chart(frame[frame["ranked_by"] == "teacher"].dropna(subset=["seconds_with_teaching"]))
    return ring.mark_point(size=130, color=PALETTE["teacher"], strokeWidth=2.5).encode(
        x="seconds_with_teaching:Q", y="value:Q"
    )
