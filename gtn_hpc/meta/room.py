"""Where a teacher is taught: what meta-training needs to know of the real thing, images or an environment."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch

from gtn_hpc.config import Config
from gtn_hpc.core.records import ImageShape
from gtn_hpc.curriculum.base import Curriculum
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.inner.engine import Task
from gtn_hpc.meta.events import Event
from gtn_hpc.meta.pupil import Tell, nobody
from gtn_hpc.models.precision import PRECISIONS


class Judgement(Protocol):
    """How good a curriculum is, by fresh learners; `summary` in few numbers, for state.json."""

    @property
    def summary(self) -> dict[str, Any]: ...


Found = TypeVar("Found", bound=Judgement)


@dataclass(frozen=True, eq=False)
class Room(ABC, Generic[Found]):
    """The teacher and what judges its learners, on one device."""

    config: Config
    teacher: Curriculum
    device: torch.device

    @property
    def dtype(self) -> torch.dtype:
        return PRECISIONS[self.config.run.precision].dtype

    def begin(self) -> None:
        """What the teacher learns before the first meta-iteration; a run that goes on does without."""

    @property
    @abstractmethod
    def shape(self) -> ImageShape:
        """Of what learners see."""

    @property
    @abstractmethod
    def classes(self) -> int:
        """Of what they tell apart: K."""

    @abstractmethod
    def judged(self, task: Task, iteration: int, replica: int, generation: int) -> Task:
        """The task with the real batches that judge its learner."""

    @abstractmethod
    def progress(self, frozen: Frozen, done: int) -> Event:
        """A quick check of the teacher after `done` meta-iterations."""

    @abstractmethod
    def evaluate(self, frozen: Frozen, tell: Tell = nobody) -> Found:
        """What never-seen learners make of the curriculum, as the section `evaluate` says; `tell` hears of progress."""

    @abstractmethod
    def export(self, path: Path, frozen: Frozen, found: Found | None, dtype: str = "float32") -> None:
        """Writes the curriculum file."""

    @abstractmethod
    def read(self, path: Path) -> Found | None:
        """What `export` wrote of how good the curriculum is."""


AnyRoom = Room[Any]
