"""The paper's table: what a search found, how large it is, and what finding and training it took."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gtn_hpc import scores, stats
from gtn_hpc.config import Config, parse
from gtn_hpc.config.curriculum import curriculum_path
from gtn_hpc.core.environment import count_gpus
from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.report.frames.published import published
from gtn_hpc.report.frames.teaching import read_lessons, teacher_seconds
from gtn_hpc.scores import ScoreTables

HOUR = 3600.0
GROUP = ["method", "space", "filters", "data", "unit", "device"]
PARTS = ["teaching_hours", "scoring_hours", "certificate_hours", "training_hours"]
COLUMNS = ["source", "method", "space", "data", "filters", "error", "sd", "low", "high", "runs", "params",
           "searching_hours", *PARTS, "unit", "device"]  # fmt: skip


def winners(runs: Mapping[str, Path]) -> pd.DataFrame:
    """One row a run: of the winners trained on real data the one with the best validation accuracy.

    Columns: run, those of `table1`, and arch, val_accuracy, recipe, epochs. Hours are those of a core or of a GPU
    (`unit`), as `device` took them: meta-training, scores, certificate, and the training of this winner.

    Raises:
        StorageError: a run has no winner.
    """
    return pd.DataFrame([_winner(name, path) for name, path in runs.items()])


def _winner(name: str, path: Path) -> dict[str, Any]:
    with scores.open(path) as tables:
        rows = tables.final[tables.final["status"] == "ok"]
        if rows.empty:
            raise StorageError(
                f"{tables.path} holds no winner that was trained on real data.",
                remedy=f"Train the best: gtn final CONFIG --top-k N, with the configuration of {name}.",
            )
        best = rows.sort_values(["val_accuracy", "arch"]).iloc[-1]
        config = parse(tables.config)
        told = {column: best[column] for column in ("arch", "val_accuracy", "recipe", "epochs", "params", "data")}
        return {"run": name, **told, **_search(config, tables), **_cost(config, tables, float(best["seconds"])),
                "error": 1 - float(best["test_accuracy"])}  # fmt: skip


def _search(config: Config, tables: ScoreTables) -> dict[str, Any]:
    """What is searched, and how. F is that of the final networks."""
    recipe, space = config.final.recipe, config.search.space
    filters = recipe.filters or getattr(space, "filters", None)
    cutout = " + cutout" if recipe.cutout else ""
    method = f"{config.search.algorithm.name} search + {_teacher(config, tables.path.parent)}{cutout}"
    return {"method": method, "space": space.name, "filters": np.nan if filters is None else float(filters)}


def _teacher(config: Config, run: Path) -> str:
    """`GTN` with its arm where that is not the paper's full one."""
    path = curriculum_path(config, RunDirectory(run))
    arm = str(read_lessons(path).attributes.get("arm", "unknown")) if path.is_file() else "unknown"
    return "GTN" if arm == "full" else f"GTN ({arm})"


def _cost(config: Config, tables: ScoreTables, training: float) -> dict[str, Any]:
    unit, device = device_of(config, tables.environment)
    threads = config.run.threads if unit == "core" else 1
    shared = 1.0 if unit == "core" else sharing(config, tables.environment)
    seconds = {
        "teaching_hours": teacher_seconds(tables) * threads,
        "scoring_hours": tables.read("scores", ("seconds",))["seconds"].sum() * threads / shared,
        "certificate_hours": tables.certificate["seconds"].sum() * threads / shared,
        "training_hours": training * threads,
    }
    return {name: float(value) / HOUR for name, value in seconds.items()} | {"unit": unit, "device": device}


def sharing(config: Config, environment: Mapping[str, Any]) -> float:
    """Workers a GPU, which are dealt out to all that the job had on a host unless one is named."""
    gpus = 1 if ":" in config.run.device else _gpus_of_job(environment)
    return max(1.0, config.search.workers / max(1, gpus))


def _gpus_of_job(environment: Mapping[str, Any]) -> int:
    told = str(environment.get("slurm", {}).get("SLURM_GPUS_ON_NODE", ""))
    return count_gpus(told, environment.get("visible_gpus"), environment.get("gpus", []))


def device_of(config: Config, environment: Mapping[str, Any]) -> tuple[str, str]:
    """`GPU` or `core`, and the model: a GPU's where the configuration asks for one, or for any and there is one."""
    gpus = environment.get("gpus", [])
    if config.run.device.startswith("cuda") or (config.run.device == "auto" and gpus):
        return "GPU", str(gpus[0]) if gpus else "unknown GPU"
    return "core", str(environment.get("processor", "unknown processor"))


def table1(found: pd.DataFrame) -> pd.DataFrame:
    """Measured rows, runs of one method (by their seeds) together, and those that were published.

    Columns: source (measured, published), method, space, data, filters (F), error (on the test split), sd, low, high
    (Student's 95 % interval over runs), runs, params, searching_hours (meta-training and scoring) and its parts,
    training_hours, unit, device; means over runs.
    """
    rows = []
    for names, of_method in found.groupby(GROUP, sort=False, dropna=False):
        error = stats.mean(of_method["error"], within=(0, 1))
        sd = stats.sd(of_method["error"])
        told: dict[str, Any] = dict(zip(GROUP, names, strict=True))
        told |= {name: float(of_method[name].mean(skipna=False)) for name in ("params", *PARTS)}
        told |= {"error": error.value, "sd": sd, "low": error.low, "high": error.high, "runs": len(of_method)}
        rows.append({"source": "measured", **told, "searching_hours": told["teaching_hours"] + told["scoring_hours"]})
    return pd.concat([pd.DataFrame(rows), published()], ignore_index=True)[COLUMNS]
