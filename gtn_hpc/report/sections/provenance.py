"""Where every number comes from, and the commands that make it again."""

import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gtn_hpc import scores
from gtn_hpc.config import dump
from gtn_hpc.report.blocks import Block, Prose, Table, Text
from gtn_hpc.report.evidence import Evidence


def provenance(evidence: Evidence) -> Iterator[Block]:
    """Digests, revision, versions; configuration and environment in full."""
    yield Table("What the results were made with", ("what", "value"), list(_facts(evidence)), numeric=9)
    yield Text("Configuration (config.yaml)", dump(evidence.config))
    yield Text("Environment (environment.json)", json.dumps(evidence.environment, indent=2))


def reproduction(evidence: Evidence) -> Iterator[Block]:
    """Commands by stage; a stage that was not run is left out."""
    yield Prose(
        "Every stage goes on from what its run directory holds; give run.name another value to begin anew. Equal seeds "
        "give equal numbers on one type of processor and build of torch."
    )
    yield Text("Commands", "\n".join(_commands(evidence)), folded=False)


def _commands(evidence: Evidence) -> Iterator[str]:
    revision = evidence.environment.get("revision")
    yield from [f"git checkout {revision}"] if revision else []
    yield from _teaching(evidence)
    if evidence.tables is not None:
        yield evidence.command("gtn search RUN")
        if len(evidence.tables.final):
            yield evidence.command(f"gtn final RUN --top-k {evidence.tables.final['arch'].nunique()}")
        if len(evidence.estimates):
            yield f"gtn reproduce {shlex.quote(str(evidence.run.scores))} --arch {evidence.estimates['arch'].iloc[0]}"
    yield evidence.command("gtn report RUN")


def _teaching(evidence: Evidence) -> Iterator[str]:
    """A run that took another's teacher may have none: `gtn train` would make it one that no number is of."""
    run = evidence.run
    if evidence.own or run.curriculum.is_file() or run.training_events.is_file():
        yield evidence.command("gtn train RUN")
        yield evidence.command("gtn evaluate RUN")
    if not evidence.own:
        yield evidence.judging


def _facts(evidence: Evidence) -> Iterator[tuple[str, str]]:
    environment, config = evidence.environment, evidence.config
    yield "run directory", str(evidence.run.path)
    yield "gtn_hpc", str(environment.get("gtn_hpc", "unknown"))
    yield "revision", _revision(environment)
    yield "seed, precision, threads", f"{config.run.seed}, {config.run.precision}, {config.run.threads}"
    if evidence.lessons is not None:
        attributes = evidence.lessons.attributes
        yield "image set", str(attributes.get("data", "unknown"))
        yield "curriculum", f"{_written(evidence.curriculum, attributes)}; digest {attributes.get('digest', 'none')}"
    if evidence.tables is not None:
        written = _written(evidence.run.scores, evidence.tables.attributes)
        yield "scores", f"{written}; digest {scores.digest(evidence.run.scores)}"
    yield "machine", f"{environment.get('processor', 'unknown')}; {environment.get('platform', 'unknown')}"
    packages = environment.get("packages", {})
    yield "packages", ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    if environment.get("slurm"):
        yield "Slurm", ", ".join(f"{name}={value}" for name, value in environment["slurm"].items())


def _revision(environment: dict[str, Any]) -> str:
    revision = environment.get("revision")
    if revision is None:
        return "unknown (no checkout)"
    return f"{revision}, with uncommitted changes" if environment.get("dirty") else str(revision)


def _written(path: Path, attributes: Any) -> str:
    created = datetime.fromtimestamp(float(attributes.get("created", 0)), UTC)
    return f"{path.name} of {created:%Y-%m-%d %H:%M} UTC"
