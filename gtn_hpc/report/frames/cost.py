"""Who worked when, and how evaluations ended."""

import numpy as np
import pandas as pd

from gtn_hpc.scores import ScoreTables

WORK = ("scores", "certificate", "final")
COLUMNS = ["work", "worker", "status", "start", "end", "seconds"]


def work(tables: ScoreTables) -> pd.DataFrame:
    """Every evaluation.

    Columns: work (scores, certificate, final), worker, status, start and end in seconds from the first start, seconds.
    """
    parts = [
        _evaluations(tables.read(name, ("job", "host", "rank", "status", "seconds", "time")), name) for name in WORK
    ]
    parts = [part for part in parts if len(part)]
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    found = pd.concat(parts, ignore_index=True)
    return found.assign(start=found["start"] - found["start"].min(), end=found["end"] - found["start"].min())


def _evaluations(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    worker = rows["job"] + " " + rows["host"] + " rank " + rows["rank"].astype(str)
    return pd.DataFrame(
        {
            "work": name,
            "worker": worker,
            "status": rows["status"],
            "start": rows["time"] - rows["seconds"],
            "end": rows["time"],
            "seconds": rows["seconds"],
        }
    )


def busy(evaluations: pd.DataFrame, resolution: float = 1 / 600) -> pd.DataFrame:
    """Stretches of work: evaluations of a worker that follow each other within `resolution` of the whole are one."""
    if evaluations.empty:
        return evaluations[["worker", "work", "start", "end"]]
    rows = evaluations.sort_values(["worker", "work", "start"], ignore_index=True)
    span = rows["end"].max() - rows["start"].min()
    group = rows.groupby(["worker", "work"])
    gap = rows["start"] - group["end"].transform(lambda end: end.cummax().shift())
    block = (gap.fillna(np.inf) > span * resolution).cumsum()
    return rows.groupby(block).agg(
        worker=("worker", "first"), work=("work", "first"), start=("start", "min"), end=("end", "max")
    )


def workers(evaluations: pd.DataFrame) -> pd.DataFrame:
    """By worker and work: evaluations, busy seconds, busy share of the work's span, seconds idle after its last one."""
    spans = evaluations.groupby("work").agg(begin=("start", "min"), finish=("end", "max"))
    found = evaluations.groupby(["work", "worker"]).agg(
        evaluations=("seconds", "size"), busy_seconds=("seconds", "sum"), last=("end", "max")
    )
    found = found.reset_index().join(spans, on="work")
    found["busy_share"] = found["busy_seconds"] / (found["finish"] - found["begin"])
    found["tail_seconds"] = found["finish"] - found["last"]
    return found.drop(columns=["last", "begin", "finish"])


def least_busy(shares: pd.DataFrame, most: int) -> list[str]:
    """The `most` workers with the smallest busy share in any work; columns: worker, busy_share."""
    found: list[str] = shares.sort_values("busy_share", kind="stable")["worker"].drop_duplicates().head(most).tolist()
    return found


def totals(evaluations: pd.DataFrame) -> pd.DataFrame:
    """By work: rows and seconds."""
    found = evaluations.groupby("work", sort=False).agg(rows=("seconds", "size"), seconds=("seconds", "sum"))
    return found.reset_index()


def endings(evaluations: pd.DataFrame) -> pd.DataFrame:
    """By work and status: rows; the most frequent first."""
    return evaluations.groupby(["work", "status"]).size().sort_values(ascending=False).reset_index(name="rows")
