"""Batch scripts rendered from a site's profile; those in slurm/ are the rendering of the generic one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from gtn_hpc.cluster.slurm import FIRST_PORT, PORTS
from gtn_hpc.config.site import Resources, Site
from gtn_hpc.launch.verdict import patience

UNBOUND = "--gpu-bind=none"
"""Each rank takes its own of a node's GPUs: ranks that cannot see each other's may lose NVLink between them."""

MANAGED = ("search", "final")
"""Stages whose first of several ranks asks and does not work."""

USR2_TO_STEP = 'kill -USR2 "$step" 2>/dev/null'
TERM_TO_AGENTS = 'scancel --signal=TERM "$SLURM_JOB_ID.0"'
"""torchrun dies of USR2, and srun of TERM; what scancel sends reaches the agents and their ranks."""

FIRST_STORE, STORES = FIRST_PORT + PORTS, 2_700
"""Ports at which torchrun's agents meet, one a job: two jobs may have the same head node. Above those of srun's ranks,
below those that systems hand out by themselves."""


@dataclass(frozen=True)
class Script:
    """A batch script: its template, the stage it runs, the file name of its output."""

    template: str
    stage: str
    output: str = "%x-%j.out"


SCRIPTS: Mapping[str, Script] = {
    "meta_train.sbatch": Script("meta_train.sbatch", "train"),
    "search.sbatch": Script("search.sbatch", "search"),
    "search_srun.sbatch": Script("search.sbatch", "search"),
    "search_array.sbatch": Script("search_array.sbatch", "search", "%x-%A_%a.out"),
    "final.sbatch": Script("final.sbatch", "final"),
    "report.sbatch": Script("report.sbatch", "report"),
}


def render_all(site: Site) -> dict[str, str]:
    """File name -> text of every batch script, and of pipeline.sh."""
    return {name: render(name, site) for name in SCRIPTS} | {"pipeline.sh": _text("pipeline.sh", {})}


def render(name: str, site: Site) -> str:
    """The batch script `name` for `site`."""
    script = SCRIPTS[name]
    if name == "search_srun.sbatch":
        site = site.model_copy(update={"searching": "srun"})
    values = {
        "name": name,
        "site": site,
        "stage": script.stage,
        "options": list(_options(name, site)),
        "forward": TERM_TO_AGENTS if script.stage == "train" and site.teaching == "torchrun" else USR2_TO_STEP,
        "patience": patience(site.lead),
        "stores": (FIRST_STORE, STORES),
        "signals": " ".join(dict.fromkeys((site.signal, "USR2", "TERM"))),
    }
    return _text(script.template, values)


def write_all(site: Site, directory: Path) -> list[Path]:
    """Writes the scripts of `site` to `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in render_all(site).items():
        path = directory / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        written.append(path)
    return written


def resources_of(name: str, site: Site) -> Resources:
    """What the batch script `name` asks for."""
    stage = "search_array" if name == "search_array.sbatch" else SCRIPTS[name].stage
    found: Resources = getattr(site, stage)
    return found


def _options(name: str, site: Site) -> Iterator[str]:
    wanted, script = resources_of(name, site), SCRIPTS[name]
    yield f"--job-name=gtn-{script.stage}"
    for key in ("partition", "account", "qos", "constraint"):
        if value := getattr(site, key):
            yield f"--{key}={value}"
    yield f"--nodes={wanted.nodes}"
    yield f"--ntasks-per-node={wanted.tasks_per_node}"
    yield f"--cpus-per-task={wanted.cpus_per_task}"
    if gpus := wanted.gpus_per_node(managed=script.stage in MANAGED):
        yield f"--gpus-per-node={gpus}"
        if wanted.tasks_per_node > 1 and not (script.stage == "train" and site.teaching == "torchrun"):
            yield UNBOUND
    if wanted.memory:
        yield f"--mem={wanted.memory}"
    yield f"--time={wanted.minutes}"
    if name == "search_array.sbatch":
        yield f"--array=0-{site.array - 1}"
    yield f"--signal=B:{site.signal}@{site.lead}"
    yield "--requeue"
    yield "--open-mode=append"
    yield f"--output={script.output}"
    yield from site.options


def _text(template: str, values: Mapping[str, object]) -> str:
    loader = PackageLoader("gtn_hpc.launch", "templates")
    environment = Environment(
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.get_template(template).render(values)
