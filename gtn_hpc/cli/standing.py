"""How far a run is, read from its files while it goes on; nothing is written and nobody is asked."""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtn_hpc.cli.scored import Scored, planned
from gtn_hpc.core.errors import ConfigError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.core.status import RUNNING

if TYPE_CHECKING:
    from gtn_hpc.config import Config

TAIL = 64 * 1024
"""Bytes at the end of the event log that are looked at."""


@dataclass
class Watcher:
    """Follows one run; each `look` reads only what was appended since the last."""

    run: RunDirectory
    scored: Scored = field(default_factory=Scored)
    finals: int = 0

    def __post_init__(self) -> None:
        from gtn_hpc.scores import JournalReader

        self._reader = JournalReader(self.run.journal)

    def look(self) -> dict[str, Any]:
        """JSON-able: whether a requeue is wanted, and what is known of each stage that has begun."""
        state = self.run.read_state()
        stages = state.get("stages", {})
        found: dict[str, Any] = {"run": str(self.run.path), "wants_requeue": bool(state.get("wants_requeue"))}
        if "train" in stages:
            found["train"] = stages["train"] | self._training(running=_runs(stages["train"]))
        self._read_journals()
        if self.scored.archs or "search" in stages:
            search = stages.get("search", {})
            found["search"] = self._searching(search) | _status(search)
        if self.finals or "final" in stages:
            found["final"] = {"trained": self.finals} | _status(stages.get("final", {}))
        return found

    def _training(self, *, running: bool) -> dict[str, Any]:
        last = _last_events(self.run.training_events)
        told: dict[str, Any] = {}
        if step := last.get("iterated"):
            done, total = step["iteration"] + 1, step["iterations"]
            told |= {"iteration": done, "iterations": total, "loss": step["loss"], "updated": step["time"]}
            told |= {"seconds_left": (total - done) * (step["seconds"] or 0.0)} if running else {}
        if judged := last.get("evaluated"):
            told["evaluated"] = {key: judged[key] for key in ("iteration", "accuracy", "sd", "learners")}
        if played := last.get("played"):
            told["evaluated"] = {key: played[key] for key in ("iteration", "mean_return", "sd", "policies")}
        return told

    def _searching(self, search: dict[str, Any]) -> dict[str, Any]:
        """By the last search's budget, whatever budget a later stage was started with."""
        config, now = self._config(), time.time()
        if config is None:
            return self.scored.summary(now, None)
        budget = search.get("budget", config.search.budget)
        left = self.scored.certificate_left(config, budget)
        return self.scored.summary(now, planned(config, budget), left, running=_runs(search))

    def _config(self) -> "Config | None":
        """None where this version cannot read it."""
        from gtn_hpc.config import load

        try:
            return load(self.run.config)
        except ConfigError:
            return None

    def _read_journals(self) -> None:
        for piece in self._reader.pieces():
            for row in piece.rows:
                self.scored.take(row)
                self.finals += row["kind"] == "final"


def _status(stage: dict[str, Any]) -> dict[str, Any]:
    return {name: stage[name] for name in ("status", "reason") if name in stage}


def _runs(stage: dict[str, Any]) -> bool:
    """Also where an earlier version has left no status."""
    return bool(stage.get("status", RUNNING) == RUNNING)


def _last_events(path: Path) -> dict[str, dict[str, Any]]:
    """The last event of each kind near the end of the log."""
    if not path.is_file():
        return {}
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
        lines = file.read().split(b"\n")
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "kind" in event:
            found[event["kind"]] = event
    return found
