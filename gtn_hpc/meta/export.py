"""From a frozen teacher to a curriculum file that explains itself, and back to how good it was."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gtn_hpc import storage
from gtn_hpc.config import Config, dump
from gtn_hpc.core.records import digest as digest_of
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.curriculum import file
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.curriculum.parts import JUDGEMENT, SCHEMA
from gtn_hpc.data import Splits
from gtn_hpc.meta.evaluation import Evaluation
from gtn_hpc.meta.pupil import ON_THE_WAY
from gtn_hpc.meta.real_data import Control
from gtn_hpc.storage import Column, Schema


def export(
    path: Path, config: Config, splits: Splits, frozen: Frozen, evaluation: Evaluation | None, dtype: str = "float32"
) -> None:
    """Writes `frozen` to `path` with image set, normalisation, inner optimiser, taught families and accuracies."""
    description = file.Description.of(config, splits.name, splits.train.mean, splits.train.std)
    columns, attributes = ({}, {}) if evaluation is None else _told(evaluation)
    file.write(path, frozen, description, config=dump(config), dtype=dtype, evaluation=columns, attributes=attributes)


def read_evaluation(path: Path, schema: Schema = SCHEMA) -> Evaluation | None:
    """What `export` wrote about the accuracy of the curriculum at `path`, None where it was not measured; or, of a file
    of the schema `JUDGEMENT`, what `record` wrote."""
    with storage.open_file(path, schema) as opened:
        if "evaluation" not in opened.groups:
            return None
        columns, attributes = opened.read("evaluation"), opened.attributes
    control = None
    if "real_data" in columns:
        control = Control(
            lr=float(attributes["control_lr"]),
            momentum=float(attributes["control_momentum"]),
            statistics=str(attributes["control_statistics"]),
            accuracy=columns["real_data"],
            diverged=_count(attributes.get("control_diverged")),
        )
    families = tuple(columns.get("family", ()))
    split, diverged = str(attributes["evaluation_split"]), _count(attributes.get("accuracy_diverged"))
    return Evaluation(split, columns["teacher"], control, families, _longer(columns), diverged)


def _count(stored: Any) -> int | None:
    """None where the file is of before it was counted."""
    return None if stored is None else int(stored)


def record(run: RunDirectory, config: Config, digest: str, evaluation: Evaluation) -> Path:
    """Keeps an evaluation of the run's curriculum `digest` by the learners of `config`; returns the file.

    One file a split and mixture of learners in `evaluations/`: a new evaluation takes the place of the one before.
    """
    judges = [section.model_dump(mode="json") for section in config.learners]
    families = "+".join(dict.fromkeys(section.family for section in config.learners))
    path = run.evaluations / f"{evaluation.split}-{families}-{digest_of(judges)[:8]}.h5"
    columns, attributes = _told(evaluation)
    told = attributes | {"curriculum": digest, "judges": json.dumps(judges)}
    storage.write(path, {"evaluation": columns}, told, schema=JUDGEMENT, config=dump(config))
    return path


def _told(evaluation: Evaluation) -> tuple[dict[str, Column], dict[str, str | float | int]]:
    dims = ("learner", "inner_step")
    told = f"accuracy on the {evaluation.split} split after each inner step, before the last on at most {ON_THE_WAY}"
    columns = {"teacher": Column(evaluation.teacher, "1", f"{told}, taught by this curriculum", dims)}
    if evaluation.families:
        columns["family"] = Column(list(evaluation.families), "", "network family of the learner", dims[:1])
    attributes: dict[str, str | float | int] = {
        "evaluation_split": evaluation.split,
        "accuracy_mean": float(evaluation.teacher[:, -1].mean()),
        "accuracy_learners": len(evaluation.teacher),
    }
    if evaluation.diverged is not None:
        attributes["accuracy_diverged"] = evaluation.diverged
    if evaluation.control is not None:
        control = evaluation.control
        columns["real_data"] = Column(control.accuracy, "1", f"{told}, the same learners on real data", dims)
        attributes |= {
            "control_accuracy_mean": float(control.accuracy[:, -1].mean()),
            "control_lr": control.lr,
            "control_momentum": control.momentum,
            "control_statistics": control.statistics,
        }
        attributes |= {} if control.diverged is None else {"control_diverged": control.diverged}
    return columns | _told_longer(evaluation), attributes


def _told_longer(evaluation: Evaluation) -> dict[str, Column]:
    """Real data for more steps, one row a number of steps."""
    if not evaluation.longer:
        return {}
    controls, told, dims = evaluation.longer.values(), "of the same learners on real data for longer", ("length",)
    last = np.array([control.accuracy[:, -1] for control in controls])
    counts = [control.diverged for control in controls]
    counted = {"longer_diverged": Column(np.array(counts), "1", f"learners that diverged {told}", dims)}
    return (counted if None not in counts else {}) | {
        "longer_steps": Column(np.array(list(evaluation.longer)), "1", f"inner steps {told}", dims),
        "longer_real_data": Column(last, "1", f"accuracy on the {evaluation.split} split {told}", (*dims, "learner")),
        "longer_lr": Column(np.array([c.lr for c in controls]), "1", f"learning rate {told}", dims),
        "longer_momentum": Column(np.array([c.momentum for c in controls]), "1", f"momentum {told}", dims),
        "longer_statistics": Column([c.statistics for c in controls], "", f"statistics {told}", dims),
    }


def _longer(columns: Mapping[str, Any]) -> dict[int, Control]:
    parts = ("longer_steps", "longer_lr", "longer_momentum", "longer_statistics", "longer_real_data")
    counts = columns.get("longer_diverged", [None] * len(columns.get("longer_steps", ())))
    rows = zip(*(columns.get(part, ()) for part in parts), counts, strict=True)
    return {
        int(n): Control(float(lr), float(m), str(kind), last[:, None], _count(count))
        for n, lr, m, kind, last, count in rows
    }
