"""`gtn plan`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.options import ConfigFile, Json, Overrides, SiteProfile
from gtn_hpc.core.rundir import RunDirectory


def plan(
    config: ConfigFile,
    overrides: Overrides = None,
    site: SiteProfile = None,
    measure: Annotated[bool, typer.Option(help="Measure a few replicas here, where nothing is recorded.")] = True,
    scripts: Annotated[bool, typer.Option("--scripts", help="Print the batch scripts too.")] = False,
    as_json: Json = False,
) -> None:
    """Say what a run would ask of a cluster: settings, shares, time, memory, files, batch scripts. Submits nothing.

    Example: gtn plan configs/digits.yaml --site generic --scripts
    """
    from gtn_hpc.config import dump, load
    from gtn_hpc.config.site import load_site
    from gtn_hpc.launch import planning
    from gtn_hpc.launch.measuring import measure as measured_here
    from gtn_hpc.launch.scripts import render_all

    settings, profile = load(config, overrides or ()), load_site(site)
    run = RunDirectory(Path(settings.run.root) / settings.run.name)
    measured = measured_here(settings) if measure else None
    found = planning.forecasts(settings, profile, run, measured)
    texts = render_all(profile)
    if as_json:
        stages = [asdict(one) | {"restarts": one.restarts} for one in found]
        told = {"run": run.path, "config": settings.model_dump(mode="json"), "site": profile.model_dump(mode="json")}
        costs = {"measured": asdict(measured), "files": planning.files(settings, measured)} if measured else {}
        console.emit(told | {"stages": stages, "scripts": texts} | costs)
        return
    console.say(dump(settings))
    console.say("\n".join(planning.lines(settings, found, measured)))
    if scripts:
        console.say("\n".join(f"\n##### {name}\n{text}" for name, text in texts.items()))
