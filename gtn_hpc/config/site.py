"""Profiles of sites: what batch scripts of one cluster have in common."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError

from gtn_hpc.config.base import Section
from gtn_hpc.config.explain import NAME, in_words
from gtn_hpc.core.errors import ConfigError, nearest

Word = Annotated[str, Field(pattern=r"^[^\n]+$")]
"""One line of text."""

LONG: Mapping[str, str] = {
    "A": "account", "B": "extra-node-info", "C": "constraint", "D": "chdir", "F": "nodefile", "G": "gpus", "H": "hold",
    "J": "job-name", "L": "licenses", "M": "clusters", "N": "nodes", "O": "overcommit", "S": "core-spec",
    "a": "array", "b": "begin", "c": "cpus-per-task", "d": "dependency", "e": "error", "i": "input", "k": "no-kill",
    "m": "distribution", "n": "ntasks", "o": "output", "p": "partition", "q": "qos", "s": "oversubscribe", "t": "time",
    "w": "nodelist", "x": "exclude",
}  # fmt: skip
"""sbatch's short options and what they are short for."""


def _one_long_option(text: str) -> str:
    """Passes what batch scripts and submitit understand alike. Errors: ValueError."""
    first, *rest = shlex.split(text) or [""]
    if not first.startswith("--"):
        long, value = LONG.get(first[1:2], ""), " ".join([first[2:], *rest]).strip()
        known = first.startswith("-") and long
        raise ValueError(f"has to be --{long}{value and '='}{value}" if known else "has to begin with --")
    if any(word.startswith("--") for word in rest):
        raise ValueError("has to be one option: give each a place of its own in the list")
    if first.partition("=")[0] == "--signal":
        raise ValueError("is said by the keys signal and lead")
    return text


Option = Annotated[Word, AfterValidator(_one_long_option)]

PROFILES = Path("configs/site")
GENERIC = "generic"


class Resources(Section):
    """What a job asks the scheduler for."""

    nodes: int = Field(1, ge=1, description="nodes")
    tasks_per_node: int = Field(1, ge=1, description="processes on each node")
    cpus_per_task: int = Field(1, ge=1, description="cores of each process")
    gpus_per_task: int = Field(0, ge=0, description="GPUs of each process that works on one")
    memory: Word | None = Field(None, description="memory of each node, as Slurm writes it: 64G (empty: its default)")
    minutes: int = Field(60, ge=1, description="time limit in minutes")

    def gpus_per_node(self, *, managed: bool) -> int:
        """GPUs of each node. If `managed`, the first of several processes has none; where there are more nodes, those
        without it need as many GPUs as processes."""
        spare = managed and self.nodes == 1 and self.tasks_per_node > 1
        return self.gpus_per_task * (self.tasks_per_node - spare)


class Container(Section):
    """Python runs inside an Apptainer image."""

    image: Word = Field(description="path of the image")
    options: tuple[Word, ...] = Field(("--nv",), description="options of apptainer exec")


class Site(Section):
    name: str = Field(GENERIC, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the profile")
    partition: Word | None = Field(None, description="partition (empty: the site's default)")
    account: Word | None = Field(None, description="account that pays")
    qos: Word | None = Field(None, description="quality of service")
    constraint: Word | None = Field(None, description="features that nodes need")
    options: tuple[Option, ...] = Field((), description="further options of sbatch, in the long form: --exclusive")
    modules: tuple[Word, ...] = Field((), description="environment modules that are loaded")
    setup: tuple[Word, ...] = Field((), description="shell lines before the step: source .venv/bin/activate")
    python: Word = Field("python", description="the Python that has gtn_hpc")
    container: Container | None = Field(None, description="the image to run it in (empty: none)")
    interface: Word | None = Field(None, description="network interface for gloo and NCCL: ib0 (empty: they choose)")
    teaching: Literal["srun", "torchrun", "mpiexec"] = Field("srun", description="what starts the ranks of gtn train")
    searching: Literal["mpiexec", "srun"] = Field("mpiexec", description="what starts the ranks of gtn search")
    mpi: Word = Field("pmix", description="srun's way to start MPI ranks: pmix, pmi2, ...")
    signal: Literal["USR2", "USR1", "TERM"] = Field("USR2", description="what Slurm sends before the time limit")
    lead: int = Field(180, ge=1, description="seconds before the time limit when it is sent")
    restarts: int = Field(20, ge=0, description="a job that was restarted so often is not requeued again")
    train: Resources = Resources(cpus_per_task=4, minutes=24 * 60)
    search: Resources = Resources(tasks_per_node=9, minutes=8 * 60)
    search_array: Resources = Resources(minutes=4 * 60)
    array: int = Field(4, ge=1, description="jobs that share a search in search_array")
    final: Resources = Resources(cpus_per_task=4, minutes=24 * 60)
    report: Resources = Resources(minutes=30)

    @property
    def start(self) -> str:
        """The words that start Python."""
        if self.container is None:
            return self.python
        return " ".join(["apptainer exec", *self.container.options, self.container.image, self.python])


def load_site(named: str | None) -> Site:
    """The profile at a path, or of a name in configs/site below this directory; without one, or by the name generic
    anywhere, that of defaults.

    Raises:
        ConfigError: there is none, or it is not valid.
    """
    if named is None or (named == GENERIC and not (PROFILES / f"{GENERIC}.yaml").exists()):
        return Site()
    path = Path(named) if named.endswith((".yaml", ".yml")) else PROFILES / f"{named}.yaml"
    try:
        values: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        names = {GENERIC, *(found.stem for found in PROFILES.glob("*.yaml"))}
        where = f"Names are those of files in {PROFILES.absolute()}; FILE.yaml may be named as well."
        raise ConfigError(
            f"There is no site profile '{named}' ({path}: {error.strerror}).",
            remedy=f"{nearest(named, names)} {where}",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The site profile {path} is not YAML: {error}", remedy="Mend the line named above."
        ) from error
    try:
        return Site.model_validate(values)
    except ValidationError as error:
        fields = f"Keys: {', '.join(Site.model_fields)}."
        lines = "\n".join(map(_line, error.errors()))
        raise ConfigError(f"The site profile {path} is not valid:\n{lines}", remedy=fields) from error


def _line(entry: Any) -> str:
    """An error of one key."""
    key, kind = ".".join(map(str, entry["loc"])) or "the file", entry["type"]
    if kind == "extra_forbidden":
        return f"  {key}: unknown key"
    if kind == "string_pattern_mismatch":
        words = NAME if key == "name" else "has to be one line of text"
        return f"  {key}: {words} (given: {entry['input']!r})"
    return f"  {key}: {in_words(entry)} (given: {entry['input']!r})"
