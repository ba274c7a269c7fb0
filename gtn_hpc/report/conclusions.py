"""What the scripts of analysis/ found, in sentences."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from gtn_hpc.report.frames import records
from gtn_hpc.report.frames.arms import PAPER
from gtn_hpc.report.frames.equivalence import Equivalence
from gtn_hpc.report.wording import duration, percent, plural, points, rank
from gtn_hpc.stats import Estimate


def equivalence(found: Equivalence) -> Iterator[str]:
    """What was compared, the crossing, and its cost, a sentence or two each."""
    teacher, meets, seconds = found.sweep.reference, found.sweep.meets, found.seconds
    yield (
        f"Truth: {found.truth}, of {plural(teacher.n, 'architecture')}. {plural(found.steps, 'step')} of the teacher "
        f"rank them with Spearman {rank(teacher.value, teacher.low, teacher.high)}."
    )
    if np.isnan(meets.value):
        yield f"There is nothing to reach: {meets.note}."
        return
    yield _verdict(found)
    yield (
        f"One architecture takes {duration(seconds.taught)} with the teacher, "
        f"{duration(seconds.with_teaching)} with its share of meta-training ({duration(seconds.meta)} over "
        f"{plural(seconds.architectures, 'architecture')})."
        + ("" if np.isfinite(seconds.meta) else " How long meta-training took is not known: --meta-seconds SECONDS.")
    )
    if np.isfinite(meets.value):
        yield _in_seconds(found)
    for row in records(found.own):
        value = rank(row["value"], row["low"], row["high"])
        own = f"A training of its own of {plural(row['steps'], 'step')}, whose rate falls to zero"
        yield f"{own}, ranks with {value} ({row['note']})."
    if found.shared:
        yield "The truth is the end of the same trainings, which helps real data: the crossing is rather too early."


def _verdict(found: Equivalence) -> str:
    meets, first, last = found.sweep.meets, found.real_steps[0], found.real_steps[-1]
    if np.isinf(meets.value):
        return (
            f"Real data never rank as well within the {last} steps that were recorded "
            f"(in {100 * found.sweep.never:.0f} % of the resamples they do not)."
        )
    if meets.value <= first:
        return (
            f"Real data rank at least as well at once, after the {plural(first, 'step')} recorded first "
            f"(in {100 * found.sweep.at_once:.0f} % of the resamples)."
        )
    ratio = _interval(meets.value / found.steps, meets.low / found.steps, meets.high / found.steps, first / found.steps)
    return (
        f"Real data first rank as well after {_interval(meets.value, meets.low, meets.high, first)} steps: "
        f"{ratio} times the teacher's.{_later(found)}{_saving(meets, found.steps)}"
    )


def _later(found: Equivalence) -> str:
    """Where more steps rank worse again, as noise or overfitting have it."""
    rows = zip(found.real_steps, found.sweep.candidates, strict=True)
    level, met = found.sweep.reference.value, found.sweep.meets.value
    worse = [str(steps) for steps, row in rows if steps > met and not row.value >= level]
    return f" At {', '.join(worse)} steps they rank less well again." if worse else ""


def _saving(meets: Estimate, steps: int) -> str:
    if meets.low > steps:
        return ""
    if meets.high < steps:
        return " The teacher saves no steps: real data need fewer."
    return " That the teacher saves steps is not shown by so few architectures."


def _in_seconds(found: Equivalence) -> str:
    meets, seconds = found.sweep.meets, found.seconds
    real = [seconds.real(steps) for steps in (meets.value, meets.low, meets.high, found.real_steps[0])]
    text = (
        f"So many real steps take {duration(real[0])}: {_interval(*(value / seconds.taught for value in real))} times "
        "the teacher's"
    )
    if not np.isfinite(seconds.meta):
        return f"{text}."
    pays = seconds.pays_from(meets.value)
    whole = _interval(*(value / seconds.with_teaching for value in real))
    never = "Meta-training does not pay for any number of architectures."
    return f"{text}, {whole} times with meta-training. " + (
        never if np.isinf(pays) else f"Meta-training pays from {plural(int(np.ceil(pays)), 'architecture')} on."
    )


def _interval(value: float, low: float, high: float, first: float) -> str:
    """An end at the first step recorded may lie below it, an infinite one beyond the last."""
    least = f"{low:.3g} or less" if low <= first else f"{low:.3g}"
    return f"{value:.3g} [{least}, {'never' if np.isinf(high) else f'{high:.3g}'}]"


def arms(table: pd.DataFrame, pairs: pd.DataFrame, split: str) -> Iterator[str]:
    """The order of curricula, and pair by pair whether it is the paper's."""
    known = table.dropna(subset=["paper"])
    if len(known) < 2:
        yield f"Fewer than two curricula that the paper compares ({', '.join(PAPER)}) are among these runs."
        return
    theirs = known.sort_values("paper_place")["arm"]
    yield f"Order on the {split} split: {' > '.join(known['arm'])}. The paper's: {' > '.join(theirs)}."
    for pair in records(pairs):
        ahead = f"{pair['better']} is ahead of {pair['worse']} by {points(pair['value'])} points"
        yield f"{ahead}{_seeds(pair)}: {_as_in_paper(pair)}."


