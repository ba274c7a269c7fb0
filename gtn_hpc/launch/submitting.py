"""Submission through submitit: to Slurm, to a process of this machine, or into this process."""

import logging
import shlex
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from gtn_hpc.config import Config, dump, load, parse
from gtn_hpc.config.base import MOST_AT_ONCE
from gtn_hpc.config.searching import NonAdaptive
from gtn_hpc.config.site import Resources, Site, load_site
from gtn_hpc.core import atomic
from gtn_hpc.core.errors import ClusterError, UsageError, nearest
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.launch import record
from gtn_hpc.launch.job import Job
from gtn_hpc.launch.task import StageTask
from gtn_hpc.launch.verdict import patience

Stage = Literal["train", "search", "final", "pipeline"]
Cluster = Literal["slurm", "local", "debug"]

PIPELINE = ("train", "search", "final", "report")

UNLIMITED = 366 * 24 * 60
"""Minutes that a process of this machine may take: it is nobody else's turn."""


@dataclass(frozen=True)
class Plan:
    """Tasks that are submitted together (several are an array), what each asks for, and after which plan."""

    name: str
    tasks: tuple[StageTask, ...]
    resources: Resources
    after: Literal["afterok", "afterany"] | None = None


def submit(
    config: str | Path | Config,
    overrides: Sequence[str] = (),
    *,
    stage: Stage = "train",
    cluster: Cluster = "slurm",
    site: str | Site | None = None,
    array: int = 1,
) -> list[Job]:
    """Submits a stage, or all of them one after the other, and returns at once with a job for each.

    `overrides` take the place of settings of `config`, in whichever form that is given. `array` > 1 splits a search
    into so many jobs, followed by one that does what they left. On `local` and `debug` a pipeline is one job in one
    process; `debug` runs when its result is asked for.

    Raises:
        ConfigError: configuration or profile are not valid.
        UsageError: there is no such stage or cluster, or an algorithm that learns from scores cannot be split.
        ClusterError: the cluster does not take the job.
    """
    settings = parse(dump(config), overrides) if isinstance(config, Config) else load(config, overrides)
    profile = site if isinstance(site, Site) else load_site(site)
    run = settings.run.directory
    file = run.slurm / f"submitted-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}.yaml"
    planned = list(plans(settings, file, profile, stage, cluster, array))
    run.create()
    atomic.write_text(file, dump(settings))  # what is submitted is what runs, whatever happens to the user's file
    jobs: list[Job] = []
    before: list[str] = []
    for plan in planned:
        if cluster == "slurm":
            plan = _with(plan, patience=patience(_lead(profile, plan.resources)))
        elif cluster == "local" and plan.after:
            plan = _with(plan, after=_processes(jobs))
        waits_for = dependency(plan, before) if cluster == "slurm" else " ".join(job.id for job in jobs)
        jobs += _submit(plan, cluster, profile, run, waits_for)
        before.append(jobs[-1].id.split("_")[0])
    return jobs


def _with(plan: Plan, **values: Any) -> Plan:
    """The plan with these values in each of its tasks."""
    return replace(plan, tasks=tuple(replace(task, **values) for task in plan.tasks))


def _processes(jobs: Sequence[Job]) -> tuple[int, ...]:
    """Local jobs are named by their process."""
    return tuple(int(job.id) for job in jobs)


def texts(settings: Config, profile: Site, stage: Stage, array: int = 1, cluster: Cluster = "slurm") -> dict[str, str]:
    """Name -> the batch script that `submit` would hand to sbatch, on `local` and `debug` the command lines that it
    would run; nothing is submitted or written."""
    run = settings.run.directory
    planned = plans(settings, run.slurm / "CONFIG.yaml", profile, stage, cluster, array)
    return _scripts(planned, profile, run) if cluster == "slurm" else {plan.name: _commands(plan) for plan in planned}


def _commands(plan: Plan) -> str:
    """A line for each task; the stages of one follow each other."""
    return "\n".join(" && ".join(shlex.join(task.command(stage)) for stage in task.stages) for task in plan.tasks)


