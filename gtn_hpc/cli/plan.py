"""`gtn plan`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.options import ConfigFile, Json, Overrides, SiteProfile, require_images
from gtn_hpc.core.errors import UsageError

if TYPE_CHECKING:
    from gtn_hpc.config import Config
    from gtn_hpc.launch.measuring import Measured

SIMULATED = ("durations", "nodes", "walltime", "mtbf", "queue", "startup", "dispatch", "figure")
"""Options of --simulate."""


def plan(
    context: typer.Context,
    config: ConfigFile,
    overrides: Overrides = None,
    site: SiteProfile = None,
    measure: Annotated[
        bool,
        typer.Option(help="Measure replicas here for a minute, two at least: memory, files, time if not recorded."),
    ] = True,
    scripts: Annotated[bool, typer.Option("--scripts", help="Print the batch scripts too.")] = False,
    as_json: Json = False,
    simulate: Annotated[bool, typer.Option("--simulate", help="Replay the search on many nodes instead.")] = False,
    durations: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|FILE|SECONDS[~SPREAD]",
            help="Seconds of evaluations: those of a run (default: this one), of a file with one a line, or 36~0.5.",
        ),
    ] = None,
    nodes: Annotated[str, typer.Option(help="Numbers of nodes that are simulated.")] = "1,4,16,64",
    walltime: Annotated[float | None, typer.Option(min=1, help="Minutes of a job (default: the profile's).")] = None,
    mtbf: Annotated[float | None, typer.Option(min=0.01, help="Hours between failures of a node.")] = None,
    queue: Annotated[float, typer.Option(min=0, help="Minutes a requeued job waits.")] = 10.0,
    startup: Annotated[float, typer.Option(min=0, help="Seconds from a job's start to its first evaluation.")] = 20.0,
    dispatch: Annotated[float, typer.Option(min=0, help="Seconds that the first MPI rank spends on each.")] = 0.001,
    figure: Annotated[Path | None, typer.Option(metavar="STEM", help="Draw it: STEM.png and STEM.svg.")] = None,
) -> None:
    """Say what a run would ask of a cluster: settings, shares, time, memory, files, batch scripts. Submits nothing.

    With --simulate: time and waste of its search by pool (search.pool), number of nodes, and warning or none before
    the time limit, on a machine whose nodes fail.

    Example: gtn plan configs/digits.yaml --site generic --scripts

    Example: gtn plan configs/digits.yaml search.budget=50000 --simulate --durations 36~0.5 --nodes 64,512 --mtbf 5000
    """
    from gtn_hpc.cli import simulation
    from gtn_hpc.config import dump, load
    from gtn_hpc.config.site import load_site
    from gtn_hpc.launch import planning
    from gtn_hpc.launch.scripts import render_all

    settings, profile = load(config, overrides or ()), load_site(site)
    if simulate:
        require_images(settings, "gtn plan --simulate")
        if scripts:
            raise UsageError("--scripts is not for simulations.", remedy="Leave out --simulate, or --scripts.")
        asked = simulation.Asked(durations, nodes, walltime, mtbf, queue, startup, dispatch, figure)
        return simulation.simulate(settings, profile, asked, as_json)
    _require_unsimulated(context)
    run = settings.run.directory
    measured = _measured(settings) if measure else None
    found = planning.forecasts(settings, profile, run, measured)[: None if settings.rl is None else 1]
    texts = render_all(profile)
    if as_json:
        stages = [asdict(one) | {"restarts": one.restarts} for one in found]
        told = {"run": run.path, "config": settings.model_dump(mode="json"), "site": profile.model_dump(mode="json")}
        costs = {"measured": asdict(measured), "files": planning.files(settings, measured)} if measured else {}
        return console.emit(told | {"stages": stages, "scripts": texts} | costs)
    console.say(dump(settings))
    console.say("\n".join(planning.lines(settings, found, measured)))
    if scripts:
        console.say("\n".join(f"\n##### {name}\n{text}" for name, text in texts.items()))
    return None


def _measured(config: "Config") -> "Measured":
    from gtn_hpc.cli.meter import Meter
    from gtn_hpc.launch.measuring import measure

    with Meter("measuring", 0) as meter:
        meter.note("measuring replicas here: --no-measure leaves it out")
        return measure(config, lambda done, total: meter.reach(done, "replicas", total=total, left=""))


def _require_unsimulated(context: typer.Context) -> None:
    for name in SIMULATED:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"--{name} is for simulations alone.", remedy="Add --simulate, or leave it out.")
