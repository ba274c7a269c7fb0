"""How many steps of real data rank architectures as well as the teacher does (the paper's 9x), in steps and seconds."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gtn_hpc import stats
from gtn_hpc.core.errors import StorageError
from gtn_hpc.report.frames.estimates import averaged, estimates, longest, top_fidelity
from gtn_hpc.report.frames.ranking import generator
from gtn_hpc.report.frames.teaching import teacher_seconds
from gtn_hpc.report.wording import plural
from gtn_hpc.scores import ScoreTables
from gtn_hpc.stats import Estimate, Sweep
from gtn_hpc.stats.estimate import notes
from gtn_hpc.training.estimates import ASIDE

FEWEST = 8
"""Architectures below which no correlation is shown."""

WAY, OWN = "real data", "real data, a training of its own"
"""Accuracies on the way of one long training, whose rate has not fallen yet, and at the end of a short one."""

COLUMNS = ["ranked_by", "steps", "value", "low", "high", "n", "note", "seconds", "seconds_with_teaching"]


@dataclass(frozen=True)
class Seconds:
    """Mean seconds of one architecture, all its replicas: taught; on real data, of which `step` is that of a step and
    `once` does not grow with them; and the whole meta-training, NaN where nobody knows it."""

    taught: float
    step: float
    once: float
    meta: float
    architectures: int

    @property
    def with_teaching(self) -> float:
        """With its share of the meta-training."""
        return self.taught + self.meta / self.architectures

    def real(self, steps: float) -> float:
        return self.once + steps * self.step

    def pays_from(self, steps: float) -> float:
        """Architectures from which meta-training takes less time than `steps` steps of real data for each."""
        saved = self.real(steps) - self.taught
        return self.meta / saved if saved > 0 else np.inf


@dataclass(frozen=True, eq=False)
class Equivalence:
    """The sweep against one `truth`, `shared` where the truth is the end of the trainings that are swept."""

    truth: str
    shared: bool
    steps: int
    real_steps: tuple[int, ...]
    sweep: Sweep
    seconds: Seconds
    own: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """One row a way to rank. Columns: ranked_by, steps, value (Spearman), low, high, n, note, seconds (of one
        architecture), seconds_with_teaching."""
        taught = self.seconds.taught, self.seconds.with_teaching
        rows = [_row("teacher", self.steps, self.sweep.reference, *taught)]
        for steps, found in zip(self.real_steps, self.sweep.candidates, strict=True):
            rows.append(_row(WAY, steps, found, *[self.seconds.real(steps)] * 2))
        table = pd.DataFrame(rows, columns=COLUMNS)
        return pd.concat([table, self.own], ignore_index=True) if len(self.own) else table

    @property
    def crossing(self) -> pd.DataFrame:
        """Where real data meet the teacher, on both axes. Columns: axis (steps, seconds), value, low, high."""
        meets = self.sweep.meets
        ends = {"value": meets.value, "low": meets.low, "high": meets.high}
        seconds = {name: self.seconds.real(steps) for name, steps in ends.items()}
        return pd.DataFrame([{"axis": "steps", **ends}, {"axis": "seconds", **seconds}])

    @property
    def facts(self) -> dict[str, Any]:
        """JSON-able; `meets` is null where real data never rank as well."""
        meets, seconds = self.sweep.meets, self.seconds
        return {
            "truth": self.truth,
            "teacher_steps": self.steps,
            "meets_steps": asdict(meets),
            "times_the_steps": meets.value / self.steps,
            "share_of_resamples_at_once": self.sweep.at_once,
            "share_of_resamples_never": self.sweep.never,
            "seconds": {
                "teacher": seconds.taught,
                "teacher_with_meta_training": seconds.with_teaching,
                "meta_training": seconds.meta,
                "architectures": seconds.architectures,
                "real_data": seconds.real(meets.value),
                "meta_training_pays_from_architectures": seconds.pays_from(meets.value),
            },
        }


def equivalence(
    tables: ScoreTables,
    *,
    source: str = "final",
    recipe: str | None = None,
    fidelity: int | None = None,
    meta: float | None = None,
    seed: int = 0,
    resamples: int = 10_000,
) -> Equivalence:
    """Of the architectures that have an estimate, a learning curve on real data and a truth.

    The truth is one `recipe` of the final stage, or with the source `certificate` the end of the learning curves.
    `meta` are the seconds of meta-training, where the run does not know them.

    Raises:
        StorageError: too few such architectures, no learning curves, or several recipes and none chosen.
    """
    curves = learning_curves(tables)
    name, truth = ("", curves.iloc[:, -1]) if source == "certificate" else final_truth(tables, recipe)
    if source == "certificate":
        name, curves = f"real data, {curves.columns[-1]} steps", curves.iloc[:, :-1]
    found = estimates(tables.scores, fidelity)
    joined = pd.concat([found["estimate"], truth.rename("truth"), curves], axis=1, join="inner").sort_index()
    if len(joined) < FEWEST:
        raise _too_few(tables.path, len(joined), name, source)
    steps = tuple(int(column) for column in curves.columns)
    sweep = stats.spearman_sweep(
        joined["estimate"], [joined[n] for n in steps], steps, joined["truth"], rng=generator(seed), resamples=resamples
    )
    level = fidelity or top_fidelity(tables.scores)
    costs = _seconds(tables, joined.index, level, meta)
    own = _own(tables, joined["truth"], seed, resamples)
    return Equivalence(name, source == "certificate", level, steps, sweep, costs, own)


def learning_curves(tables: ScoreTables) -> pd.DataFrame:
    """Validation accuracy on real data, mean over replicas: a row an architecture, a column a number of steps.

    Of the longest trainings, at the steps that all of them recorded. Errors: StorageError where none was recorded.
    """
    rows = longest(tables.certificate, "truth")
    whole = rows[~rows["arch"].isin(rows.loc[rows["status"] != "ok", "arch"])]
    points = tables.curves[tables.curves["table"] == "certificate"].merge(whole[["key", "arch"]], on="key")
    wide = points.pivot_table(index="arch", columns="step", values="val_accuracy", aggfunc="mean")
    wide = wide[wide.notna().sum(axis=1) > 1].dropna(axis=1)
    if wide.shape[1] < 2:
        raise StorageError(
            f"{tables.path} holds no learning curves of training on real data.",
            remedy="Record them in a new run: gtn search CONFIG 'search.certificate.score_at=[10,20,50,100,200]'.",
        )
    return wide


def final_truth(tables: ScoreTables, recipe: str | None) -> tuple[str, "pd.Series[float]"]:
    """Name and validation accuracy by architecture of one recipe of `gtn final`, the one that contains `recipe`."""
    rows = tables.final[tables.final["status"] == "ok"]
    named = rows.assign(name=rows["recipe"] + ", " + rows["epochs"].astype(str) + " epochs")
    chosen = named[named["name"].str.contains(recipe or "", regex=False)]
    names = sorted(chosen["name"].unique())
    if len(names) > 1:
        listed = "".join(f"\n    {name}" for name in names)
        raise StorageError(
            f"{tables.path} holds winners of {len(names)} recipes:{listed}", remedy="Choose one with --recipe TEXT."
        )
    return (names or ["gtn final"])[0], averaged(chosen, "truth")["truth"]


def _too_few(path: Path, count: int, name: str, source: str) -> StorageError:
    other = " Or take the end of the learning curves as the truth: --truth certificate." if source == "final" else ""
    more = "gtn final CONFIG --top-k N" if source == "final" else "gtn search CONFIG search.certificate.fraction=1"
    have = f"{plural(count, 'architecture')} {'has' if count == 1 else 'have'}"
    return StorageError(
        f"{path}: {have} an estimate, a learning curve on real data and a truth ({name}); {FEWEST} are needed.",
        remedy=f"Train more of them: {more}.{other}",
    )


def _row(name: str, steps: int, found: Estimate, seconds: float, with_teaching: float) -> tuple[object, ...]:
    return name, steps, found.value, found.low, found.high, found.n, found.note, seconds, with_teaching


def _plain_seconds(rows: pd.DataFrame) -> "pd.Series[float]":
    """As `training.estimates.plain_seconds`."""
    aside = [name for name in ASIDE if name in rows]
    return rows["seconds"] - rows[aside].sum(axis=1)


def _seconds(tables: ScoreTables, archs: pd.Index, fidelity: int, meta: float | None) -> Seconds:
    scores, real = tables.scores, longest(tables.certificate, "truth")
    scores, real = scores[scores["arch"].isin(archs) & (scores["fidelity"] == fidelity)], real[real["arch"].isin(archs)]
    points = tables.curves[tables.curves["table"] == "certificate"].groupby("key").size()
    before = (real["key"].map(points) - 1).clip(lower=1)
    once = real["curve_seconds"] / before if "curve_seconds" in real else pd.Series(0.0, real.index)
    each = (_plain_seconds(real) - once) / real["steps"]
    return Seconds(
        taught=_of_one(scores, _plain_seconds(scores)),
        step=_of_one(real, each),
        once=_of_one(real, once),
        meta=teacher_seconds(tables) if meta is None else meta,
        architectures=int(tables.scores["arch"].nunique()),
    )


def _of_one(rows: pd.DataFrame, seconds: "pd.Series[float]") -> float:
    """Mean over architectures of the sum over replicas."""
    return float(seconds.groupby(rows["arch"]).sum().mean())


def _own(tables: ScoreTables, truth: "pd.Series[float]", seed: int, resamples: int) -> pd.DataFrame:
    """Controls of the certificate that trained on real data for fewer steps, each from its own beginning."""
    rows = tables.certificate[tables.certificate["source"].isin(["real_steps", "real_seconds"])]
    found = []
    for (steps, source), of_steps in rows.groupby(["steps", "source"]):
        both = averaged(of_steps, "other").join(truth, how="inner").sort_index()
        rho = stats.spearman(both["other"], both["truth"], rng=generator(seed), resamples=resamples)
        seconds = _of_one(of_steps, _plain_seconds(of_steps))
        noted = replace(rho, note=notes(f"control {source}", rho.note))
        found.append(_row(OWN, int(str(steps)), noted, seconds, seconds))
    return pd.DataFrame(found, columns=COLUMNS)
