"""Colours, type and files of all figures."""

from pathlib import Path
from typing import Any, Final

import altair as alt
import pandas as pd
import vl_convert

from gtn_hpc.core.atomic import replacing

PALETTE: Final = {
    "ink": "#1c2230",
    "muted": "#5c6676",
    "rule": "#dfe3ea",
    "teacher": "#2563d9",
    "real": "#d8690b",
    "best": "#0b8a6a",
    "faint": "#9aa5b8",
    "bad": "#c22f4f",
}
"""By role; a page may give the roles other colours. Blue and orange also differ for colour-blind readers."""

WIDTH, HEIGHT = 640, 300

PERCENT: Final = ".1~%"
"""Format of accuracies beside an axis: tenths where they are needed, so that no two read alike."""

Chart = alt.Chart | alt.LayerChart | alt.HConcatChart | alt.VConcatChart


def together(chart: alt.HConcatChart | alt.VConcatChart) -> Chart:
    """Charts beside or below each other, each of a size of its own, in our type and colours."""
    return chart.configure(**{name: value for name, value in _config().items() if name != "autosize"})


def styled(chart: alt.Chart | alt.LayerChart, height: int = HEIGHT) -> Chart:
    """The chart in our type and colours, as wide as its place."""
    return chart.properties(width="container", height=height).configure(**_config())


def _config() -> dict[str, Any]:
    text = {"labelColor": PALETTE["muted"], "titleColor": PALETTE["ink"]}
    stroke = {"symbolType": "stroke", "symbolStrokeWidth": 3, "symbolOpacity": 1}
    size = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 600}
    axis = {"gridColor": PALETTE["rule"], "domainColor": PALETTE["faint"], "tickColor": PALETTE["faint"]}
    return {
        "background": "transparent",
        "padding": {"left": 5, "top": 5, "right": 24, "bottom": 5},  # half of the last label of an axis
        "font": "system-ui, sans-serif",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "view": {"stroke": None},
        "axis": {**text, **size, **axis, "titlePadding": 8, "labelLimit": 160},
        "axisX": {"grid": False, "labelFlush": False, "labelOverlap": "greedy", "labelSeparation": 8},
        "legend": {
            **text,
            **size,
            "orient": "top",
            "title": None,
            **stroke,
            "labelLimit": 260,
        },
        "title": {"color": PALETTE["ink"], "subtitleColor": PALETTE["muted"], "anchor": "start", "fontSize": 14},
        "range": {"category": [PALETTE[name] for name in ("teacher", "real", "best", "bad", "faint")]},
    }


def colours(roles: dict[str, str]) -> alt.Scale:
    """Names of series to colours by role."""
    return alt.Scale(domain=list(roles), range=[PALETTE[role] for role in roles.values()])


def several(frame: pd.DataFrame) -> bool:
    """Whether the rows are those of more than one run."""
    return "run" in frame and frame["run"].nunique() > 1


def dashes(frame: pd.DataFrame) -> alt.StrokeDash | alt.StrokeDashValue:
    """A kind of line for each run, or solid ones where there is one run."""
    return alt.StrokeDash("run:N") if several(frame) else alt.StrokeDashValue([1, 0])


def specification(chart: Chart) -> dict[str, Any]:
    """The chart as Vega-Lite, also of more rows than the 5000 that Altair allows by itself."""
    with alt.data_transformers.disable_max_rows():
        found: dict[str, Any] = chart.to_dict()
    return found


def save(chart: Chart, stem: Path | str) -> tuple[Path, Path]:
    """Writes `<stem>.png` (two pixels a point) and `<stem>.svg`; needs no network and no browser."""
    single = isinstance(chart, alt.Chart | alt.LayerChart)
    spec = specification((chart.properties(width=WIDTH) if single else chart).configure_view(stroke=None))
    spec["background"] = "white"
    svg = vl_convert.vegalite_to_svg(spec)
    paths = (Path(f"{stem}.png"), Path(f"{stem}.svg"))
    for path, content in zip(paths, (vl_convert.svg_to_png(svg, scale=2), svg.encode()), strict=True):
        with replacing(path) as beside:
            beside.write_bytes(content)
    return paths
