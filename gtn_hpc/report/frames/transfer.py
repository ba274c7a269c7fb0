"""How well teachers teach learners of families that they were not taught on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from gtn_hpc.report.frames.judging import Teacher, require_judged, require_same, spread
from gtn_hpc.report.frames.teaching import SOURCES, Array

JOINED = " + "


def transfer(teachers: Sequence[Teacher], split: str) -> pd.DataFrame:
    """One row a mixture that teachers were taught on, their curriculum's arm, and a kind of learner that judges them.

    Columns: taught_on, arm, judged_on, known (the family is one that it was taught on), mean, sd, low, high (accuracy
    after the last step), runs, learners, over (what sd and interval are over), worst (the lowest of its teachers).

    Raises:
        StorageError: runs differ in images, or one was not judged on the split.
    """
    require_same(teachers, "data")
    found: dict[tuple[str, str, str], list[Array]] = {}
    for teacher in teachers:
        judgements = teacher.judged(split)
        require_judged(teacher, judgements, split)
        for judge, accuracy in _by_kind(teacher, split).items():
            found.setdefault((JOINED.join(teacher.taught_on), teacher.arm, judge), []).append(accuracy)
    rows = []
    for (taught_on, arm, judged_on), runs in found.items():
        told = asdict(spread(runs))
        told["mean"] = told.pop("value")
        known = _family(judged_on) in map(_family, taught_on.split(JOINED))
        rows.append({"taught_on": taught_on, "arm": arm, "judged_on": judged_on, "known": known, **told})
    table = pd.DataFrame(rows)
    of_teacher = table.groupby(["taught_on", "arm"])
    lowest = of_teacher["mean"].transform("min")
    several = of_teacher["judged_on"].transform("size") > 1
    columns = ["taught_on", "arm", "judged_on", "known", "mean", "sd", "low", "high", "runs", "learners", "over"]
    return table[columns].assign(worst=(table["mean"] == lowest) & several)


def _by_kind(teacher: Teacher, split: str) -> Mapping[str, Array]:
    """Final accuracies by kind of learner, from the judgement with the most of that kind."""
    found: dict[str, Array] = {}
    for judgement in teacher.judged(split):
        last = judgement.accuracy[SOURCES["teacher"]][:, -1]
        for judge in dict.fromkeys(judgement.judges):
            own = last[np.array(judgement.judges) == judge]
            if len(own) > len(found.get(judge, ())):
                found[judge] = own
    return found


def _family(kind: str) -> str:
    return kind.replace(",", " ").split()[0]


def renamed(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table with kinds of learners by their family alone, where that tells them apart, and what names mean.

    Where arms differ, `taught_on` names them too.
    """
    names = dict.fromkeys([*(kind for row in table["taught_on"] for kind in row.split(JOINED)), *table["judged_on"]])
    families = [_family(name) for name in names]
    short = {name: _family(name) if families.count(_family(name)) == 1 else name for name in names}
    arms = "" if table["arm"].nunique() == 1 else " (" + table["arm"] + ")"
    taught_on = table["taught_on"].map(lambda row: JOINED.join(short[kind] for kind in row.split(JOINED))) + arms
    shown = table.assign(taught_on=taught_on, judged_on=table["judged_on"].map(short))
    return shown, {brief: name for name, brief in short.items()}
