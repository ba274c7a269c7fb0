"""Which configuration a run directory belongs to: a second start resumes, another configuration is refused."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gtn_hpc.config.load import dump, load, parse
from gtn_hpc.config.schema import OPERATIONAL, Config
from gtn_hpc.core import atomic, environment
from gtn_hpc.core.errors import RunError
from gtn_hpc.core.rundir import RunDirectory

TEACHING = ("run", "data", "learners", "teacher", "inner", "engine", "meta", "evaluate", "rl")
SECTIONS = {"train": TEACHING, "search": ("run", "data", "search"), "final": ("run", "data", "search", "final")}
"""The sections that each stage depends on."""


def claim(config: Config, stage: str) -> RunDirectory:
    """The run directory of `config`, made if need be, with config.yaml and environment.json in it.

    Each part of a search that several share says which it is when it is started: config.yaml names none.

    A section is compared once a stage that uses it has left something, and without the operational keys, so that stages
    share a directory, a budget may grow, and a start that failed at once takes no name. One process of a run calls it.

    Raises:
        RunError: the directory cannot be written, or its name is taken by another configuration.
        ConfigError: the config.yaml in it cannot be read.
    """
    run = config.run.directory
    run.create()
    with run.changing() as state:
        claimed = set(state.get("sections", ()))
        if run.config.is_file():
            before, used = load(run.config), sorted(claimed & _left_by(run, state["stages"]))
            _refuse_difference(run, before, config, used)
        atomic.write_text(run.config, dump(_of_the_whole(config)))
        state["sections"] = sorted(claimed | set(SECTIONS[stage]))
    atomic.write_json(run.environment, environment.describe())
    return run


def _of_the_whole(config: Config) -> Config:
    """Where a part of a search is configured, the search: a start from the run directory takes over what parts did."""
    if not config.search.in_parts:
        return config
    return config.model_copy(update={"search": config.search.model_copy(update={"pool": "auto", "shard": None})})


def _left_by(run: RunDirectory, stages: Mapping[str, Any]) -> set[str]:
    """The sections of the stages that have left a checkpoint, a row or a result in the run."""
    left = {
        "train": run.curriculum.is_file() or any(run.checkpoints.glob("step-*")),
        "search": any(path.stat().st_size for path in run.journal.glob("*.jsonl")),
        "final": bool(stages.get("final", {}).get("done")) or any(run.final.glob("*")),
    }
    return {section for stage, there in left.items() if there for section in SECTIONS[stage]}


def require_own(run: RunDirectory, config: Config, saved: str, where: str) -> None:
    """A checkpoint of `run` was `saved` with the teaching of `config`: one may outlive the config.yaml beside it.

    Raises:
        RunError: it was made with another one.
    """
    _refuse_difference(run, parse(saved, where=where), config, TEACHING)


def _refuse_difference(run: RunDirectory, before: Config, now: Config, sections: Sequence[str]) -> None:
    changes = differences(before, now, sections)
    if changes:
        raise RunError(
            f"The run '{run.name}' in {run.path} was made with another configuration:\n    " + "\n    ".join(changes),
            remedy="Give this one another run.name, or use the values of before.",
        )


def differences(before: Config, now: Config, sections: Sequence[str]) -> list[str]:
    """A line for each setting of `sections` that two configurations do not share, apart from operational keys and where
    the same image set lies."""
    was, given = before.model_dump(mode="json"), now.model_dump(mode="json")
    if before.data.place == now.data.place:
        was["data"]["root"] = given["data"]["root"]
    return [line for name in sections for line in _differences(was[name], given[name], name)]


def _differences(before: Any, now: Any, key: str) -> Iterator[str]:
    if key in OPERATIONAL or before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}):
            yield from _differences(before.get(name), now.get(name), f"{key}.{name}")
    else:
        yield f"{key}: was {before!r}, now {now!r}"
