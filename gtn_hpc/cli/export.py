"""`gtn export`."""

import shutil
from pathlib import Path
from typing import Annotated, Literal

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.failing import crashes_go_to
from gtn_hpc.cli.options import RUNS, Json, Root, Run, curriculum_of
from gtn_hpc.core.atomic import replacing
from gtn_hpc.core.errors import UsageError


def export(
    run: Run,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.h5", help="File to write.", show_default=False)
    ] = None,
    dtype: Annotated[
        Literal["float32", "float16"],
        typer.Option(help="Of the images; float16 halves the file, and its learners are judged anew."),
    ] = "float32",
    digest: Annotated[bool, typer.Option("--digest", help="Print the digest of the curriculum's values.")] = False,
    root: Root = RUNS,
    as_json: Json = False,
) -> None:
    """Copy a run's curriculum to a file of its own.

    Example: gtn export digits -o teacher.h5 --dtype float16
    """
    if output is None and not digest:
        raise UsageError("Nothing to do: neither -o FILE.h5 nor --digest.", remedy="Example: gtn export RUN -o FILE.h5")
    path = curriculum_of(run, root)
    with crashes_go_to(path.parent):
        from gtn_hpc.curriculum.file import read

        read(path)
        if output is not None:
            _write(path, output, dtype)
        made = read(output or path)
    if as_json:
        console.emit({"curriculum": made.path, "digest": made.digest})
    else:
        console.say(made.digest if digest else f"Curriculum: {made.path}")


def _write(path: Path, output: Path, dtype: str) -> None:
    if dtype == "float32":
        with replacing(output) as beside:
            shutil.copyfile(path, beside)
        return
    from gtn_hpc.cluster.connect import connect
    from gtn_hpc.curriculum.file import read
    from gtn_hpc.meta.judge import config_of, reencode

    taught = read(path)
    reencode(taught, output, dtype, connect(config_of(taught).run.device).device)