def _seeds(pair: Mapping[str, Any]) -> str:
    if pair["n"] < 2:
        return f" ({plural(pair['n'], 'seed')} of both: no interval)"
    return f" [{points(pair['low'])}, {points(pair['high'])}], paired over {pair['n']} seeds"


def _as_in_paper(pair: Mapping[str, Any]) -> str:
    if pair["n"] < 2:
        return "not to be told"
    return "as in the paper" if pair["low"] > 0 else "against the paper" if pair["high"] < 0 else "not told apart"


def transfer(table: pd.DataFrame, split: str) -> Iterator[str]:
    """For each teacher the family that learns worst from it."""
    for taught_on, rows in table.groupby("taught_on", sort=False):
        ranked = records(rows.sort_values("mean"))
        worst, best = ranked[0], ranked[-1]
        if len(rows) < 2:
            alone = f"judged by {worst['judged_on']} alone. More: gtn evaluate RUN --family FAMILY."
            yield f"Taught on {taught_on}: {alone}"
            continue
        kind = "which it was taught on" if worst["known"] else "which it was not taught on"
        yield (
            f"Taught on {taught_on}: worst for {worst['judged_on']}, {kind}, with {percent(worst['mean'])} on the "
            f"{split} split; {points(worst['mean'] - best['mean'])} points from {best['judged_on']}."
        )


def table1(table: pd.DataFrame) -> Iterator[str]:
    """What each method reached at which cost, and what may be compared with the published rows."""
    measured = table[table["source"] == "measured"]
    for row in records(measured):
        spread = "" if pd.isna(row["sd"]) else f" (sd {100 * row['sd']:.2f})"
        yield (
            f"{row['method']} on {row['data']}: {100 * row['error']:.2f} % test error{spread} in "
            f"{plural(row['runs'], 'run')}; {_hours(row['teaching_hours'])} of meta-training, "
            f"{_hours(row['scoring_hours'])} of scoring, {_hours(row['training_hours'])} of training the winner, in "
            f"{row['unit']} time of {row['device']}; beside it {_hours(row['certificate_hours'])} for the certificate."
        )
        if row["runs"] < 2:
            yield "One run has no spread: run other seeds (run.seed=1 run.name=...) and name their directories too."
    if others := sorted(set(measured["data"]) - {"cifar10"}):
        yield f"The published rows are of CIFAR-10, so errors on {', '.join(others)} do not compare with theirs."


def _hours(hours: float) -> str:
    return "an unknown time" if pd.isna(hours) else duration(3600 * hours)
