"""`gtn doctor`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.options import RUNS, Json, at_home

if TYPE_CHECKING:
    from gtn_hpc.launch.doctor import Report

Place = Annotated[Path, typer.Option("--root", callback=at_home, help="Where runs will be: its file system is tried.")]


def doctor(root: Place = RUNS, as_json: Json = False) -> None:
    """Try everything that a run needs of this machine, and say what is wrong and how to mend it.

    Alone, or under srun, mpiexec or torchrun: then for each node, with what only all ranks together can tell. Exit
    code 1: something fails.

    Example: gtn doctor --root /scratch/me/runs
    """
    from gtn_hpc.cluster.environment import detect_or_alone
    from gtn_hpc.launch.doctor import examine

    reports = examine(root)
    if detect_or_alone().rank == 0:
        _tell(reports, as_json)
    if not all(report.well for report in reports):
        raise typer.Exit(1)


def _tell(reports: "list[Report]", as_json: bool) -> None:
    if as_json:
        nodes = [{"host": one.host, "findings": [asdict(found) for found in one.findings]} for one in reports]
        console.emit({"well": all(report.well for report in reports), "nodes": nodes})
        return
    for report in reports:
        console.say(f"{report.host}:")
        for found in report.findings:
            console.say(f"  {found.status:4}  {found.check:15} {found.found}")
            if found.status != "ok" and found.remedy:
                console.say(f"{'':24}{found.remedy}")
