"""What failed, and why? Evaluations by how they ended; the ends of tracebacks go to the JSON file."""

import argparse
import sys

from gtn_hpc.report import figures
from gtn_hpc.report.frames.cost import endings, work
from gtn_hpc.report.script import Finding, each, parser, run


def options() -> argparse.ArgumentParser:
    made = parser(__doc__ or "")
    made.add_argument("--tracebacks", type=int, default=20, help="how many go to the JSON file")
    return made


def find(chosen: argparse.Namespace) -> Finding:
    table = each(chosen.paths, lambda tables: endings(work(tables)))
    details = each(chosen.paths, lambda tables: tables.failures.head(chosen.tracebacks))
    failed = int(table.loc[table["status"] != "ok", "rows"].sum())
    facts = {"failed": failed, "of": int(table["rows"].sum()), "tracebacks": details.to_dict("records")}
    return Finding(table, figures.failures(table), facts)


if __name__ == "__main__":
    sys.exit(run(options(), find))
