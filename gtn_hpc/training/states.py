"""Learners that may be taken up again, on disk: a promoted learner goes on where it was, on any rank."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gtn_hpc.checkpoint import latest, save
from gtn_hpc.core.errors import StorageError
from gtn_hpc.inner.step import LearnerState
from gtn_hpc.training.run import Measurement, Progress


@dataclass(frozen=True)
class States:
    """A directory for each learner below `directory`, named by its key without fidelity."""

    directory: Path

    def save(self, learner: str, progress: Progress) -> None:
        """Keeps the newest only."""
        curve = {str(step): asdict(found) for step, found in progress.curve.items()}
        save(self.directory / learner, progress.steps, asdict(progress.state), {"curve": curve}, keep=1)

    def load(self, learner: str, most: int, like: LearnerState) -> Progress | None:
        """The learner after at most `most` steps, on the device of `like`; None where there is none that is whole."""
        try:
            loaded = latest(self.directory / learner)
        except StorageError:
            return None
        if loaded is None or loaded.step > most:
            return None
        curve = {int(step): Measurement(**found) for step, found in loaded.meta["curve"].items()}
        return Progress(loaded.step, _placed(loaded.tensors, like), curve)

    def forget(self, learner: str) -> None:
        shutil.rmtree(self.directory / learner, ignore_errors=True)


def _placed(tensors: dict[str, Any], like: LearnerState) -> LearnerState:
    device = next(iter(like.params.values())).device
    return LearnerState(**{part: {k: v.to(device) for k, v in named.items()} for part, named in tensors.items()})
