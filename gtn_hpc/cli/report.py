"""`gtn report`."""

from pathlib import Path
from typing import Annotated

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.failing import crashes_go_to
from gtn_hpc.cli.options import RUNS, Json, Root
from gtn_hpc.cli.outputs import require_file
from gtn_hpc.core.rundir import find


def report(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Run directories, or names under --root.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Page to write, in place of one that is there (default: report.html of the first run).",
            show_default=False,
        ),
    ] = None,
    root: Root = RUNS,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page of one or several runs.

    Example: gtn report digits other-run -o both.html
    """
    found = [find(run, root) for run in runs]
    with crashes_go_to(found[0].path):
        from gtn_hpc.report.page import write

        page = output or found[0].report
        require_file(page)
        write(found, page)
    if as_json:
        console.emit({"page": page})
    else:
        console.say(f"Page: {page}")
