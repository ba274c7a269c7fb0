"""Do the algorithms search better than chance? Two comparisons over seeds, each as numbers and curves.

On a table of NAS-Bench-201, how far the best so far is from the best there is; on digits, with networks of the `chain`
space that are trained in earnest, how many inner steps ASHA needs for an architecture as good as random search's best.
Writes STEM.jsonl (a line a search), STEM.md, and a figure of each. Resumable: searches that the report holds are not
repeated.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import sem, t
from search_campaign import campaign, curriculum
from table_search import Table, search_table

from gtn_hpc.report import figures
from gtn_hpc.scores.replay import read_journals
from gtn_hpc.stats import mean, paired_difference, signed_rank

ON_TABLE = {
    "random": "{name: random}",
    "evolution": "{name: evolution}",
    "evolution by generations": "{name: evolution, population: 20, sample: 5, synchronous: true}",
    "local search": "{name: local}",
}
EVALUATIONS, FIRST_SHOWN = 300, 10
STEPS, ARCHITECTURES = 81, 40
ON_DIGITS = {
    "random": ("{name: random}", ARCHITECTURES),
    "ASHA": ("{name: halving, first: 3, eta: 3}", 8 * ARCHITECTURES),
}
"""Each with its budget, for about equally many inner steps in all."""

DATA = ["data.validation=0.3"]
"""431 images to judge by: among the 144 of the default the best of many is chosen by luck."""

CHAINS = [
    *DATA,
    "search.space={name: chain, widths: [8, 16, 32, 64]}",
    "search.replicas=1",
    "search.score_at=[]",
    "search.certificate.fraction=0",
]
Row = dict[str, Any]
Changes = list[list[float]]


def on_table(path: Path, seeds: int, done: list[Row]) -> Iterator[Row]:
    table = Table.read(path)
    for algorithm, section in ON_TABLE.items():
        for seed in missing(done, "table", algorithm, seeds):
            changes = search_table(table, section, seed, EVALUATIONS)
            regrets = [[cost, table.best_validation - value, table.best_test - test] for cost, value, test in changes]
            yield {"study": "table", "algorithm": algorithm, "seed": seed, "changes": rounded(regrets)}


def on_digits(seeds: int, done: list[Row]) -> Iterator[Row]:
    for algorithm, (section, budget) in ON_DIGITS.items():
        for seed in missing(done, "digits", algorithm, seeds):
            place = Path(tempfile.mkdtemp(prefix="algorithms-"))
            curriculum(place / "curriculum.h5", steps=STEPS, split=[*DATA, f"run.seed={seed}"])
            options = [f"search.algorithm={section}", f"search.budget={budget}", f"run.seed={seed}"]
            campaign(place, *CHAINS, *options)
            changes, steps = costs(place / "campaign" / "journal", asked=algorithm == "random")
            shutil.rmtree(place)
            yield {"study": "digits", "algorithm": algorithm, "seed": seed, "changes": rounded(changes), "steps": steps}


def costs(journal: Path, *, asked: bool) -> tuple[Changes, int]:
    """Inner steps until the best after all steps changed, and what it reached; the inner steps of the whole search.

    A learner that goes on from its saved state costs the steps that are added. In the order of telling, or of asking:
    of a search that does not learn the longest that wait are evaluated first, and large networks are better ones.
    """
    taught: dict[str, int] = {}
    changes: Changes = []
    for tell in sorted(read_journals(journal).tells, key=lambda tell: tell.ask if asked else tell.order):
        taught[tell.arch] = tell.fidelity
        if tell.fidelity == STEPS and (not changes or tell.value > changes[-1][1]):
            changes.append([sum(taught.values()), tell.value])
    return changes, sum(taught.values())


def missing(done: list[Row], study: str, algorithm: str, seeds: int) -> list[int]:
    there = {row["seed"] for row in done if (row["study"], row["algorithm"]) == (study, algorithm)}
    return [seed for seed in range(seeds) if seed not in there]


def rounded(changes: Iterable[Iterable[float]]) -> Changes:
    return [[round(number, 6) for number in change] for change in changes]


def reached(rows: list[Row], study: str, algorithm: str, at: Iterable[float], column: int) -> np.ndarray:
    """The column of the last change at each cost, NaN before the first [seeds, costs]."""
    found = []
    for row in sorted(rows, key=lambda row: row["seed"]):
        if (row["study"], row["algorithm"]) == (study, algorithm):
            begun = [[change for change in row["changes"] if change[0] <= cost] for cost in at]
            found.append([changes[-1][column] if changes else np.nan for changes in begun])
    return np.array(found)


def curves(rows: list[Row], study: str, names: Iterable[str], at: list[int], column: int) -> pd.DataFrame:
    """Mean and 95 % interval over seeds, from where every seed has a value."""
    found = []
    for name in names:
        values = reached(rows, study, name, at, column)
        for cost, of_seeds in zip(at, values.T, strict=True):
            if not np.isnan(of_seeds).any():
                estimate = mean(of_seeds)
                found.append((name, cost, estimate.value, estimate.low, estimate.high))
    return pd.DataFrame(found, columns=["algorithm", "cost", "mean", "low", "high"])


def table_lines(rows: list[Row]) -> list[str]:
    final = {name: [reached(rows, "table", name, [EVALUATIONS], i)[:, 0] * 100 for i in (1, 2)] for name in ON_TABLE}
    seeds = len(final["random"][0])
    lines = [
        f"## NAS-Bench-201 as a table: {seeds} seeds, {EVALUATIONS} evaluations",
        "",
        "The score is the table's CIFAR-10 validation accuracy; cells of one function count as one (5,044). Regret: "
        "percentage points from the best cell of the table to the one with the best validation accuracy so far. Gain: "
        "random's regret less this one's, seed by seed, with Student's 99 % interval; p: Wilcoxon's signed-rank test, "
        "two-sided.",
        "",
        "| algorithm | regret on validation, mean (sd) | gain | p | regret on test, mean (sd) | gain | p |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in ON_TABLE:
        cells = [cell for i in (0, 1) for cell in comparison_cells(final[name][i], final["random"][i])]
        lines.append(f"| {name} (`{ON_TABLE[name]}`) | {' | '.join(cells)} |")
    return lines


def comparison_cells(ours: np.ndarray, chance: np.ndarray) -> list[str]:
    own = f"{ours.mean():.3f} ({ours.std(ddof=1):.3f})"
    if ours is chance:
        return [own, "", ""]
    gain = chance - ours
    low, high = t.interval(0.99, len(gain) - 1, loc=gain.mean(), scale=sem(gain))
    return [own, f"{gain.mean():.3f} [{low:.3f}, {high:.3f}]", f"{signed_rank(chance, ours):.1g}"]


def digits_lines(rows: list[Row]) -> list[str]:
    pairs = [
        [
            next(r for r in rows if (r["study"], r["algorithm"], r["seed"]) == ("digits", name, seed))
            for name in ON_DIGITS
        ]
        for seed in range(sum((row["study"], row["algorithm"]) == ("digits", "random") for row in rows))
    ]
    lines = [
        f"## ASHA on digits, space `chain`: {len(pairs)} seeds",
        "",
        f"Curriculum: {STEPS} frozen batches of 32 real digits, three passes (SGD, rate 0.1, momentum 0.5); 431 others "
        "to judge by. "
        f"Random search scores {ARCHITECTURES} architectures after all {STEPS} steps; ASHA (rungs 3, 9, 27, 81) begins "
        f"{ON_DIGITS['ASHA'][1]}, about as many steps in all. Random's steps count in the order of asking. "
        f"Only accuracies after {STEPS} steps count; a promoted learner costs the steps that are added.",
        "",
        "| seed | random's best | its inner steps until then (in all) | ASHA's until one at least as good (in all) | "
        "ASHA's best |",
        "|---|---|---|---|---|",
    ]
    needed = []
    for random, asha in pairs:
        cost, best = random["changes"][-1]
        steps = next((cost for cost, value in asha["changes"] if value >= best), np.inf)
        needed.append((cost, steps))
        reached_after = f"{steps:.0f}" if np.isfinite(steps) else "never"
        lines.append(
            f"| {random['seed']} | {best:.4f} | {cost:.0f} ({random['steps']}) | {reached_after} ({asha['steps']}) | "
            f"{asha['changes'][-1][1]:.4f} |"
        )
    first, second = np.array(needed).T
    ends = [np.array([search["changes"][-1][1] for search in pair]) for pair in zip(*pairs, strict=True)]
    gain = paired_difference(ends[1], ends[0])
    lines += [
        "",
        f"ASHA needed fewer steps in {int((second < first).sum())} of {len(first)} seeds, more in "
        f"{int(((second > first) & np.isfinite(second)).sum())}, and got there in none of its steps in "
        f"{int(np.isinf(second).sum())}; median {np.median(first):.0f} steps for random search, "
        f"{np.median(second):.0f} for ASHA. Its best at the end is {100 * gain.value:.2f} points better in the mean "
        f"[{100 * gain.low:.2f}, {100 * gain.high:.2f}] (95 % interval).",
        "",
        mean_line(pairs),
    ]
    return lines


def mean_line(pairs: list[list[Row]]) -> str:
    """When a random search's best stands depends on luck, its mean over seeds much less."""
    end = STEPS * ARCHITECTURES
    grid = np.arange(STEPS, end + 1, 3)
    chance, asha = (np.array([so_far(pair[i], grid) for pair in pairs]) for i in (0, 1))
    rng = np.random.default_rng(0)
    drawn = [np.arange(len(pairs)), *rng.integers(len(pairs), size=(10_000, len(pairs)))]
    needed = [first_above(asha[seeds].mean(axis=0), chance[seeds, -1].mean(), grid) for seeds in drawn]
    low, high = np.quantile(needed[1:], [0.025, 0.975])
    return (
        f"In the mean over seeds random search's best is {chance[:, -1].mean():.4f} after {end} steps; the mean of "
        f"ASHA's best is there after **{needed[0]:.0f}** [{low:.0f}, {high:.0f}] (95 % bootstrap interval over seeds, "
        "paired)."
    )


