"""`gtn bench`."""

import json
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.options import Json

group = typer.Typer(help="Measure us and our rivals side by side.", no_args_is_help=True)

COLUMNS = ("method", "mode", "T", "time_vs_plain", "speed_vs_higher", "mib_added", "mib_per_step", "rel_error")
FARM_COLUMNS = ("system", "task", "task_ms", "ranks", "efficiency", "efficiency_best")
STORE_COLUMNS = ("system", "group", "rows", "rows_per_s", "fold_s", "fold_peak_mib")
EVAL_COLUMNS = ("path", "archs_per_min", "seconds_per_arch", "speed_vs_plain", "same_scores", "accuracy_difference")
SCALING = ("workload", "ranks", "efficiency", "efficiency_fast_gpu", "comm_fraction", "projected")


@group.command("meta-step")
def meta_step(
    workload: Annotated[str, typer.Option(help="w1, mnist, cifar, digits or overhead.")] = "w1",
    steps: Annotated[
        list[int] | None, typer.Option("--T", min=1, help="Inner steps; may be given again (default: 8 and 32).")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME or NAME:MODE, e.g. trajectory/kit:keep_generator, on a GPU also trajectory/kit:flat+graphs; may "
            "be given again."
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Measurements of a cell; their median counts.")] = 5,
    random_widths: Annotated[bool, typer.Option("--random-widths", help="A new learner for each measurement.")] = False,
    quantum: Annotated[int, typer.Option(min=1, help="Drawn widths are multiples of this.")] = 8,
    memory: Annotated[bool, typer.Option(help="Measure memory too, on a CPU each cell in its own process.")] = True,
    error: Annotated[bool, typer.Option(help="Error of gradients at T=3, by the method and by rounding.")] = True,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    precision: Annotated[str, typer.Option(help="float32, tf32, bf16 or float64.")] = "float32",
    as_json: Json = False,
) -> None:
    """Time, memory and error of one meta-gradient, method beside method. The last line of stdout is JSON.

    Example: gtn bench meta-step --workload mnist --T 8 --method higher --method trajectory/kit
    On a GPU: gtn bench meta-step --workload cifar --T 32 --T 128 --device cuda --precision tf32
    """
    methods = import_module("gtn_hpc.bench.methods")
    machine = import_module("gtn_hpc.bench.machine").Machine(device, precision)
    report = import_module("gtn_hpc.bench.meta_step").run(
        workload,
        steps or (8, 32),
        [methods.parse(text) for text in method] if method else (),
        machine=machine,
        repeats=repeats,
        random_widths=random_widths,
        quantum=quantum,
        memory=memory,
        error=error,
        say=console.note,
    )
    _end(report, as_json)


@group.command()
def scaling(
    workload: Annotated[
        list[str] | None, typer.Option(help="digits, w1, mnist, ...; may be given again (default: digits and w1).")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Interleaved measurements; their median counts.")] = 15,
    seconds: Annotated[float, typer.Option(min=0.01, help="Length of a measurement.")] = 0.5,
    as_json: Json = False,
) -> None:
    """Two ranks beside one, relative to two independent processes, and a projection. The last line is JSON.

    Example: gtn bench scaling --workload digits --repeats 9
    """
    module = import_module("gtn_hpc.bench.scaling")
    report = module.run(workload or module.DEFAULT, repeats=repeats, seconds=seconds)
    _end(report, as_json, SCALING)


@group.command()
def search(
    task: Annotated[
        list[str] | None, typer.Option(help="sleep:MS, cpu:MS or skewed; may be given again (default: all).")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Measurements of a task in one round.")] = 3,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each system; the median of all counts.")] = 2,
    as_json: Json = False,
) -> None:
    """Efficiency of two workers under a manager: ours beside bare mpi4py.futures and Parsl. The last line is JSON.

    Example: gtn bench search --task sleep:100
    """
    bench = import_module("gtn_hpc.bench.search")
    _end(bench.run(task or bench.TASKS, repeats=repeats, rounds=rounds, say=console.note), as_json, FARM_COLUMNS)


@group.command()
def store(
    rows: Annotated[int, typer.Option(min=1, help="Rows to append and fold.")] = 1_000_000,
    rival_rows: Annotated[int, typer.Option(min=1, help="Trials told to each store of Optuna.")] = 300,
    as_json: Json = False,
) -> None:
    """Rows a second that are on disk: ours beside Optuna's journal and SQLite; then the fold. The last line is JSON.

    Example: gtn bench store --rows 100000
    """
    report = import_module("gtn_hpc.bench.store").run(rows, rival_rows, say=console.note)
    _end(report, as_json, STORE_COLUMNS)


@group.command("eval")
def evaluations(
    path: Annotated[
        list[str] | None,
        typer.Option(
            help="plain, plain-channels-last, lean, traced, compiled, graphs or reference; may be given again "
            "(default: all but compiled and graphs)."
        ),
    ] = None,
    space: Annotated[str, typer.Option(help="nao_cell or nasbench201.")] = "nao_cell",
    cells: Annotated[int, typer.Option("--N", min=1, help="Cells between reductions.")] = 1,
    filters: Annotated[int, typer.Option("--F", min=1, help="Channels of the first cells.")] = 8,
    side: Annotated[int, typer.Option("--size", min=4, help="Rows and columns of an image.")] = 16,
    channels: Annotated[int, typer.Option(min=1, help="Channels of an image.")] = 1,
    steps: Annotated[int, typer.Option("--T", min=1, help="Inner steps.")] = 32,
    batch: Annotated[int, typer.Option(min=1, help="Images a step.")] = 64,
    architectures: Annotated[int, typer.Option(min=1, help="Random architectures, the same for every path.")] = 6,
    repeats: Annotated[int, typer.Option(min=1, help="Interleaved measurements; their median counts.")] = 3,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    precision: Annotated[str, typer.Option(help="float32, tf32, bf16 or float64.")] = "float32",
    as_json: Json = False,
) -> None:
    """Architectures scored a minute beside a plain PyTorch loop, with a check of the scores. The last line is JSON.

    Example: gtn bench eval --device cuda --N 3 --F 32 --size 32 --channels 3 --T 128 --batch 128 --path plain
    --path lean --path graphs
    """
    bench = import_module("gtn_hpc.bench.evaluations")
    report = bench.run(
        bench.Size(space, cells, filters, side, channels, steps, batch),
        path or bench.DEFAULT,
        architectures=architectures,
        repeats=repeats,
        device=device,
        precision=precision,
        say=console.note,
    )
    _end(report, as_json, EVAL_COLUMNS)


def _end(report: Mapping[str, Any], as_json: bool, columns: Sequence[str] = COLUMNS) -> None:
    """A table for people, then the report on one line, also where that line alone is wanted."""
    if not as_json:
        rows = [[_cell(row, name, columns[-1]) for name in columns] for row in report["rows"]]
        console.table(f"{report['bench']}, workload {report['workload']}", columns, rows)
    sys.stdout.write(json.dumps(report) + "\n")


def _cell(row: Mapping[str, Any], name: str, last: str) -> str:
    value = row.get(name)
    if value is None:
        return str(row["skipped"]) if name == last and "skipped" in row else ""
    return f"{value:.1e}" if name == "rel_error" else str(value)
