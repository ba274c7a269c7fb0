"""Does the teacher rank architectures rightly? Spearman and Kendall of estimate and truth with bootstrap intervals,
over all architectures and over the top half by estimate, at each fidelity."""

import argparse
import sys

import pandas as pd

from gtn_hpc.report import figures
from gtn_hpc.report.frames.estimates import SCORED, TRUTHS, fidelities, pairs, require, truths
from gtn_hpc.report.frames.ranking import correlations
from gtn_hpc.report.script import Finding, each, parser, run
from gtn_hpc.scores import ScoreTables


def options() -> argparse.ArgumentParser:
    made = parser(__doc__ or "")
    made.add_argument("--truth", choices=TRUTHS, default="certificate", help="what counts as the truth")
    made.add_argument("--fidelity", type=int, nargs="*", help="inner steps of the estimate (default: all there are)")
    made.add_argument("--resamples", type=int, default=10_000, help="bootstrap resamples")
    made.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    return made


def find(chosen: argparse.Namespace) -> Finding:
    recipes: set[str] = set()

    def paired(tables: ScoreTables) -> pd.DataFrame:
        truth, scores = truths(tables, chosen.truth), tables.read("scores", SCORED)
        recipes.update(tables.final["recipe"] if chosen.truth == "final" else _steps(tables))
        wanted = chosen.fidelity or fidelities(scores)
        return pd.concat([pairs(scores, truth, level).assign(fidelity=level) for level in wanted])

    found = each(chosen.paths, paired)
    require(found, f"No architecture has both a score and a truth in {chosen.truth}.", "Run gtn search or gtn final.")
    rows = [
        correlations(group, chosen.seed, chosen.resamples).assign(run=str(name), fidelity=level)
        for name, of_run in found.groupby("run")
        for level, group in of_run.groupby("fidelity")
    ]
    highest = found[found["fidelity"] == found.groupby("run")["fidelity"].transform("max")]
    table = pd.concat(rows)[["run", "fidelity", "subset", "statistic", "value", "low", "high", "n", "note"]]
    return Finding(table, figures.correlation(highest), {"truth": chosen.truth, "recipe": sorted(recipes)})


def _steps(tables: ScoreTables) -> list[str]:
    rows = tables.certificate
    return [f"real data, {steps} steps" for steps in rows.loc[rows["source"] == "truth", "steps"].unique()]


if __name__ == "__main__":
    sys.exit(run(options(), find))
