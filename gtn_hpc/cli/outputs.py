"""Where an export goes: the format by the ending, and nothing that is there is lost unasked."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated

import typer

from gtn_hpc.core.errors import StorageError, UsageError
from gtn_hpc.core.rundir import require_foreign

Force = Annotated[bool, typer.Option("--force", help="Take the place of files that are there, but for those of a run.")]

FOLDER = "folder"


def names_folder(output: str) -> bool:
    """Whether a folder is meant: one that is there, a name that ends with a slash, or one without an ending."""
    return _is_folder(output) or not Path(output).suffix


def format_of(output: str, given: str | None, endings: Mapping[str, str]) -> str:
    """The format of `output`, `FOLDER` included: as `given`, else by its ending (`endings`: to format).

    Raises:
        UsageError: the ending is none of these, or is that of another format than the given one.
    """
    by_name = FOLDER if _is_folder(output) else endings.get(Path(output).suffix.lower())
    if given is None and by_name is None and not names_folder(output):
        raise UsageError(
            f"'{output}' does not say which format is meant.",
            remedy=f"Valid endings: {', '.join(endings)}, or a folder (a name that ends with /); or give --format.",
        )
    if given is not None and by_name not in (None, given):
        raise UsageError(f"'{output}' does not go with --format {given}.", remedy="Leave out --format, or rename it.")
    return given or by_name or FOLDER


def _is_folder(output: str) -> bool:
    return output.endswith(("/", os.sep)) or Path(output).is_dir()


def require_free(paths: Iterable[Path], *, force: bool) -> None:
    """Passes where nothing is there but empty folders, or files that may be replaced, and writing is possible.

    With `force` all files may be replaced but those of a run.

    Raises:
        StorageError: something is there, or the place cannot be written to.
    """
    for path in paths:
        if path.is_dir() and any(path.iterdir()):
            raise StorageError(f"{path} is there already, and not empty.", remedy="Name another folder.")
        if path.is_file():
            require_foreign(path)
        if path.is_file() and not force:
            raise StorageError(f"{path} is there already.", remedy="Name another file, or replace it with --force.")
        require_writable(path)


def require_writable(path: Path, remedy: str = "Name a place that may be written to.") -> None:
    """Passes where a file or folder `path` can be made or replaced, with the folders above it; leaves nothing behind.

    Raises:
        StorageError: it cannot.
    """
    place = next(above for above in path.absolute().parents if os.path.exists(above))
    try:
        with TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}.", remedy=remedy) from error


def require_file(path: Path) -> None:
    """As `require_writable`, of a file that may be there already.

    Raises:
        StorageError: it cannot be written, or is a folder.
    """
    if path.is_dir():
        raise StorageError(f"{path} is a folder.", remedy=f"Name a file: {path / 'NAME'}.")
    require_writable(path)