def _scripts(planned: Iterable[Plan], profile: Site, run: RunDirectory) -> dict[str, str]:
    from submitit.slurm.slurm import _make_sbatch_string

    found: dict[str, str] = {}
    for plan in planned:
        folder = run.slurm.absolute() / "submitit"
        command = f"{profile.start} -u -m submitit.core._submit {folder}"
        count = len(plan.tasks) if len(plan.tasks) > 1 else None
        values = slurm_parameters(plan, profile, dependency(plan, [name.upper() for name in found]))
        found[plan.name] = _make_sbatch_string(command=command, folder=folder, map_count=count, **values)
    return found


def plans(
    settings: Config, file: Path, profile: Site, stage: Stage, cluster: Cluster, array: int = 1
) -> Iterator[Plan]:
    """What is submitted, in order."""
    if stage not in get_args(Stage):
        raise UsageError(f"'{stage}' cannot be submitted.", remedy=nearest(stage, get_args(Stage)))
    if cluster not in get_args(Cluster):
        raise UsageError(f"There is no cluster '{cluster}'.", remedy=nearest(cluster, get_args(Cluster)))
    if cluster != "slurm" and array > MOST_AT_ONCE:
        raise UsageError(
            f"An array of {array} on '{cluster}' is as many processes of this machine at once.",
            remedy=f"Give --array {MOST_AT_ONCE} or less; as many as there are cores are enough.",
        )
    run = settings.run.directory.path.absolute()
    task = StageTask(file.absolute(), run, (stage,), (), profile.restarts)
    stages = PIPELINE if stage == "pipeline" else (stage,)
    if array > 1 and stage not in (("search", "pipeline") if cluster == "slurm" else ("search",)):
        raise UsageError(
            f"The stage {stage} cannot be split into an array of {array} on '{cluster}'.",
            remedy="An array splits a search (--stage search), on Slurm that of a pipeline too.",
        )
    if cluster != "slurm" and array == 1:
        yield Plan(stage, (replace(task, stages=stages),), getattr(profile, stages[0]))
        return
    for place, name in enumerate(stages):
        after: Literal["afterok"] | None = "afterok" if place else None
        one = replace(task, stages=(name,))
        if name == "search":
            yield from _search_plans(settings, one, profile, after, array)
        else:
            yield Plan(name, (one,), getattr(profile, name), after)


def _search_plans(
    settings: Config, task: StageTask, profile: Site, after: Literal["afterok"] | None, array: int
) -> Iterator[Plan]:
    """One process, whose workers share the node; or an array of shards and then one that does what is left."""
    alone = _alone(profile.search, settings.search.workers)
    if array == 1:
        yield Plan("search", (task,), alone, after)
        return
    if not isinstance(settings.search.algorithm, NonAdaptive):
        raise UsageError(
            f"A search by {settings.search.algorithm.name} learns from scores and cannot be split into an array.",
            remedy="Submit it as one job, or over MPI: sbatch slurm/search.sbatch CONFIG.",
        )
    shards = (("search.pool=shards", f"search.shard={index}/{array}") for index in range(array))
    tasks = tuple(replace(task, overrides=overrides) for overrides in shards)
    yield Plan("search-array", tasks, profile.search_array, after)
    yield Plan("search", (task,), alone, "afterany")


def _alone(node: Resources, workers: int) -> Resources:
    """One process whose `workers` have what as many tasks would have on one node, and no more than the node has."""
    together = {
        "cpus_per_task": node.cpus_per_task * min(workers, node.tasks_per_node),
        "gpus_per_task": min(node.gpus_per_task * workers, node.gpus_per_node(managed=True)),
    }
    return node.model_copy(update={"nodes": 1, "tasks_per_node": 1, **together})


def dependency(plan: Plan, before: Sequence[str]) -> str:
    """What a job waits for, given the ids of those submitted `before` it.

    What comes after an array in whatever way that ended still needs what the array needed.
    """
    if plan.after is None or not before:
        return ""
    needed = [f"afterok:{job}" for job in before[-2:-1]] if plan.after == "afterany" else []
    return ",".join([*needed, f"{plan.after}:{before[-1]}"])


