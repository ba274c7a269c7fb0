"""How a search went on: best so far, and the architectures that no other beats in accuracy and cost."""

from typing import Literal

import numpy as np
import pandas as pd

from gtn_hpc.report.frames.estimates import estimates


def progress(scores: pd.DataFrame) -> pd.DataFrame:
    """Best estimate so far after each architecture scored at the highest fidelity, in the order in which they ended.

    Columns: evaluations (failed ones count), seconds (of wall time), busy_seconds (of all workers and fidelities),
    arch and best. Rows: where the best changes, and the last.
    """
    if scores.empty:
        return pd.DataFrame(columns=["evaluations", "seconds", "busy_seconds", "arch", "best"])
    ended = scores.sort_values("time")
    began = float((ended["time"] - ended["seconds"]).min())
    busy = ended["seconds"].cumsum()
    top = ended[ended["fidelity"] == ended["fidelity"].max()].drop_duplicates("arch", keep="last")
    value = top["arch"].map(estimates(scores)["estimate"])
    best = value.cummax().ffill()
    found = pd.DataFrame(
        {
            "evaluations": np.arange(1, len(top) + 1),
            "seconds": top["time"] - began,
            "busy_seconds": busy[top.index],
            "arch": top["arch"].where(value == best).ffill(),
            "best": best,
        }
    )
    turns = found["best"].diff().fillna(1) > 0
    turns.iloc[-1] = True
    return found[turns & found["best"].notna()].reset_index(drop=True)


def front(frame: pd.DataFrame, cost: Literal["params", "flops"]) -> pd.Series:
    """Whether no other architecture is at most as costly and better; of equals the first counts."""
    order = frame.sort_values([cost, "estimate"], ascending=[True, False], kind="stable")
    ahead = order["estimate"].cummax().shift(fill_value=-np.inf)
    return (order["estimate"] > ahead).reindex(frame.index)


def thinned(frame: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most about `most` rows besides those of the front, evenly from the whole."""
    step = max(1, -(-len(frame) // most))
    return frame[frame["front"] | (np.arange(len(frame)) % step == 0)]
