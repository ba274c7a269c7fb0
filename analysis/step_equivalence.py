"""How many steps of real data rank architectures as well as the teacher does (the paper: 1,200 for 128, "9x")? In
steps, and in seconds with meta-training shared by the architectures that were scored."""

import argparse
import sys

import pandas as pd

from gtn_hpc import scores
from gtn_hpc.report import conclusions, figures
from gtn_hpc.report.frames.equivalence import Equivalence, equivalence
from gtn_hpc.report.frames.estimates import TRUTHS
from gtn_hpc.report.script import Finding, names, parser, run


def options() -> argparse.ArgumentParser:
    made = parser(__doc__ or "")
    made.add_argument("--truth", choices=TRUTHS, default="final", help="what counts as the truth")
    made.add_argument("--recipe", metavar="TEXT", help="the recipe of gtn final, by a part of its name")
    made.add_argument("--fidelity", type=int, help="inner steps of the estimate (default: the most there are)")
    made.add_argument(
        "--meta-seconds", type=float, help="seconds of meta-training (default: those of the run's events)"
    )
    made.add_argument("--resamples", type=int, default=10_000, help="bootstrap resamples")
    made.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    return made


def find(chosen: argparse.Namespace) -> Finding:
    found: dict[str, Equivalence] = {}
    for name, path in names(chosen.paths).items():
        with scores.open(path) as tables:
            found[name] = equivalence(
                tables, source=chosen.truth, recipe=chosen.recipe, fidelity=chosen.fidelity,
                meta=chosen.meta_seconds, seed=chosen.seed, resamples=chosen.resamples,
            )  # fmt: skip
    table = pd.concat([one.table for one in found.values()], keys=found, names=["run"])
    chart = figures.equivalence(
        [figures.Swept(name, one.truth, one.table, one.crossing) for name, one in found.items()]
    )
    facts = {name: one.facts for name, one in found.items()}
    words = [f"{name}: {text}" for name, one in found.items() for text in conclusions.equivalence(one)]
    return Finding(table.reset_index("run"), chart, facts, words)


if __name__ == "__main__":
    sys.exit(run(options(), find))