def _submit(plan: Plan, cluster: Cluster, profile: Site, run: RunDirectory, waits_for: str) -> list[Job]:
    executor = _executor(plan, cluster, profile, run, waits_for)
    try:
        if len(plan.tasks) > 1:
            with executor.batch():
                handles = [executor.submit(task) for task in plan.tasks]
        else:
            handles = [executor.submit(plan.tasks[0])]
    except Exception as error:
        raise ClusterError(
            f"The cluster did not take the job '{plan.name}': {error}", remedy="Try gtn doctor."
        ) from error
    jobs = [
        Job(str(handle.job_id), task.stages, cluster, handle) for handle, task in zip(handles, plan.tasks, strict=True)
    ]
    for job in jobs:
        record.write(run, "submitted", job=job.id, stages=job.stages, cluster=cluster, after=waits_for)
    return jobs


def _executor(plan: Plan, cluster: Cluster, profile: Site, run: RunDirectory, waits_for: str) -> Any:
    import submitit

    logging.getLogger("submitit").setLevel(logging.ERROR)  # it warns where there is no sacct; we ask squeue
    folder = run.slurm.absolute() / "submitit"
    if cluster == "debug":
        return submitit.DebugExecutor(folder=folder)
    if cluster == "local":
        local = submitit.LocalExecutor(folder=folder)
        local.update_parameters(timeout_min=UNLIMITED)
        return local
    try:
        slurm = submitit.SlurmExecutor(folder=folder, python=profile.start)
    except RuntimeError as error:
        raise ClusterError(
            f"There is no Slurm here: {error}", remedy="Take --cluster local, or a login node."
        ) from error
    slurm.update_parameters(**slurm_parameters(plan, profile, waits_for))
    return slurm


def slurm_parameters(plan: Plan, profile: Site, waits_for: str) -> Mapping[str, Any]:
    """submitit's names for what the job asks for."""
    wanted = plan.resources
    further: dict[str, Any] = {"requeue": True}
    if wanted.gpus_per_task and wanted.tasks_per_node > 1:
        further["gpu_bind"] = "none"
    further |= _site_options(profile)
    if "no_requeue" in further:
        del further["requeue"]
    if waits_for:
        further |= {"dependency": waits_for, "kill-on-invalid-dep": "yes"}
    setup = [f"module load {module}" for module in profile.modules] + list(profile.setup)
    setup.append('export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"')
    if profile.interface:
        setup.append(f"export GLOO_SOCKET_IFNAME={profile.interface} NCCL_SOCKET_IFNAME={profile.interface}")
    found = {
        "job_name": f"gtn-{plan.name}",
        "partition": profile.partition,
        "account": profile.account,
        "qos": profile.qos,
        "constraint": profile.constraint,
        "nodes": wanted.nodes,
        "ntasks_per_node": wanted.tasks_per_node,
        "cpus_per_task": wanted.cpus_per_task,
        "gpus_per_node": wanted.gpus_per_node(managed=False) or None,
        "mem": wanted.memory,
        "time": wanted.minutes,
        "signal_delay_s": _lead(profile, wanted),
        "setup": setup,
        "srun_args": ["--wait=120"],
        "additional_parameters": further,
    }
    return {name: value for name, value in found.items() if value is not None}


def _site_options(profile: Site) -> dict[str, Any]:
    """The profile's options by submitit's names, under which they take the place of ours; True: without a value."""
    found: dict[str, Any] = {}
    for option in profile.options:
        first, *rest = shlex.split(option)
        name, _, value = first.removeprefix("--").partition("=")
        found[name.replace("-", "_")] = " ".join([value, *rest]).strip() or True
    return found


def _lead(profile: Site, wanted: Resources) -> int:
    """Seconds of warning; at most a third of the time, so that short jobs do something before they are stopped."""
    return min(profile.lead, wanted.minutes * 20)
