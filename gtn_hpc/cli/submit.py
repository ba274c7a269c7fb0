"""`gtn submit`."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.options import ConfigFile, Json, Overrides, SiteProfile, require_images
from gtn_hpc.cli.standing import Watcher
from gtn_hpc.cli.top import lines

if TYPE_CHECKING:
    from gtn_hpc.launch.job import Job

PERIOD = 2.0
"""Seconds between two looks at jobs that are waited for."""

PROGRESS = 30.0
"""Seconds between two notes on how far they are."""


def submit(
    config: ConfigFile,
    overrides: Overrides = None,
    stage: Annotated[
        str, typer.Option(help="train, search, final or pipeline (all of them, then the report).")
    ] = "train",
    cluster: Annotated[str, typer.Option(help="slurm, local (a process here) or debug (this process).")] = "slurm",
    site: SiteProfile = None,
    array: Annotated[int, typer.Option(min=1, help="Split a search into so many independent jobs.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the batch scripts (or command lines); submit nothing.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Watch the jobs until they have ended.")] = False,
    as_json: Json = False,
) -> None:
    """Submit a stage through submitit, and print the ids of its jobs.

    A job that a signal or its time limit stops goes on after a requeue, as state.json says.

    Example: gtn submit configs/digits.yaml --stage pipeline --cluster slurm --site generic --wait
    """
    from gtn_hpc.config import load
    from gtn_hpc.config.site import load_site
    from gtn_hpc.launch import submitting

    settings, profile = load(config, overrides or ()), load_site(site)
    if stage != "train":
        require_images(settings, f"gtn submit --stage {stage}")
    if dry_run:
        texts = submitting.texts(settings, profile, stage, array, cluster)  # type: ignore[arg-type]
        return console.emit({"scripts": texts}) if as_json else console.say("\n".join(texts.values()))
    jobs = submitting.submit(settings, stage=stage, cluster=cluster, site=profile, array=array)  # type: ignore[arg-type]
    if not as_json:
        console.say("\n".join(f"{' '.join(job.stages)}: job {job.id}{_log_of(job)}" for job in jobs))
    watcher = Watcher(settings.run.directory)
    outcomes = _watch(jobs, watcher) if wait or cluster == "debug" else []
    if as_json:
        console.emit(
            {"jobs": [{"job": job.id, "stages": job.stages, "log": job.log} for job in jobs]} | _told(outcomes)
        )
    return None


def _log_of(job: "Job") -> str:
    return "" if job.cluster == "debug" else f", log {job.log}"


def _watch(jobs: "list[Job]", watcher: Watcher) -> "list[dict[str, object]]":
    """Notes changes of state, and now and then how far the run is; gives the outcomes, or raises the first failure."""
    before: dict[str, str] = {}
    noted = time.monotonic()
    while True:
        states = {job.id: job.state() for job in jobs}
        for job in jobs:
            if states[job.id] != before.get(job.id):
                console.note(f"{time.strftime('%H:%M:%S')} {' '.join(job.stages)} ({job.id}): {states[job.id].lower()}")
        if all(job.done() or job.cluster == "debug" for job in jobs):
            break
        if time.monotonic() - noted > PROGRESS:
            console.note("\n".join(f"{'':9}{line}" for line in list(lines(watcher.look()))[1:]))
            noted = time.monotonic()
        before = states
        time.sleep(PERIOD)
    found = [job.result() for job in jobs]
    return [{"run": one.run, "stages": one.stages, "seconds": one.seconds, "state": one.state} for one in found]


def _told(outcomes: "list[dict[str, object]]") -> dict[str, object]:
    return {"outcomes": outcomes} if outcomes else {}
