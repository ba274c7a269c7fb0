"""One row an architecture: what the teacher says of it, what real data say, and what it costs."""

from typing import get_args

import pandas as pd

from gtn_hpc.config.searching import Proxy
from gtn_hpc.core.errors import StorageError
from gtn_hpc.scores import ScoreTables

SCORED = ("arch", "fidelity", "replica", "val_accuracy", "status", "seconds", "params", "flops", "time")
TRUTHS = ("certificate", "final")


def fidelities(scores: pd.DataFrame) -> list[int]:
    """The fidelities of a scores table in inner steps, the highest last."""
    return sorted(int(fidelity) for fidelity in scores["fidelity"].unique())


def top_fidelity(scores: pd.DataFrame) -> int:
    """The highest fidelity of a scores table at which a training ended well, or 0."""
    ended = scores.loc[scores["status"] == "ok", "fidelity"]
    return int(ended.max()) if len(ended) else 0


def estimates(scores: pd.DataFrame, fidelity: int | None = None) -> pd.DataFrame:
    """Mean validation accuracy over replicas at one fidelity (default: `top_fidelity`), by architecture.

    Columns: estimate, replicas, params, flops, seconds (sum over replicas), time (when the last one ended). An
    architecture with a replica that did not end well has no estimate.
    """
    if scores.empty:
        return averaged(scores, "estimate")
    level = top_fidelity(scores) if fidelity is None else fidelity
    return averaged(scores[scores["fidelity"] == level], "estimate")


def truths(tables: ScoreTables, source: str = "certificate") -> "pd.Series[float]":
    """Mean validation accuracy on real data by architecture: at the certificate's most steps, or that of `final`."""
    rows = longest(tables.certificate, "truth") if source == "certificate" else tables.final
    return averaged(rows, "truth")["truth"]


def controls(tables: ScoreTables) -> dict[str, "pd.Series[float]"]:
    """Other ways to rank architectures, by their name: those of the certificate, and zero-cost proxies."""
    rows = tables.certificate
    names = sorted(set(rows["source"]) - {"truth"})
    found = {name.replace("_", " "): averaged(longest(rows, name), name)[name] for name in names}
    extra = [name for name in tables.scores.columns if name in get_args(Proxy)]
    proxies = tables.scores.groupby("arch")[extra].mean() if extra else pd.DataFrame()
    return found | {name.replace("_", " "): proxies[name].dropna() for name in extra}


def pairs(scores: pd.DataFrame, truth: "pd.Series[float]", fidelity: int | None = None) -> pd.DataFrame:
    """Architectures that have both: columns arch, estimate, truth, params, flops, seconds; the best estimate first.

    Cost: a fraction of a second for a million rows of scores; only those with a truth are averaged.
    """
    level = top_fidelity(scores) if fidelity is None and len(scores) else fidelity
    joined = estimates(scores[scores["arch"].isin(truth.index)], level).join(truth, how="inner").reset_index()
    return joined.sort_values(["estimate", "arch"], ascending=[False, True], ignore_index=True)


def require(frame: pd.DataFrame, what: str, remedy: str) -> pd.DataFrame:
    """The frame, or an error that says what it would be made of."""
    if frame.empty:
        raise StorageError(what, remedy=remedy)
    return frame


def longest(certificate: pd.DataFrame, source: str) -> pd.DataFrame:
    """The rows of a source with the most steps."""
    rows = certificate[certificate["source"] == source]
    return rows[rows["steps"] == rows["steps"].max()]


def averaged(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """By architecture: the mean accuracy of its replicas, where all of them ended well."""
    failed = rows.loc[rows["status"] != "ok", "arch"].unique()
    whole = rows[~rows["arch"].isin(failed)]
    return whole.groupby("arch").agg(
        **{name: ("val_accuracy", "mean")},
        replicas=("val_accuracy", "size"),
        params=("params", "first"),
        flops=("flops", "first"),
        seconds=("seconds", "sum"),
        time=("time", "max"),
    )
