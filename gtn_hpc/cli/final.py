"""`gtn final`."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.failing import crashes_go_to
from gtn_hpc.cli.meter import Meter
from gtn_hpc.cli.options import ConfigFile, Json, Overrides, require_images
from gtn_hpc.cli.stopping import stoppable
from gtn_hpc.core.rundir import RunDirectory

if TYPE_CHECKING:
    from gtn_hpc.config import Config
    from gtn_hpc.final.winner import Winner
    from gtn_hpc.scores import FinalRow


def final(
    config: ConfigFile,
    overrides: Overrides = None,
    top_k: Annotated[
        int | None, typer.Option(min=1, help="Train this many (default: final.top_k).", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Train the best architectures of a search on real data.

    The best epoch is chosen on validation; the test split is looked at once, at the end. Goes on by itself. Alone, with
    search.workers at a time, or under mpiexec: the first rank asks, each other one trains.

    Example: gtn final configs/digits.yaml --top-k 3
    """
    from gtn_hpc.config import load
    from gtn_hpc.final.pools import assist, ranks_of

    settings = load(config, [*(overrides or ()), *([f"final.top_k={top_k}"] if top_k else [])])
    require_images(settings, "gtn final")
    ranks, run = ranks_of(), settings.run.directory
    with crashes_go_to(run.path):
        if ranks is not None and ranks.rank > 0:
            return assist(settings, run)
        rows = train_winners(settings, run)
    if as_json:
        console.emit({"run": run.path, "scores": run.scores, "final": [_summary(row) for row in rows]})
    else:
        show(rows)
        console.say(f"Scores: {run.scores}\nTrained networks: {run.winners}")
    return None


def train_winners(settings: "Config", run: RunDirectory) -> "list[FinalRow]":
    """The final stage under a meter."""
    from gtn_hpc.final.stage import Watch, run_final

    epochs = settings.final.epochs
    with Meter("training", settings.final.top_k * epochs) as meter, stoppable(run, "final", settings) as stop:
        told = Training(meter, epochs)
        return run_final(settings, run, Watch(told.begun, told.epoch, told.row, lambda: bool(stop), console.note))


@dataclass
class Training:
    """Moves the meter of the final stage, by epochs: what the members of `Watch` of these names are."""

    meter: Meter
    epochs: int
    before: int = 0
    reached: dict[int, int] = field(default_factory=dict)

    def begun(self, winners: int) -> None:
        self.before = winners * self.epochs

    def epoch(self, winner: "Winner", done: int, accuracy: float) -> None:
        self.reached[winner.place] = done
        self._tell(f"winner {winner.place}: {100 * accuracy:.1f} %")

    def row(self, found: "FinalRow") -> None:
        self.reached[int(found.extra["place"])] = self.epochs
        if found.epochs < self.epochs:
            self._tell(f"winner {found.extra['place']:g}: {found.status}")

    def _tell(self, text: str) -> None:
        self.meter.reach(self.before + sum(self.reached.values()), text)


def show(rows: "list[FinalRow]") -> None:
    """What each winner reached on real data."""
    console.table(
        "Trained on real data",
        ("place", "architecture", "parameters", "best epoch", "validation %", "test %", "status"),
        [
            (
                place,
                row.arch,
                row.params,
                f"{row.best_epoch} of {row.epochs}",
                f"{100 * row.val_accuracy:.2f}",
                f"{100 * row.test_accuracy:.2f}",
                row.status,
            )
            for place, row in enumerate(rows, start=1)
        ],
    )


def _summary(row: "FinalRow") -> dict[str, object]:
    names = ("arch", "epochs", "best_epoch", "val_accuracy", "test_accuracy", "params", "status", "seconds")
    return {name: getattr(row, name) for name in names}
