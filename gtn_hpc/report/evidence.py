"""What a run directory holds, opened for the report."""

import functools
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gtn_hpc import scores
from gtn_hpc.config import Config, load
from gtn_hpc.config.curriculum import curriculum_path
from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.events import read_events
from gtn_hpc.core.records import Architecture, ImageShape
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.report.frames.estimates import controls, estimates, pairs, truths
from gtn_hpc.report.frames.ranking import correlations, rivals
from gtn_hpc.report.frames.teaching import Lessons, read_lessons
from gtn_hpc.scores import ScoreTables
from gtn_hpc.spaces import Space, make_space


@dataclass(frozen=True, eq=False)
class Evidence:
    """The files of one run; None for those that are not there yet. Damaged ones are StorageErrors.

    Curriculum, lessons and events (of meta-training) are those of the teacher that the search took.
    """

    run: RunDirectory
    config: Config
    curriculum: Path
    lessons: Lessons | None
    tables: ScoreTables | None
    events: tuple[dict[str, Any], ...]
    environment: dict[str, Any]

    @functools.cached_property
    def space(self) -> Space | None:
        """The searched space; None without a curriculum, which says how large the images are."""
        if self.lessons is None:
            return None
        return make_space(self.config.search.space, ImageShape(*self.lessons.x.shape[2:]), self.lessons.classes)

    @functools.cached_property
    def estimates(self) -> pd.DataFrame:
        """As `frames.estimates`, the best first."""
        if self.tables is None:
            return pd.DataFrame(columns=["arch", "estimate", "params", "flops"])
        found = estimates(self.tables.scores).reset_index()
        return found.sort_values(["estimate", "arch"], ascending=[False, True], ignore_index=True)

    @functools.cached_property
    def pairs(self) -> pd.DataFrame:
        """Architectures with an estimate and a truth."""
        if self.tables is None:
            return pd.DataFrame(columns=["arch"])
        return pairs(self.tables.scores, truths(self.tables))

    @functools.cached_property
    def correlations(self) -> pd.DataFrame:
        """Rank correlations of `pairs`, as `frames.ranking.correlations`."""
        return correlations(self.pairs, self.config.run.seed)

    @functools.cached_property
    def rivals(self) -> pd.DataFrame:
        """Other ways to rank `pairs`, as `frames.ranking.rivals`."""
        assert self.tables is not None
        return rivals(self.pairs, controls(self.tables), self.config.run.seed)

    @functools.cached_property
    def specifications(self) -> dict[str, Architecture]:
        if self.tables is None:
            return {}
        rows = self.tables.architectures[["arch", "space", "spec"]].itertuples(index=False)
        return {str(arch): Architecture(str(space), json.loads(str(spec))) for arch, space, spec in rows}

    def command(self, text: str) -> str:
        """`text` with RUN replaced by the run directory, which also stands for its configuration."""
        return text.replace("RUN", shlex.quote(str(self.run.path)))

    @property
    def own(self) -> bool:
        """Whether the teacher that the search took is the run's."""
        return self.curriculum == self.run.curriculum

    @property
    def judging(self) -> str:
        """The command that judges the teacher that the search took, by our configuration where its file has none."""
        if self.own:
            return self.command("gtn evaluate RUN")
        told = self.lessons is not None and str(self.lessons.attributes.get("config", "")).strip()
        return f"gtn evaluate {shlex.quote(str(self.curriculum))}" + ("" if told else self.command(" --config RUN"))

    def drawing(self, arch: str) -> str:
        """SVG of an architecture by its digest; '' where it cannot be drawn."""
        found = self.specifications.get(arch)
        return "" if self.space is None or found is None else self.space.draw(found)


def gather(run: RunDirectory) -> Evidence:
    """Opens what is there. Errors: ConfigError, StorageError."""
    config = load(run.config)
    curriculum = curriculum_path(config, run)
    events = RunDirectory(curriculum.parent).training_events
    return Evidence(
        run=run,
        config=config,
        curriculum=curriculum,
        lessons=read_lessons(curriculum) if curriculum.is_file() else None,
        tables=scores.open(run.scores) if run.scores.is_file() else None,
        events=tuple(read_events(events)) if events.is_file() else (),
        environment=_environment(run.environment),
    )


def _environment(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise StorageError(
            f"{path} is not JSON: {error}.", remedy="Remove the file; the next stage writes it."
        ) from error
    return found
