"""Does it matter in which order a teacher shows what it learned? Curricula (full, shuffled batch, all shuffled, none,
...) over seeds, judged by never-seen learners, and their order beside the paper's."""

import argparse
import sys

from gtn_hpc.report import conclusions, figures
from gtn_hpc.report.frames.arms import accuracies, arms, curves, pairs
from gtn_hpc.report.frames.judging import SPLITS, read_teacher
from gtn_hpc.report.script import Finding, names, parser, run


def find(chosen: argparse.Namespace) -> Finding:
    teachers = [read_teacher(path, name) for name, path in names(chosen.paths).items()]
    found = accuracies(teachers, chosen.split)
    table, ahead = arms(found), pairs(found)
    facts = {
        "data": teachers[0].data, "split": chosen.split, "judged_by": teachers[0].taught_on,
        "runs": {teacher.run: teacher.arm for teacher in teachers}, "in_the_papers_order": ahead.to_dict("records"),
    }  # fmt: skip
    chart = figures.arms(curves(found), table, chosen.split)
    return Finding(table, chart, facts, list(conclusions.arms(table, ahead, chosen.split)))


if __name__ == "__main__":
    sys.exit(run(parser(__doc__ or "", "run directories, one an arm and seed, or curriculum.h5 files", SPLITS), find))
