"""`gtn check-grad`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.options import ConfigFile, Json, Overrides
from gtn_hpc.cli.stopping import require_one_process

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

    Told too, and not judged: what run.precision rounds, and where the gradient itself is not finite or too large for
    run.precision, as it may be in a refused meta-iteration. Exit code 1 where an error is above its tolerance, else 0,
    also where nothing could be judged. Seconds to minutes, with the size of the learner.

    Example: gtn check-grad configs/digits.yaml
    """
    from gtn_hpc.config import load
    from gtn_hpc.meta.check_grad import check_gradients

    require_one_process("gtn check-grad")
    settings = load(config, overrides or ())
    rows = check_gradients(settings, replay=replay)
    bad = [row for row in rows if row.ok is False]
    if as_json:
        console.emit({"ok": not bad, "rows": [asdict(row) | {"ok": row.ok} for row in rows]})
    else:
        _show(rows)
        _conclude(rows, settings.run.precision)
    if bad:
        raise typer.Exit(1)


VERDICTS = {True: "ok", False: "BAD", None: "-"}


def _show(rows: "list[Checked]") -> None:
    console.table(
        "Relative errors of the meta-gradient",
        ("way", "part", "norm", "error", "tolerance", "verdict"),
        [
            (
                row.way,
                row.part,
                f"{row.norm:.3g}",
                f"{row.error:.1e}" if row.finite else "-",
                "-" if row.tolerance is None else f"{row.tolerance:.0e}",
                VERDICTS[row.ok],
            )
            for row in rows
        ],
    )


def _conclude(rows: "list[Checked]", precision: str) -> None:
    if overflown := [row.part for row in rows if not row.finite]:
        console.say(
            f"The gradient itself is not finite, or too large for {precision}, in: {', '.join(overflown)}. These parts "
            "are not compared, for no way could be right or wrong there."
        )
    if judged := [row.ok for row in rows if row.ok is not None]:
        bad = judged.count(False)
        console.say(f"{bad} of {len(judged)} errors are above their tolerance." if bad else "All agree.")
