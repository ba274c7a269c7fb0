"""All commands of `gtn`, and its start."""

import atexit
import gc
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from gtn_hpc import __version__
from gtn_hpc.cli import (
    benchmarks,
    check_grad,
    datasets,
    demo,
    doctor,
    evaluate,
    export,
    final,
    plan,
    report,
    reproduce,
    search,
    settings,
    stores,
    submit,
    top,
    train,
)
from gtn_hpc.cli.failing import exit_code_of, interrupted

DEBUG = "--debug"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(export.export)
app.command()(search.search)
app.command()(final.final)
app.add_typer(stores.group, name="scores")
app.command()(top.top)
app.add_typer(benchmarks.group, name="bench")
app.command()(report.report)
app.command()(reproduce.reproduce)
app.command("check-grad")(check_grad.check_grad)
app.add_typer(datasets.group, name="data")
app.command()(plan.plan)
app.command()(submit.submit)
app.command()(doctor.doctor)
app.command()(settings.config)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gtn_hpc {__version__}")
        raise typer.Exit


@app.callback()
def gtn(
    debug: Annotated[bool, typer.Option(DEBUG, help="Show the traceback of an error; may stand anywhere.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Generative Teaching Networks on clusters: teach, search architectures, train the winners, analyse.

    CONFIG is a YAML file; KEY=VALUE after it takes the place of a setting. Every command explains itself with --help.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    # a last collection of all that torch made would take most of the time between a signal and the exit
    atexit.register(gc.freeze)
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(app)
    rest = [argument for argument in given if argument != DEBUG]

    def command_run() -> int:
        code = command.main(rest, prog_name="gtn", standalone_mode=False)
        return interrupted() if code == 130 else int(code or 0)

    return exit_code_of(command_run, debug=DEBUG in given)