def so_far(search: Row, grid: np.ndarray) -> list[float]:
    """The best after each cost of the grid, 0 before the first."""
    return [max((value for cost, value in search["changes"] if cost <= at), default=0.0) for at in grid]


def first_above(curve: np.ndarray, level: float, grid: np.ndarray) -> float:
    above = np.flatnonzero(curve >= level)
    return float(grid[above[0]]) if len(above) else float("inf")


def draw(rows: list[Row], folder: Path) -> None:
    """Writes search-regret.png and search-asha.png."""
    shown = [*range(FIRST_SHOWN, EVALUATIONS + 1, 2)]
    regret = curves(rows, "table", ON_TABLE, shown, 2)
    steps = curves(rows, "digits", ON_DIGITS, [*range(STEPS, STEPS * ARCHITECTURES + 1, 6)], 1)
    for name, chart in {
        "search-regret": figures.comparison(regret, "architectures scored", "regret (test accuracy)"),
        "search-asha": figures.comparison(steps, "inner steps of all learners", "best validation accuracy"),
    }.items():
        with tempfile.TemporaryDirectory() as scratch:
            picture, _ = figures.save(chart, Path(scratch) / name)
            shutil.copy(picture, folder / picture.name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--stem", type=Path, required=True, help="writes STEM.jsonl and STEM.md")
    parser.add_argument("--table", type=Path, required=True, help="CSV with cellstr, cifar10-val and cifar10-test")
    parser.add_argument("--images", type=Path, required=True, help="folder of the figures")
    parser.add_argument("--table-seeds", type=int, default=50)
    parser.add_argument("--digits-seeds", type=int, default=10)
    chosen = parser.parse_args()
    if not chosen.table.is_file():
        sys.exit(f"There is no table {chosen.table}: name one with --table (make: TABLE=...).")
    report = chosen.stem.with_suffix(".jsonl")
    rows = [json.loads(line) for line in report.read_text().splitlines()] if report.is_file() else []
    for make in (on_digits(chosen.digits_seeds, list(rows)), on_table(chosen.table, chosen.table_seeds, list(rows))):
        for row in make:
            rows.append(row)
            with report.open("a") as file:
                file.write(json.dumps(row) + "\n")
    head = (
        "# Search algorithms over seeds\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), `make campaign-algorithms`.\n"
    )
    page = [head, *table_lines(rows), "", *digits_lines(rows), ""]
    chosen.stem.with_suffix(".md").write_text("\n".join(page))
    draw(rows, chosen.images)
    return 0


if __name__ == "__main__":
    sys.exit(main())
