"""Does a teacher teach networks that it was not taught on? Rows are what teachers were taught on, columns the families
of learners that judge them (gtn evaluate RUN --family FAMILY); the worst family of each teacher is named."""

import argparse
import sys

from gtn_hpc.report import conclusions, figures
from gtn_hpc.report.frames.judging import SPLITS, read_teacher
from gtn_hpc.report.frames.transfer import renamed, transfer
from gtn_hpc.report.script import Finding, names, parser, run


def find(chosen: argparse.Namespace) -> Finding:
    teachers = [read_teacher(path, name) for name, path in names(chosen.paths).items()]
    table = transfer(teachers, chosen.split)
    shown, meanings = renamed(table)
    facts = {"data": teachers[0].data, "split": chosen.split, "learners": meanings}
    words = list(conclusions.transfer(shown, chosen.split))
    return Finding(table, figures.transfer(shown, chosen.split), facts, words)


if __name__ == "__main__":
    sys.exit(run(parser(__doc__ or "", "run directories, or curriculum.h5 files", SPLITS), find))
