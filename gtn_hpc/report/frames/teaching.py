"""What a curriculum file says of its teacher, and what the events say of its meta-training."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gtn_hpc import stats, storage
from gtn_hpc.config import parse
from gtn_hpc.config.curriculum import curriculum_path
from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.events import meta_seconds
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.curriculum.parts import DIMS, SCHEMA
from gtn_hpc.scores import ScoreTables
from gtn_hpc.stats import Estimate

SOURCES = {"teacher": "teacher", "real_data": "real data"}

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Lessons:
    """A curriculum read without torch.

    `x` [T, B, C, H, W] normalised, `y` [T, B, K], `lr` and `momentum` [T]; `accuracy` by source (teacher, real data):
    [learners, T] after each inner step, none where the teacher was not evaluated.
    """

    x: Array
    y: Array
    lr: Array
    momentum: Array
    accuracy: Mapping[str, Array]
    attributes: Mapping[str, Any]

    @property
    def steps(self) -> int:
        return len(self.x)

    @property
    def classes(self) -> int:
        return int(self.y.shape[2])


def curriculum_file(path: Path) -> Path:
    """That of a run directory, or `path` itself."""
    return RunDirectory(path).curriculum if path.is_dir() else path


def read_lessons(path: Path) -> Lessons:
    """The curriculum file at `path`. Errors: StorageError."""
    with storage.open_file(path, SCHEMA) as file:
        columns = file.read("/", list(DIMS))
        told = file.read("evaluation") if "evaluation" in file.groups else {}
        accuracy = {name: told[column] for column, name in SOURCES.items() if column in told}
        return Lessons(**columns, accuracy=accuracy, attributes=dict(file.attributes))


def learning(lessons: Lessons) -> pd.DataFrame:
    """Mean accuracy over learners after each inner step, by source, with Student's 95 % interval as far as it lies
    between 0 and 1.

    Columns: source, step (from 1), mean, low, high, learners.
    """
    rows = [
        {"source": source, "step": step, "mean": found.value, "low": found.low, "high": found.high, "learners": found.n}
        for source, accuracy in lessons.accuracy.items()
        for step, found in enumerate((stats.mean(column, within=(0, 1)) for column in accuracy.T), start=1)
    ]
    return pd.DataFrame(rows, columns=["source", "step", "mean", "low", "high", "learners"])


def evaluated(lessons: Lessons, path: Path) -> Lessons:
    """The lessons, or an error where nobody was taught by them."""
    if not lessons.accuracy:
        raise StorageError(
            f"{path} holds no accuracies of learners.",
            remedy="Take one that gtn train wrote for images, or what gtn export made of it: these hold them. "
            f"Of any other gtn evaluate {shlex.quote(str(path))} --config CONFIG --json prints them after each step "
            "and keeps none.",
        )
    return lessons


def advantage(lessons: Lessons) -> Estimate | None:
    """Accuracy at the end, teacher minus real data, paired by learner; None without a control."""
    taught, real = (lessons.accuracy.get(name) for name in SOURCES.values())
    return None if taught is None or real is None else stats.paired_difference(taught[:, -1], real[:, -1])


def iterations(events: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Logged meta-iterations, those done twice once.

    Columns: iteration (from 1), loss, gradient_norm, lr, steps, seconds (of each rank), ranks.
    """
    rows = {event["iteration"] + 1: event for event in events if event["kind"] == "iterated"}
    names = ["loss", "gradient_norm", "lr", "steps", "seconds", "ranks"]
    blank = {"ranks": 1}  # older events name none
    table = [
        {"iteration": number} | {name: event.get(name, blank.get(name)) for name in names}
        for number, event in rows.items()
    ]
    return pd.DataFrame(table, columns=["iteration", *names]).sort_values("iteration", ignore_index=True)


def teacher_seconds(tables: ScoreTables) -> float:
    """`meta_seconds` of the run that the curriculum of the scores came from."""
    run = RunDirectory(tables.path.parent)
    taught = curriculum_path(parse(tables.config), run) if tables.config.strip() else run.curriculum
    return meta_seconds(taught.parent)


def evaluations(events: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Evaluations during meta-training: iteration, accuracy, sd (over learners), low and high (mean -+ sd)."""
    rows = {event["iteration"]: event for event in events if event["kind"] == "evaluated"}
    table = [{"iteration": number, "accuracy": event["accuracy"], "sd": event["sd"]} for number, event in rows.items()]
    frame = pd.DataFrame(table, columns=["iteration", "accuracy", "sd"]).sort_values("iteration", ignore_index=True)
    sd = frame["sd"].fillna(0.0).astype(float)
    return frame.assign(low=frame["accuracy"] - sd, high=frame["accuracy"] + sd)


def accuracy_at_end(lessons: Lessons, source: str = "teacher") -> Estimate:
    """Mean over learners after the last step, with Student's interval as far as it lies between 0 and 1."""
    return stats.mean(np.asarray(lessons.accuracy[source])[:, -1], within=(0, 1))
