"""The paper's table: of each method the test error of what it found (mean and sd over runs), its parameters, and what
searching and training took, on which device; beside the paper's published rows."""

import argparse
import sys

from gtn_hpc.report import conclusions, figures
from gtn_hpc.report.frames.table1 import table1, winners
from gtn_hpc.report.script import Finding, names, parser, run


def find(chosen: argparse.Namespace) -> Finding:
    found = winners(names(chosen.paths))
    table = table1(found)
    facts = {
        "winners": found.to_dict("records"),
        "published": "Such et al. 2020, quoted and not checked against the print",
    }
    return Finding(table, figures.table1(table), facts, list(conclusions.table1(table)))


if __name__ == "__main__":
    sys.exit(run(parser(__doc__ or ""), find))
