"""Arguments and options that several commands share."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gtn_hpc.core.errors import RunError, UsageError
from gtn_hpc.core.rundir import find

if TYPE_CHECKING:
    from gtn_hpc.config import Config


def at_home(path: Path) -> Path:
    """`~` is the home directory: of --root=~/runs a shell leaves it as it is."""
    return Path(os.path.expanduser(path))


ConfigFile = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG", help="YAML file of the run, or the directory of one, to go on there.", show_default=False
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Settings that take the place of the file's.", show_default=False),
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run directory, or a name under --root.", show_default=False)]
Root = Annotated[Path, typer.Option("--root", callback=at_home, help="Where runs are looked up by name.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, for machines.")]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="File to write.", show_default=False)]
SiteProfile = Annotated[
    str | None,
    typer.Option("--site", metavar="NAME|FILE", help="Profile of the site (default: generic).", show_default=False),
]

RUNS = Path("runs")


def require_images(settings: "Config", command: str) -> None:
    """Passes where images teach, which architectures can be scored with.

    Raises:
        UsageError: an environment teaches policies.
    """
    if settings.rl is not None:
        raise UsageError(
            f"{command} is for image sets: with the section rl there are no architectures to score.",
            remedy="With rl these apply: gtn train, gtn evaluate, gtn check-grad, gtn export and gtn report.",
        )


def names_file(text: str) -> bool:
    """Whether a file is meant, there or not, and no run."""
    return text.endswith((".h5", ".hdf5")) or Path(text).is_file()


def curriculum_of(named: str, root: Path = RUNS) -> Path:
    """The curriculum file that is named: by its path, or by a run.

    Raises:
        RunError: there is no such run, or it has no curriculum yet.
    """
    if names_file(named):
        return Path(named)
    run = find(named, root)
    if not run.curriculum.is_file():
        raise RunError(
            f"The run '{run.name}' in {run.path} has no curriculum.h5 yet.",
            remedy=f"It is written when training ends: gtn train {run.path}",
        )
    return run.curriculum
