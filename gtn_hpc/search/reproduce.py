"""Scoring an architecture again from the files alone: what does a recorded number rest on?"""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtn_hpc import scores
from gtn_hpc.cluster.environment import detect
from gtn_hpc.config import Config, parse
from gtn_hpc.config.curriculum import curriculum_path
from gtn_hpc.core import environment
from gtn_hpc.core.errors import RunError
from gtn_hpc.core.records import Architecture, Score
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.search.pools import setting_of
from gtn_hpc.training.request import Request
from gtn_hpc.training.setting import Setting

if TYPE_CHECKING:
    import pandas as pd

SURROUNDINGS = ("processor", "gtn_hpc", "revision")

FROM_FILES = {"ok", "nan", "diverged"}
"""Statuses that follow from the files; the others came of limits, a machine or a fault."""


@dataclass(frozen=True)
class Again:
    """One recorded row, its `status`, and its value now: None where that status does not follow from the files.

    `same_key` is false where the files no longer say what the row was made with (another curriculum, other settings);
    `surroundings` names what of machine and software differs from the recording.
    """

    key: str
    arch: str
    fidelity: int
    replica: int
    status: str
    recorded: float
    recorded_loss: float
    now: Score | None
    same_key: bool
    surroundings: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether accuracy and loss have the same bits (NaN equals NaN); not of a row that was left out."""
        if self.now is None:
            return False
        pairs = ((self.recorded, self.now.val_accuracy), (self.recorded_loss, self.now.val_loss))
        return self.same_key and all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in pairs)


def reproduce(path: Path, arch: str) -> list[Again]:
    """Scores every recorded row of the architecture whose digest begins with `arch` once more, in this process.

    Rows that limits, a machine or a fault ended are left out: nothing bounds an evaluation here.

    Configuration and specification come from `path` (a scores.h5, or the run directory that has one), the curriculum
    from `search.curriculum` or beside it. Cost: that of the first evaluations.

    Raises:
        RunError: no such architecture, or several; or the file has no configuration, as merged ones have none.
        StorageError: scores or curriculum are missing or damaged.
    """
    from gtn_hpc.cluster.device import choose, enter
    from gtn_hpc.training.evaluator import Evaluator

    path = RunDirectory(path).scores if path.is_dir() else path
    with scores.open(path) as tables:
        config = _config(path, tables.config)
        architecture = _find(path, tables.architectures, arch)
        rows = tables.scores[tables.scores["arch"] == architecture.digest]
        differing = tuple(_differing(tables.environment))
    setting = _setting(config, path)
    evaluator = Evaluator(setting, str(enter(choose(config.run.device, detect()))))
    return [_again(setting, evaluator.evaluate, architecture, row, differing) for row in rows.to_dict("records")]


def _config(path: Path, text: str) -> Config:
    if not text.strip():
        raise RunError(
            f"{path} has no configuration to reproduce from: gtn scores merge joins rows of several runs, or the run "
            "had no config.yaml.",
            remedy="Name the run that scored the architecture, or the scores.h5 in its directory.",
        )
    config = parse(text, where=f"The configuration in {path}")
    return config.model_copy(update={"data": config.data.present})


def _again(setting: Setting, evaluate: Any, architecture: Architecture, row: Any, differing: tuple[str, ...]) -> Again:
    request = Request(architecture, int(row["fidelity"]), int(row["replica"]))
    status = str(row["status"])
    now: Score | None = evaluate(request) if status in FROM_FILES else None
    return Again(
        key=str(row["key"]),
        arch=architecture.digest,
        fidelity=request.fidelity,
        replica=request.replica,
        status=status,
        recorded=float(row["val_accuracy"]),
        recorded_loss=float(row["val_loss"]),
        now=now,
        same_key=setting.identity.key(request) == row["key"],
        surroundings=differing,
    )


def _find(path: Path, table: "pd.DataFrame", arch: str) -> Architecture:
    found = table[table["arch"].str.startswith(arch)]
    if len(found) != 1:
        what = "no architecture" if found.empty else f"{len(found)} architectures"
        raise RunError(
            f"{path} holds {what} whose digest begins with '{arch}'.",
            remedy="Take one of the column arch: gtn scores show lists them.",
        )
    row = found.iloc[0]
    return Architecture(str(row["space"]), json.loads(row["spec"]))


def _setting(config: Config, path: Path) -> Setting:
    run = RunDirectory(path.resolve().parent)
    return replace(setting_of(config, run, curriculum_path(config, run)), states=None)


def _differing(recorded: Any) -> list[str]:
    """What of the surroundings is not as it was."""
    now = environment.describe()
    changed = [name for name in SURROUNDINGS if recorded.get(name) != now.get(name)]
    before, after = recorded.get("packages", {}), now["packages"]
    return changed + [name for name in ("torch", "numpy") if before.get(name) != after.get(name)]
