"""Who worked when, and what was lost? Busy share of each worker, and seconds idle after its last evaluation."""

import argparse
import sys

import pandas as pd

from gtn_hpc.report import figures
from gtn_hpc.report.frames.cost import busy, totals, work, workers
from gtn_hpc.report.script import Finding, each, parser, run


def find(chosen: argparse.Namespace) -> Finding:
    shares = each(chosen.paths, lambda tables: workers(work(tables)))
    spent = each(chosen.paths, lambda tables: totals(work(tables)))
    evaluations = each(chosen.paths, work)
    evaluations["worker"] = _named(evaluations, several=len(chosen.paths) > 1)
    return Finding(shares, figures.utilisation(busy(evaluations)), {"seconds of work": spent.to_dict("records")})


def _named(evaluations: pd.DataFrame, *, several: bool) -> "pd.Series[str]":
    """Workers of several runs are told apart by the run."""
    return evaluations["run"] + " " + evaluations["worker"] if several else evaluations["worker"]


if __name__ == "__main__":
    sys.exit(run(parser(__doc__ or ""), find))
