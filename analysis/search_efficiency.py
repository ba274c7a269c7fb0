"""How soon does a search find good architectures? Best estimate so far over evaluations, wall-clock or busy seconds."""

import argparse
import sys

from gtn_hpc.report import figures
from gtn_hpc.report.figures.searching import TITLES
from gtn_hpc.report.frames.estimates import SCORED
from gtn_hpc.report.frames.searching import progress
from gtn_hpc.report.script import Finding, each, parser, run

BY = ("evaluations", "seconds", "busy_seconds")


def options() -> argparse.ArgumentParser:
    made = parser(__doc__ or "")
    made.add_argument("--by", choices=BY, default="evaluations", help="what the horizontal axis counts")
    return made


def find(chosen: argparse.Namespace) -> Finding:
    table = each(chosen.paths, lambda tables: progress(tables.read("scores", SCORED)))
    best = table.groupby("run").tail(1)[["run", "arch", "best", *BY]]
    return Finding(
        table, figures.progress(table, chosen.by), {"axis": TITLES[chosen.by], "end": best.to_dict("records")}
    )


if __name__ == "__main__":
    sys.exit(run(options(), find))
