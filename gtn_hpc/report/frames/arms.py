"""Curricula compared (the arms of the paper's section 3.3): several runs of each, judged by learners of their own."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from gtn_hpc import stats
from gtn_hpc.report.frames.judging import Teacher, require_judged, require_same, spread
from gtn_hpc.report.frames.teaching import SOURCES, Array

PAPER = {"full": 0.985, "shuffled_batch": 0.974, "all_shuffled": 0.968, "none": 0.957}
"""Accuracy on MNIST's test split after 2,000 meta-iterations, read off the paper's figure; the best first."""

TEACHER, CONTROL = SOURCES.values()
CONTROL_ARM = "real data (control)"


def accuracies(teachers: Sequence[Teacher], split: str) -> dict[str, dict[Teacher, Array]]:
    """By arm and run the accuracies [learners, T]; the control on real data, one of each seed, is an arm of its own.

    Raises:
        StorageError: runs differ in images, steps or learners, or one was not judged on the split.
    """
    require_same(teachers, "data", "steps", "taught_on")
    found: dict[str, dict[Teacher, Array]] = {}
    control: dict[int | None, tuple[Teacher, Array]] = {}
    for teacher in teachers:
        judgements = teacher.own(split)
        require_judged(teacher, judgements, split)
        accuracy = judgements[0].accuracy
        found.setdefault(teacher.arm, {})[teacher] = accuracy[TEACHER]
        if CONTROL in accuracy:
            control.setdefault(teacher.seed, (teacher, accuracy[CONTROL]))
    ranked = sorted(found, key=lambda arm: -np.mean([runs[:, -1].mean() for runs in found[arm].values()]))
    arms = {arm: found[arm] for arm in ranked}
    return arms | ({CONTROL_ARM: dict(control.values())} if control else {})


def arms(found: dict[str, dict[Teacher, Array]]) -> pd.DataFrame:
    """One row an arm, the best first, the control last.

    Columns: arm, mean, sd, low, high (of the accuracy after the last step), runs, learners, over (what sd and interval
    are over), teaching_seconds (mean over runs), paper (its accuracy), place and paper_place (of the arms that both
    have, from 1).
    """
    rows = []
    for arm, runs in found.items():
        told = asdict(spread([accuracy[:, -1] for accuracy in runs.values()]))
        seconds = np.nan if arm == CONTROL_ARM else np.mean([teacher.seconds for teacher in runs])
        told["mean"] = told.pop("value")
        rows.append({"arm": arm, **told, "teaching_seconds": seconds, "paper": PAPER.get(arm, np.nan)})
    table = pd.DataFrame(rows)
    known = table["paper"].notna()
    table["place"] = table["mean"].where(known).rank(ascending=False, method="min")
    table["paper_place"] = table["paper"].rank(ascending=False)
    columns = ["arm", "mean", "sd", "low", "high", "runs", "learners", "over", "teaching_seconds"]
    return table[[*columns, "paper", "place", "paper_place"]]


def curves(found: dict[str, dict[Teacher, Array]]) -> pd.DataFrame:
    """Accuracy after each inner step, mean over learners. Columns: arm, run, step (from 1), accuracy."""
    rows = [
        {"arm": arm, "run": run.run, "step": step, "accuracy": float(accuracy)}
        for arm, runs in found.items()
        for run, accuracies in runs.items()
        for step, accuracy in enumerate(accuracies.mean(axis=0), start=1)
    ]
    return pd.DataFrame(rows)


def pairs(found: dict[str, dict[Teacher, Array]]) -> pd.DataFrame:
    """Arms that follow each other in the paper's order: how far the first is ahead, paired by seed.

    Columns: better, worse, value, low, high, n (seeds), note; there is no interval with fewer than two seeds.
    """
    means = {arm: _by_seed(runs) for arm, runs in found.items() if arm in PAPER}
    rows = []
    for better, worse in itertools.pairwise(arm for arm in PAPER if arm in means):
        seeds = means[better].index.intersection(means[worse].index)
        ahead = stats.paired_difference(means[better][seeds], means[worse][seeds])
        told = {name: value for name, value in asdict(ahead).items() if name != "level"}
        rows.append({"better": better, "worse": worse, **told})
    return pd.DataFrame(rows, columns=["better", "worse", "value", "low", "high", "n", "note"])


def _by_seed(runs: dict[Teacher, Array]) -> "pd.Series[float]":
    """Mean accuracy at the end."""
    frame = pd.DataFrame({"seed": [run.seed for run in runs], "mean": [float(a[:, -1].mean()) for a in runs.values()]})
    return frame.groupby("seed")["mean"].mean()
