"""How fast do fresh learners learn from the teacher? Accuracy after each inner step, beside real data."""

import argparse
import sys
from dataclasses import asdict

import pandas as pd

from gtn_hpc.report import figures
from gtn_hpc.report.frames.teaching import advantage, curriculum_file, evaluated, learning, read_lessons
from gtn_hpc.report.script import Finding, names, parser, run


def find(chosen: argparse.Namespace) -> Finding:
    files = {name: curriculum_file(path) for name, path in names(chosen.paths).items()}
    lessons = {name: evaluated(read_lessons(path), path) for name, path in files.items()}
    table = pd.concat([learning(found).assign(run=name) for name, found in lessons.items()], ignore_index=True)
    ahead = {name: advantage(found) for name, found in lessons.items()}
    facts = {"teacher minus real data": {name: asdict(value) for name, value in ahead.items() if value is not None}}
    return Finding(table, figures.learning_curves(table), facts)


if __name__ == "__main__":
    sys.exit(run(parser(__doc__ or "", "curriculum.h5 files, or run directories"), find))
