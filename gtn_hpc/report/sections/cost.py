"""Who worked when, and what failed."""

from collections.abc import Iterator

import pandas as pd

from gtn_hpc.core.events import meta_seconds
from gtn_hpc.report import figures
from gtn_hpc.report.blocks import Block, Missing, Prose, Table, Text, figure
from gtn_hpc.report.evidence import Evidence
from gtn_hpc.report.frames import cost, records
from gtn_hpc.report.frames.teaching import iterations
from gtn_hpc.report.wording import count, duration, percent, plural

WORKERS, TRACEBACKS = 16, 10
"""How many are listed."""


def worked(evidence: Evidence) -> Iterator[Block]:
    """Seconds by kind of work, and a time line of workers."""
    rows = _work(evidence)
    if rows.empty:
        yield Missing("Nothing was evaluated yet", evidence.command("gtn search RUN"))
        return
    yield Prose(_in_words(evidence, rows))
    listed = cost.workers(rows).sort_values("busy_share", kind="stable")
    yield _time_line(rows, listed)
    which = "" if len(listed) <= WORKERS else f", the {WORKERS} least busy of {len(listed)}"
    yield Table(
        f"Workers{which}",
        ("work", "worker", "evaluations", "busy", "busy share", "idle at the end"),
        [
            (
                row["work"],
                row["worker"],
                count(row["evaluations"]),
                duration(row["busy_seconds"]),
                percent(row["busy_share"]),
                duration(row["tail_seconds"]),
            )
            for row in records(listed.head(WORKERS))
        ],
        numeric=2,
    )


def _time_line(rows: pd.DataFrame, shares: pd.DataFrame) -> Block:
    """Of all workers, or where they are many of the least busy ones by `shares`."""
    stretches, drawn = cost.busy(rows), cost.least_busy(shares, figures.LINES)
    workers = rows["worker"].nunique()
    which = "" if len(drawn) == workers else f", the {len(drawn)} least busy of {workers} workers"
    return figure(
        figures.utilisation(stretches[stretches["worker"].isin(drawn)]),
        f"Who worked when{which}; gaps are idle time.",
        f"Time line of {len(drawn)} workers over {duration(rows['end'].max())}.",
    )


def failed(evidence: Evidence) -> Iterator[Block]:
    """How evaluations ended; the ends of tracebacks."""
    rows = _work(evidence)
    if rows.empty:
        yield Missing("Nothing was evaluated yet", evidence.command("gtn search RUN"))
        return
    bad = int((rows["status"] != "ok").sum())
    if bad == 0:
        yield Prose(f"All {plural(len(rows), 'evaluation')} ended well.")
        return
    found = cost.endings(rows)
    yield Prose(f"{plural(bad, 'evaluation')} of {count(len(rows))} gave no score.")
    yield figure(figures.failures(found), "How evaluations ended.", f"{bad} of {len(rows)} failed.")
    yield Table(
        "How evaluations ended",
        ("work", "ended", "evaluations"),
        [(row["work"], row["status"], count(row["rows"])) for row in records(found)],
        numeric=2,
    )
    assert evidence.tables is not None
    for row in records(evidence.tables.failures.head(TRACEBACKS)):
        yield Text(f"{row['status']}: {row['table']}, {row['key']}", row["detail"])


def _work(evidence: Evidence) -> pd.DataFrame:
    return pd.DataFrame() if evidence.tables is None else cost.work(evidence.tables)


def _in_words(evidence: Evidence, rows: pd.DataFrame) -> str:
    names = {"scores": "scoring with the teacher", "certificate": "the certificate", "final": "training winners"}
    parts = [f"{duration(row['seconds'])} for {names[row['work']]}" for row in records(cost.totals(rows))]
    return f"Work of all workers: {', '.join(parts)}.{_meta_training(evidence)}"


def _meta_training(evidence: Evidence) -> str:
    """Like the rest, of all its ranks."""
    logged = iterations(evidence.events)
    if logged.empty:
        return ""
    seconds, done = meta_seconds(evidence.curriculum.parent), int(logged["iteration"].max())
    each = duration(seconds / done)
    return f" Meta-training took about {duration(seconds)} ({plural(done, 'iteration')} of {each})."
