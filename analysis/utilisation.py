"""Who worked when, and what was lost? Busy share of each worker, and seconds idle after its last evaluation."""

import argparse
import sys
from collections.abc import Sequence

import pandas as pd

from gtn_hpc.report import figures
from gtn_hpc.report.frames.cost import busy, least_busy, totals, work, workers
from gtn_hpc.report.script import Finding, each, parser, run


def find(chosen: argparse.Namespace) -> Finding:
    shares = each(chosen.paths, lambda tables: workers(work(tables)))
    spent = each(chosen.paths, lambda tables: totals(work(tables)))
    evaluations = each(chosen.paths, work)
    several = len(chosen.paths) > 1
    evaluations["worker"] = _named(evaluations, several=several)
    drawn = least_busy(shares.assign(worker=_named(shares, several=several)), figures.LINES)
    stretches = busy(evaluations)
    chart = figures.utilisation(stretches[stretches["worker"].isin(drawn)])
    return Finding(shares, chart, {"seconds of work": spent.to_dict("records")}, _words(drawn, evaluations))


def _words(drawn: Sequence[str], evaluations: pd.DataFrame) -> Sequence[str]:
    workers = evaluations["worker"].nunique()
    return () if len(drawn) == workers else (f"The picture shows the {len(drawn)} least busy of {workers} workers.",)


def _named(evaluations: pd.DataFrame, *, several: bool) -> "pd.Series[str]":
    """Workers of several runs are told apart by the run."""
    return evaluations["run"] + " " + evaluations["worker"] if several else evaluations["worker"]


if __name__ == "__main__":
    sys.exit(run(parser(__doc__ or ""), find))
