"""`gtn export`."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.failing import crashes_go_to
from gtn_hpc.cli.options import RUNS, Json, Root, Run, curriculum_of
from gtn_hpc.cli.outputs import FOLDER, Force, format_of, require_free
from gtn_hpc.cli.stopping import require_one_process
from gtn_hpc.core.atomic import replacing
from gtn_hpc.core.errors import UsageError

if TYPE_CHECKING:
    from gtn_hpc.curriculum.file import CurriculumFile

ENDINGS = {".h5": "h5", ".hdf5": "h5", ".npz": "npz"}


def export(
    run: Run,
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="FILE|FOLDER", help="FILE.h5, FILE.npz or FOLDER/ to write.", show_default=False
        ),
    ] = None,
    kind: Annotated[
        Literal["h5", "npz", "folder"] | None,
        typer.Option("--format", help="Where the name does not say it.", show_default=False),
    ] = None,
    dtype: Annotated[
        Literal["float32", "float16"],
        typer.Option(help="Of the images in .h5; float16 halves the file, and its learners are judged anew."),
    ] = "float32",
    passes: Annotated[
        int,
        typer.Option(
            min=1,
            help="In .h5: the whole curriculum so many times over, for networks that learn slowly; its learners are "
            "judged anew.",
        ),
    ] = 1,
    digest: Annotated[bool, typer.Option("--digest", help="Print the digest of the curriculum's values.")] = False,
    force: Force = False,
    root: Root = RUNS,
    as_json: Json = False,
) -> None:
    """Copy a run's curriculum to a file of its own, or write it for other programs.

    .h5 can be the teacher of another search. .npz holds the same arrays for NumPy, exactly. A folder holds pictures by
    class (PNG, 8 bits a channel), labels.csv with the soft labels, and about.json; values outside of 0..255 are cut,
    and it is said what share of all that is.

    Example: gtn export digits -o teacher.h5 --dtype float16

    Example: gtn export digits -o twice.h5 --passes 2

    Example: gtn export digits -o teacher.npz

    Example: gtn export digits -o pictures/
    """
    if output is None and not digest:
        raise UsageError("Nothing to do: neither -o FILE.h5 nor --digest.", remedy="Example: gtn export RUN -o FILE.h5")
    require_one_process("gtn export")
    asked = Written(dtype, passes)
    made = None if output is None else _target(output, kind, asked, force)
    path = curriculum_of(run, root)
    with crashes_go_to(path.parent):
        found = _write(path, made, asked)
    _tell(found, digest, as_json)


@dataclass(frozen=True)
class Written:
    """What becomes of the curriculum on the way."""

    dtype: str
    passes: int


AS_IT_IS = Written("float32", 1)


def _target(output: str, given: str | None, written: Written, force: bool) -> tuple[Path, str]:
    """Place and format, where they may be written."""
    kind = format_of(output, given, ENDINGS)
    if kind != "h5" and written != AS_IT_IS:
        option = f"--passes {written.passes}" if written.dtype == AS_IT_IS.dtype else f"--dtype {written.dtype}"
        raise UsageError(f"{option} is for .h5 alone.", remedy="Leave it out, or write FILE.h5.")
    require_free([Path(output)], force=force and kind != FOLDER)
    return Path(output), kind


@dataclass(frozen=True)
class Exported:
    """What was written, or the curriculum itself; its digest; of pictures the share of the values that were cut."""

    path: Path
    digest: str
    cut: float | None = None


def _write(path: Path, made: tuple[Path, str] | None, written: Written) -> Exported:
    from gtn_hpc.curriculum.file import read

    taught = read(path)
    if made is None:
        return Exported(path, taught.digest)
    output, kind = made
    if kind == "h5":
        _copy(taught, output, written)
        return Exported(output, read(output).digest)
    from gtn_hpc.curriculum import artefacts

    if kind == "npz":
        artefacts.write_npz(taught, output)
        return Exported(output, taught.digest)
    return Exported(output, taught.digest, artefacts.write_folder(taught, output))


def _tell(found: Exported, digest: bool, as_json: bool) -> None:
    if as_json:
        cut = {} if found.cut is None else {"values_cut": found.cut}
        console.emit({"curriculum": found.path, "digest": found.digest, **cut})
    elif digest:
        console.say(found.digest)
    elif found.cut is None:
        console.say(f"Curriculum: {found.path}")
    else:
        console.say(f"Pictures: {found.path}\nValues outside of 0..255, cut: {found.cut:.1%} of all")


def _copy(taught: "CurriculumFile", output: Path, written: Written) -> None:
    if written == AS_IT_IS:
        with replacing(output) as beside:
            shutil.copyfile(taught.path, beside)
        return
    from gtn_hpc.cluster.connect import connect
    from gtn_hpc.meta.judge import config_of, reencode

    reencode(taught, output, written.dtype, connect(config_of(taught).run.device).device, written.passes)
