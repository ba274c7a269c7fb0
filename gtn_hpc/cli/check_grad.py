"""`gtn check-grad`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.options import ConfigFile, Json, Overrides

if TYPE_CHECKING:
    from gtn_hpc.meta.check_grad import Checked


def check_grad(
    config: ConfigFile,
    overrides: Overrides = None,
    replay: Annotated[
        Path | None, typer.Option(help="A refused meta-iteration of a run: its directory refused/step-*.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare every way to the meta-gradient, part by part, in float64, with the graph of all steps.

    Told too, and not judged: what run.precision rounds. Exit code 1 where an error is above its tolerance.
    Seconds to minutes, with the size of the learner.

    Example: gtn check-grad configs/digits.yaml
    """
    from gtn_hpc.config import load
    from gtn_hpc.meta.check_grad import check_gradients

    rows = check_gradients(load(config, overrides or ()), replay=replay)
    if as_json:
        console.emit({"ok": all(row.ok for row in rows), "rows": [asdict(row) | {"ok": row.ok} for row in rows]})
    else:
        _show(rows)
    if not all(row.ok for row in rows):
        raise typer.Exit(1)


def _show(rows: "list[Checked]") -> None:
    console.table(
        "Relative errors of the meta-gradient",
        ("way", "part", "norm", "error", "tolerance", "verdict"),
        [
            (
                row.way,
                row.part,
                f"{row.norm:.3g}",
                f"{row.error:.1e}",
                "-" if row.tolerance is None else f"{row.tolerance:.0e}",
                "ok" if row.ok else "BAD",
            )
            for row in rows
        ],
    )
    bad = sum(not row.ok for row in rows)
    console.say("All agree." if not bad else f"{bad} of {len(rows)} errors are above their tolerance.")
