"""`gtn demo`: every stage, one after another, on scikit-learn's digits."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gtn_hpc.cli import console, judged
from gtn_hpc.cli.failing import crashes_go_to
from gtn_hpc.cli.final import train_winners
from gtn_hpc.cli.options import RUNS, Json
from gtn_hpc.cli.outputs import require_writable
from gtn_hpc.cli.search import score_all
from gtn_hpc.cli.stopping import require_one_process
from gtn_hpc.cli.train import teach
from gtn_hpc.core.rundir import RunDirectory

if TYPE_CHECKING:
    from gtn_hpc.config import Config
    from gtn_hpc.meta.evaluation import Evaluation
    from gtn_hpc.scores import FinalRow
    from gtn_hpc.search.stage import SearchReport

CONFIG = Path(__file__).with_name("demo.yaml")

QUICK = (
    "run.name=digits-quick",
    "teacher.curriculum={steps: 4, batch: 20}",
    "meta={iterations: 20, batch: 64}",
    "evaluate.learners=4",
    "evaluate.real_data={lr: [0.2, 0.4], momentum: [0.5], tune_learners: 1}",
    "search.budget=5",
    "search.certificate={minimum: 4, steps: 10}",
    "final.epochs=2",
)
"""Settings that show every stage and find little."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What the stages found, where the page is, and the seconds this start took."""

    run: RunDirectory
    evaluation: "Evaluation"
    search: "SearchReport"
    winners: "list[FinalRow]"
    page: Path
    seconds: float


def demo(
    root: Annotated[Path, typer.Option(help="Directory that gets the run.")] = RUNS,
    quick: Annotated[bool, typer.Option("--quick", help="Half a minute; finds little.")] = False,
    as_json: Json = False,
) -> None:
    """The whole way on 8x8 digits: teach, search, check the estimates, train the winner, report.

    A few minutes on two cores; cut off, the same command goes on.

    Example: gtn demo --root /tmp/runs
    """
    from gtn_hpc.config import load

    require_one_process("gtn demo")
    text = json.dumps(str(root), ensure_ascii=False)  # or YAML would read 2026 as a number
    settings = load(CONFIG, [f"run.root={text}", *(QUICK if quick else ())])
    require_writable(settings.run.directory.path, "Name another place: --root DIRECTORY.")
    with crashes_go_to(settings.run.directory.path):
        found = run_all(settings)
    if as_json:
        console.emit(_summary(found))
    else:
        _show(found)


def run_all(settings: "Config") -> Findings:
    """The stages."""
    from gtn_hpc.meta.evaluation import Evaluation
    from gtn_hpc.report.page import write as write_page

    began = time.monotonic()
    budget, winners = settings.search.budget, settings.final.top_k
    console.note(f"1 of 4: teach a teacher, {settings.meta.iterations} meta-iterations")
    taught = teach(settings)
    assert isinstance(taught.evaluation, Evaluation), "the only process is the first"
    console.note(f"2 of 4: score {budget} architectures with its curriculum, and train a sample on real data")
    run = taught.run
    report = score_all(settings, run)
    console.note(f"3 of 4: train the best on real data, {settings.final.epochs} epochs, {winners} in all")
    rows = train_winners(settings, run)
    console.note("4 of 4: write the report")
    page = write_page([run], run.report)
    return Findings(run, taught.evaluation, report, rows, page, time.monotonic() - began)


def _show(found: Findings) -> None:
    console.table("What the demo found", ("", "result", "95 % interval"), _rows(found))
    console.say(f"Time: {console.duration(found.seconds)}")
    console.say(f"Page: {found.page}")


def _rows(found: Findings) -> list[tuple[str, str, str]]:
    numbers = judged.summary(found.evaluation)
    steps = found.evaluation.teacher.shape[1]
    rows = [
        (
            f"{numbers['learners']} never-seen learners after {steps} steps on synthetic images",
            *_accuracy(numbers, "teacher"),
        ),
        ("the same learners after as many steps on real images", *_accuracy(numbers, "real_data")),
        ("difference in points, paired by learner", *_accuracy(numbers, "difference", "{:+.1f}")),
        ("architectures scored", str(found.search.architectures), ""),
    ]
    for name, estimate in (
        ("Spearman", found.search.certificate.spearman),
        ("Kendall", found.search.certificate.kendall),
    ):
        what = f"{name}, estimates against real-data training of {found.search.certified}"
        if math.isnan(estimate.value):
            rows.append((what, "unknown", estimate.note))
            continue
        rows.append((what, f"{estimate.value:.2f}", f"{estimate.low:.2f} to {estimate.high:.2f}"))
    for place, row in enumerate(found.winners, start=1):
        what = f"winner {place}, {row.params} parameters, on the test split after {row.epochs} epochs"
        rows.append((what, f"{100 * row.test_accuracy:.1f} %", ""))
    return rows


def _accuracy(numbers: dict[str, Any], side: str, shape: str = "{:.1f} %") -> tuple[str, str]:
    part = numbers[side]
    return shape.format(100 * part["value"]), judged.interval(part["low"], part["high"])


def _summary(found: Findings) -> dict[str, Any]:
    return {
        "run": found.run.path,
        "page": found.page,
        "seconds": found.seconds,
        "evaluation": judged.summary(found.evaluation),
        "architectures": found.search.architectures,
        "certified": found.search.certified,
        "certificate": found.search.certificate.to_json(),
        "winners": [
            {"arch": row.arch, "val_accuracy": row.val_accuracy, "test_accuracy": row.test_accuracy}
            for row in found.winners
        ],
    }
