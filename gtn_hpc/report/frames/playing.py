"""What a run that teaches policies says of their returns."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gtn_hpc import stats, storage
from gtn_hpc.curriculum.parts import SCHEMA

ARMS = {"taught": "{steps} by the teacher", "untaught": "no step", "untrained": "{steps} by a random teacher"}
"""Columns `returns_*` of the group evaluation, and their names for readers."""

COLUMNS = ["horizon", "arm", "mean", "low", "high", "sd", "lowest", "policies", "episodes"]


def returns(path: Path) -> pd.DataFrame:
    """By horizon (steps) and arm: mean return over policies with its 95 % bootstrap interval, sd and lowest policy.

    No rows where no policy was judged. Errors: StorageError.
    """
    with storage.open_file(path, SCHEMA) as file:
        told = file.read("evaluation") if "evaluation" in file.groups else {}
        horizons = np.atleast_1d(file.attributes.get("horizons", ()))
        steps = "one step" if file.rows("/") == 1 else f"{file.rows('/')} steps"
    rows = [
        {"horizon": int(horizon), "arm": name.format(steps=steps)} | _arm(told[f"returns_{arm}"][:, index])
        for arm, name in ARMS.items()
        for index, horizon in enumerate(horizons)
        if f"returns_{arm}" in told
    ]
    return pd.DataFrame(rows, columns=COLUMNS).sort_values("horizon", kind="stable", ignore_index=True)


def _arm(sums: Any) -> dict[str, Any]:
    """Of returns [policies, episodes]."""
    each = sums.mean(axis=1)
    found = stats.mean(each, method="percentile", rng=np.random.default_rng(0))
    sd = stats.sd(each)
    shape = {"policies": sums.shape[0], "episodes": sums.shape[1]}
    return {"mean": found.value, "low": found.low, "high": found.high, "sd": sd, "lowest": each.min()} | shape


def played(events: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Checks during meta-training: iteration, mean_return, sd (over policies), low and high (mean -+ sd)."""
    rows = {event["iteration"]: event for event in events if event["kind"] == "played"}
    table = [{"iteration": number, "mean_return": e["mean_return"], "sd": e["sd"]} for number, e in rows.items()]
    frame = pd.DataFrame(table, columns=["iteration", "mean_return", "sd"])
    frame = frame.sort_values("iteration", ignore_index=True)
    sd = frame["sd"].fillna(0.0).astype(float)
    return frame.assign(low=frame["mean_return"] - sd, high=frame["mean_return"] + sd)
