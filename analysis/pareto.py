"""Which architectures are beaten by none in both accuracy and cost?"""

import argparse
import sys

import pandas as pd

from gtn_hpc.report import figures
from gtn_hpc.report.frames.estimates import SCORED, estimates
from gtn_hpc.report.frames.searching import front, thinned
from gtn_hpc.report.script import Finding, each, parser, run
from gtn_hpc.scores import ScoreTables

DOTS = 4000
"""Architectures besides the front in the figure; the table holds the front only, the facts the number of all."""


def options() -> argparse.ArgumentParser:
    made = parser(__doc__ or "")
    made.add_argument("--cost", choices=("params", "flops"), default="params", help="what an architecture costs")
    return made


def find(chosen: argparse.Namespace) -> Finding:
    def marked(tables: ScoreTables) -> pd.DataFrame:
        found = estimates(tables.read("scores", SCORED)).reset_index()
        return found.assign(front=front(found, chosen.cost))

    found = each(chosen.paths, marked)
    table = found[found["front"]].sort_values(["run", chosen.cost]).drop(columns=["front", "time"])
    return Finding(table, figures.pareto(thinned(found, DOTS), chosen.cost), {"architectures": len(found)})


if __name__ == "__main__":
    sys.exit(run(options(), find))
