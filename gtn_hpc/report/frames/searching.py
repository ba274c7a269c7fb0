"""How a search went on: best so far, and the architectures that no other beats in accuracy and cost."""

from typing import Literal

import numpy as np
import pandas as pd

from gtn_hpc.report.frames.estimates import estimates, top_fidelity


def progress(scores: pd.DataFrame) -> pd.DataFrame:
    """Best estimate at the top fidelity so far, in the order in which evaluations ended.

    Columns: evaluations (architectures of which an evaluation of any fidelity has ended, well or not), seconds (of
    wall time), busy_seconds (of all workers and fidelities), arch (the first that had the best estimate) and best.
    Rows: where the best rises, and the end of the search.
    """
    if scores.empty:
        return pd.DataFrame(columns=["evaluations", "seconds", "busy_seconds", "arch", "best"])
    ended = scores.sort_values("time")
    top = ended[ended["fidelity"] == top_fidelity(ended)].drop_duplicates("arch", keep="last")
    value = top["arch"].map(estimates(scores)["estimate"]).reindex(ended.index)
    best = value.cummax().ffill()
    rises = best.notna() & ~(best <= best.shift())
    found = pd.DataFrame(
        {
            "evaluations": (~ended["arch"].duplicated()).cumsum(),
            "seconds": ended["time"] - (ended["time"] - ended["seconds"]).min(),
            "busy_seconds": ended["seconds"].cumsum(),
            "arch": ended["arch"].where(rises).ffill(),
            "best": best,
        }
    )
    rises.iloc[-1] = True
    return found[rises & best.notna()].reset_index(drop=True)


def front(frame: pd.DataFrame, cost: Literal["params", "flops"]) -> pd.Series:
    """Whether no other architecture is at most as costly and better; of equals the first counts."""
    order = frame.sort_values([cost, "estimate"], ascending=[True, False], kind="stable")
    ahead = order["estimate"].cummax().shift(fill_value=-np.inf)
    return (order["estimate"] > ahead).reindex(frame.index)


def thinned(frame: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most about `most` rows besides those of the front, evenly from the whole."""
    step = max(1, -(-len(frame) // most))
    return frame[frame["front"] | (np.arange(len(frame)) % step == 0)]
