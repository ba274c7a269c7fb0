"""What is known of a teacher: what it is, who was taught on it, and how good never-seen learners became."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gtn_hpc import stats, storage
from gtn_hpc.config import Config, parse
from gtn_hpc.config.teaching import Learner
from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.events import meta_seconds
from gtn_hpc.curriculum.parts import JUDGEMENT
from gtn_hpc.report.frames.teaching import SOURCES, Array, curriculum_file, read_lessons

SPLITS = ("validation", "test")


@dataclass(frozen=True, eq=False)
class Judgement:
    """Never-seen learners on one split: `judges` names the kind of each, `accuracy` [learners, T] by source as in
    `Lessons`."""

    split: str
    judges: tuple[str, ...]
    accuracy: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Teacher:
    """`taught_on` names the kinds of learner, `arm` the curriculum's, `seconds` those of meta-training (NaN: unknown);
    `outdated` counts judgements of another curriculum, which are left out."""

    run: str
    arm: str
    data: str
    taught_on: tuple[str, ...]
    seed: int | None
    steps: int
    seconds: float
    judgements: tuple[Judgement, ...]
    outdated: int

    def judged(self, split: str) -> tuple[Judgement, ...]:
        """On one split, for each kind of learner the judgement with the most of them."""
        best: dict[frozenset[str], Judgement] = {}
        for found in self.judgements:
            kinds = frozenset(found.judges)
            if found.split == split and len(found.judges) > len(getattr(best.get(kinds), "judges", ())):
                best[kinds] = found
        return tuple(best.values())

    def own(self, split: str) -> tuple[Judgement, ...]:
        """One at most, by learners of the mixture that it was taught on."""
        kinds = {*self.taught_on, " + ".join(self.taught_on)}
        found = [one for one in self.judged(split) if kinds.issuperset(one.judges)]
        return tuple(sorted(found, key=lambda one: len(one.judges))[-1:])


def read_teacher(path: Path, name: str) -> Teacher:
    """That of a run directory with all of its judgements, or of a curriculum file.

    Raises:
        StorageError, ConfigError: a file is missing or damaged.
    """
    curriculum = curriculum_file(path)
    lessons = read_lessons(curriculum)
    told = lessons.attributes
    config = parse(str(told["config"])) if str(told.get("config", "")).strip() else None
    taught_on = kinds(config.learners) if config else tuple(json.loads(str(told.get("learners", "[]"))))
    own = _own(lessons.accuracy, curriculum, taught_on, config)
    others = [_judgement(file) for file in sorted(curriculum.parent.glob("evaluations/*.h5"))]
    return Teacher(
        run=name,
        arm=str(told.get("arm", "unknown")),
        data=str(told.get("data", "unknown")),
        taught_on=taught_on or ("unknown",),
        seed=config.run.seed if config else None,
        steps=lessons.steps,
        seconds=meta_seconds(curriculum.parent),
        judgements=(*own, *(found for digest, found in others if digest == told.get("digest"))),
        outdated=sum(digest != told.get("digest") for digest, _ in others),
    )


def kinds(sections: Iterable[Learner]) -> tuple[str, ...]:
    """Each kind of learner of a mixture in words."""
    return tuple(dict.fromkeys(kind(section) for section in sections))


def kind(section: Learner) -> str:
    """The family, and what is not usual about it: `conv2-fc 8-31 16-63 32-127`, `conv5 fixed, no weight norm`."""
    widths = "" if section.widths == "random" else f" {_widths(section.widths)}"
    norm = "" if section.norm == "batch" else f", norm {section.norm.replace('_', ' ')}"
    return f"{section.family}{widths}{norm}{'' if section.weight_norm else ', no weight norm'}"


def _widths(widths: str | Sequence[int | tuple[int, int]]) -> str:
    if isinstance(widths, str):
        return widths
    return " ".join(str(width) if isinstance(width, int) else f"{width[0]}-{width[1] - 1}" for width in widths)


def _own(
    accuracy: Mapping[str, Array], path: Path, taught_on: Sequence[str], config: Config | None
) -> tuple[Judgement, ...]:
    """What the end of meta-training wrote into the curriculum file."""
    if not accuracy or not taught_on:
        return ()
    with storage.open_file(path) as file:
        columns, split = file.read("evaluation"), str(file.attributes.get("evaluation_split", "validation"))
    sections = config.learners if config else ()
    count = len(accuracy[SOURCES["teacher"]])
    return (
        Judgement(split, _judges(columns.get("family", ()), sections) or (" + ".join(taught_on),) * count, accuracy),
    )


def _judgement(path: Path) -> tuple[str, Judgement]:
    """Of which curriculum, and what."""
    with storage.open_file(path, JUDGEMENT) as file:
        columns, told = file.read("evaluation"), file.attributes
    sections = [Learner.model_validate(section) for section in _read_json(path, told)]
    accuracy = {name: columns[column] for column, name in SOURCES.items() if column in columns}
    return str(told["curriculum"]), Judgement(
        str(told["evaluation_split"]), _judges(columns["family"], sections), accuracy
    )


def _read_json(path: Path, told: Mapping[str, Any]) -> Any:
    try:
        return json.loads(told["judges"])
    except (KeyError, ValueError) as error:
        raise StorageError(f"{path} does not say who judged.", remedy="Judge again: gtn evaluate RUN.") from error


def _judges(families: Iterable[str], sections: Iterable[Learner]) -> tuple[str, ...]:
    """The kind of each learner; one family that a mixture has twice is named by both."""
    names: dict[str, list[str]] = {}
    for section in sections:
        names.setdefault(section.family, []).append(kind(section))
    return tuple(" or ".join(dict.fromkeys(names.get(family, [family]))) for family in families)


@dataclass(frozen=True)
class Spread:
    """Mean of several runs; standard deviation and interval `over` runs, or over the learners of a single run."""

    value: float
    sd: float
    low: float
    high: float
    runs: int
    learners: int
    over: str


def spread(runs: Sequence[Array]) -> Spread:
    """Of the accuracies of each run's learners; Student's 95 % interval, as far as it lies between 0 and 1."""
    several = len(runs) > 1
    sample = np.array([run.mean() for run in runs]) if several else runs[0]
    found = stats.mean(sample, within=(0, 1))
    sd = stats.sd(sample)
    count = sum(len(run) for run in runs)
    return Spread(found.value, sd, found.low, found.high, len(runs), count, "runs" if several else "learners")


def require_same(teachers: Sequence[Teacher], *names: str) -> None:
    """Passes where teachers agree in the attributes `names`. Errors: StorageError, which lists what differs."""
    for name in names:
        values: dict[str, list[str]] = {}
        for teacher in teachers:
            values.setdefault(str(getattr(teacher, name)), []).append(teacher.run)
        if len(values) > 1:
            told = "; ".join(f"{value}: {', '.join(runs)}" for value, runs in values.items())
            raise StorageError(f"These runs do not compare: their {name} differ ({told}).", remedy="Name equal ones.")


def require_judged(teacher: Teacher, found: Sequence[Judgement], split: str) -> None:
    """Passes where somebody judged the teacher on the split. Errors: StorageError."""
    if not found:
        old = f" ({teacher.outdated} judgements are of a curriculum before this one)" if teacher.outdated else ""
        raise StorageError(
            f"Nobody judged the run {teacher.run} on the {split} split{old}.",
            remedy=f"Judge it: gtn evaluate RUN --split {split}, or name the other --split.",
        )
