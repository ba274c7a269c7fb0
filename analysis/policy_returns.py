"""How well do never-seen policies play after the teacher's step? Returns during meta-training, and at its end."""

import argparse
import sys

import pandas as pd

from gtn_hpc.core.events import read_events
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.report import figures
from gtn_hpc.report.frames.playing import played, returns
from gtn_hpc.report.script import Finding, names, parser, run


def find(chosen: argparse.Namespace) -> Finding:
    runs = names(chosen.paths)
    curves = [played(read_events(RunDirectory(path).training_events)).assign(run=name) for name, path in runs.items()]
    table = pd.concat(curves, ignore_index=True)
    arms = {name: returns(RunDirectory(path).curriculum).to_dict("records") for name, path in runs.items()}
    return Finding(table, figures.meta_returns(table), {"returns": arms})


if __name__ == "__main__":
    sys.exit(run(parser(__doc__ or "", "run directories that teach policies"), find))
