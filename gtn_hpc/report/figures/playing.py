"""How well taught policies play."""

import altair as alt
import pandas as pd

from gtn_hpc.report.figures.style import PALETTE, Chart, dashes, styled


def meta_returns(frame: pd.DataFrame) -> Chart:
    """Return of never-seen policies during meta-training. Columns: iteration, mean_return, low, high, sd (and run)."""
    base = alt.Chart(frame).encode(
        x=alt.X("iteration:Q", title="meta-iteration"),
        tooltip=["iteration:Q", alt.Tooltip("mean_return:Q", format=".1f"), alt.Tooltip("sd:Q", format=".1f")],
    )
    mean = alt.Y("mean_return:Q", title="return of never-seen policies")
    detail = [alt.Detail("run:N")] if "run" in frame else []
    line = base.mark_line(color=PALETTE["teacher"], strokeWidth=2.5, point=True).encode(
        y=mean, strokeDash=dashes(frame)
    )
    spread = base.mark_area(color=PALETTE["teacher"], opacity=0.18).encode(
        *detail, y=alt.Y("low:Q", title="return of never-seen policies"), y2="high:Q"
    )
    return styled(spread + line, height=220)
