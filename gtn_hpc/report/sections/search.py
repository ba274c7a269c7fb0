"""What was found, how the search went, and what the winners do on real data."""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from gtn_hpc.report import figures
from gtn_hpc.report.blocks import Block, Card, Gallery, Missing, Prose, Table, figure
from gtn_hpc.report.evidence import Evidence
from gtn_hpc.report.figures.searching import COLOURED, By, Cost
from gtn_hpc.report.frames import records
from gtn_hpc.report.frames.searching import front, progress, thinned
from gtn_hpc.report.wording import count, duration, percent, plural, short

PROGRESS: dict[By, str] = {"evaluations": "architectures scored", "seconds": "time"}
COSTS: dict[Cost, str] = {"params": "parameters", "flops": "FLOPs"}
TOP = 6
DOTS = 2000
"""Architectures besides the front that a Pareto figure shows."""

POINTS = 4000
"""Of all training curves together, about."""


def unscored(evidence: Evidence) -> Block:
    """Why there are no estimates: nothing was scored yet, or nothing ended well."""
    if evidence.tables is None or evidence.tables.scores.empty:
        return Missing("No architectures scored yet", evidence.command("gtn search RUN"))
    rows = evidence.tables.scores
    tried, steps = plural(rows["arch"].nunique(), "architecture"), plural(int(rows["fidelity"].max()), "step")
    return Prose(f"None of {tried} has an estimate after {steps} of the teacher: see Failures.")


def best(evidence: Evidence) -> Iterator[Block]:
    """The architectures with the best estimates, drawn."""
    if evidence.estimates.empty:
        yield unscored(evidence)
        return
    truth = evidence.pairs.set_index("arch")["truth"] if len(evidence.pairs) else pd.Series(dtype=float)
    rows = records(evidence.estimates.head(TOP))
    yield Gallery([_card(evidence, place, row, truth) for place, row in enumerate(rows, start=1)])


def _card(evidence: Evidence, place: int, row: dict[str, Any], truth: "pd.Series[float]") -> Card:
    arch = row["arch"]
    facts = [("estimate", percent(row["estimate"], 2))]
    facts += [("real data", percent(truth[arch], 2))] if arch in truth else []
    facts += [("parameters", count(row["params"])), ("FLOPs", short(row["flops"]))]
    drawing = evidence.drawing(arch)
    if not drawing and arch in evidence.specifications:
        facts.append(("specification", json.dumps(evidence.specifications[arch].spec)))
    return Card(f"{place}. {arch}", facts, drawing)


def searched(evidence: Evidence) -> Iterator[Block]:
    """Best so far, and the Pareto front."""
    if evidence.tables is None or evidence.estimates.empty:
        yield unscored(evidence)
        return
    steps = progress(evidence.tables.scores)
    last, first = steps.iloc[-1], evidence.estimates.iloc[0]
    yield Prose(
        f"{plural(int(last['evaluations']), 'architecture')} of space {evidence.config.search.space.name} in "
        f"{duration(last['seconds'])}; best estimate {percent(first['estimate'], 2)} ({first['arch']})."
    )
    for by, words in PROGRESS.items():
        yield figure(
            figures.progress(steps, by),
            f"Best estimate so far over {words}.",
            f"It ends at {percent(last['best'], 2)}.",
            half=True,
        )


def costly(evidence: Evidence) -> Iterator[Block]:
    """Accuracy against parameters and FLOPs."""
    found = evidence.estimates
    if found.empty:
        yield unscored(evidence)
        return
    for cost, words in COSTS.items():
        marked = found.assign(front=front(found, cost))[["arch", "estimate", "params", "flops", "front"]]
        dots = thinned(marked, DOTS)
        which = "" if len(dots) == len(found) else f" {len(dots)} of {len(found)} architectures are shown."
        yield figure(
            figures.pareto(dots, cost),
            f"Estimate against {words}; the line joins those that no other beats in both.{which}",
            f"{marked['front'].sum()} architectures are on the front.",
            half=True,
        )


def final(evidence: Evidence) -> Iterator[Block]:
    """The winners on real data."""
    rows = pd.DataFrame() if evidence.tables is None else evidence.tables.final
    if rows.empty:
        yield Missing("No winner was trained on real data yet", evidence.command("gtn final RUN --top-k 3"))
        return
    estimate = evidence.estimates.set_index("arch")["estimate"]
    ordered = rows.assign(estimate=rows["arch"].map(estimate)).sort_values("val_accuracy", ascending=False)
    yield Table(
        f"Winners trained on real data ({rows['data'].iloc[0]}); the test split was looked at once, at the end",
        ("architecture", "estimate", "validation", "test", "parameters", "best epoch", "time", "ended"),
        [_final_row(row) for row in records(ordered)],
    )
    yield Prose("Recipe: " + "; ".join(sorted(set(rows["recipe"]))) + ".")
    curves = training_curves(evidence)
    if len(curves):
        shown = curves["arch"].nunique()
        others = f" The best {COLOURED} of {shown} are named; the others, faint, say who they are when pointed at."
        yield figure(
            figures.training_curves(curves),
            f"Validation accuracy of the winners after each epoch.{others if shown > COLOURED else ''}",
            "Training curves.",
        )


def _final_row(row: dict[str, Any]) -> tuple[str, ...]:
    accuracies = [percent(row[name], 2) for name in ("estimate", "val_accuracy", "test_accuracy")]
    epochs = f"{row['best_epoch']} of {row['epochs']}"
    return (row["arch"], *accuracies, count(row["params"]), epochs, duration(row["seconds"]), row["status"])


def training_curves(evidence: Evidence) -> pd.DataFrame:
    """Accuracy of each winner after each epoch, or where these are many after every so many, the best and the last:
    arch, step, val_accuracy."""
    assert evidence.tables is not None
    points = evidence.tables.curves
    points = points[points["table"] == "final"]
    most = points.groupby("key")[["step", "val_accuracy"]].transform("max")
    kept = points["step"] % max(1, -(-len(points) // POINTS)) == 0
    points = points[kept | points[["step", "val_accuracy"]].eq(most).any(axis=1)]
    return points.merge(evidence.tables.final[["key", "arch"]], on="key")[["arch", "step", "val_accuracy"]]
