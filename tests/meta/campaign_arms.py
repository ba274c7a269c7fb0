"""One choice at a time on a short budget: each arm teaches MNIST anew from configs/arms/mnist.yaml, over seeds.

Every teacher is judged by the same never-seen learners, those of the unchanged file, on the validation split.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import torch
from resumable import Row, resume

from gtn_hpc.config import load
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.curriculum.file import read
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.data import load as load_images
from gtn_hpc.meta.evaluation import evaluate_teacher, final_accuracies
from gtn_hpc.report.figures.style import PALETTE, save, styled
from gtn_hpc.stats.means import paired_difference

ROOT = Path(__file__).parents[2]
BASE = ROOT / "configs" / "arms" / "mnist.yaml"
LEARNERS, CURVES = 20, 4
COLOURS = [*(PALETTE[role] for role in ("teacher", "best", "bad", "faint")), "#7a4fd0", "#b5892b", PALETTE["real"]]
"""Of the curricula, in their order."""

FAMILY = "family: conv2-fc, width_quantum: 8"
RANDOM = "widths: [[8, 25], [16, 33], [32, 65]]"
MIXTURE = (
    f"learners=[{{{FAMILY}, {RANDOM}}}, {{family: conv2-gap, widths: [[8, 25], [16, 33]], width_quantum: 8}}, "
    "{family: linear, widths: [[32, 129], [32, 65]], width_quantum: 8}]"
)

START = ["teacher.curriculum.start=real", "teacher.curriculum.start_passes=20"]
PIXELS = ["teacher.curriculum.arm=distilled_pixels", "meta.lr=0.06"]
LABELS = "teacher.curriculum.labels=learned"

ARMS: dict[str, dict[str, list[str]]] = {
    "curricula (paper section 3.3)": {
        "full": [],
        "shuffled batch": ["teacher.curriculum.arm=shuffled_batch"],
        "all shuffled": ["teacher.curriculum.arm=all_shuffled"],
        "none": ["teacher.curriculum.arm=none"],
        "fixed latents": ["teacher.curriculum.arm=fixed_latents"],
        "distilled pixels": ["teacher.curriculum.arm=distilled_pixels"],
        "real data, learned schedule": ["teacher.curriculum.arm=real_data"],
    },
    "intermediate losses": {
        "every 4 steps": ["inner.intermediate_every=4"],
        "every step": ["inner.intermediate_every=1"],
    },
    "weight norm": {
        "learners without": [f"learners=[{{{FAMILY}, {RANDOM}, weight_norm: false}}]"],
        "generator without": ["teacher.generator.weight_norm=false"],
    },
    "batch norm of the learners": {
        "mean-only": [f"learners=[{{{FAMILY}, {RANDOM}, norm: mean_only}}]"],
        "none": [f"learners=[{{{FAMILY}, {RANDOM}, norm: none}}]"],
    },
    "learners taught on": {
        "one of fixed widths": [f"learners=[{{{FAMILY}, widths: [16, 24, 48]}}]"],
        "a mixture of three families": [MIXTURE],
    },
    "outer optimiser": {
        "rate .0025": ["meta.lr=0.0025"],
        "rate .005": ["meta.lr=0.005"],
        "rate .02": ["meta.lr=0.02"],
        "rate .01, constant": ["meta.schedule=constant"],
        "2 replicas": ["meta.replicas=2"],
    },
    "inner schedule": {
        "one rate and momentum": ["inner.learn=scalar"],
        "not learned": ["inner.learn='no'"],
    },
    "beyond the paper": {
        "start from real images": START,
        "start from real images, a loss every 4 steps": [*START, "inner.intermediate_every=4"],
        "learned labels": [LABELS],
        "start from real images, learned labels": [*START, LABELS],
        "distilled pixels, rate .06": PIXELS,
        "distilled pixels, rate .06, start from real images": [*PIXELS, *START],
        "distilled pixels, rate .06, start from real images, learned labels": [*PIXELS, *START, LABELS],
        "moving average, .9": ["meta.average=0.9"],
        "8 batches, shown twice": ["teacher.curriculum.cycle=8"],
    },
}
OPTIONS = {(group, arm): options for group, arms in ARMS.items() for arm, options in arms.items()}
BASELINE = ("curricula (paper section 3.3)", "full")


def run_arm(group: str, arm: str, seed: int) -> Row:
    """Teaches and judges one teacher; runs in a process of its own."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, "-m", "gtn_hpc", "train", str(BASE), *OPTIONS[group, arm]]
        command += [f"run.root={root}", f"run.seed={seed}", "run.name=arm", "run.device=cpu"]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        taught_in = time.perf_counter() - began
        row = {"group": group, "arm": arm, "seed": seed, "seconds": round(taught_in, 1)}
        if done.returncode:
            return row | {"failed": " ".join(done.stderr.split())[-300:]}
        frozen = read(Path(root) / "arm" / "curriculum.h5").frozen
    return row | judged(frozen, seed, curves=group == BASELINE[0])


def judged(frozen: Frozen, seed: int, *, curves: bool) -> Row:
    config = load(BASE, [f"run.seed={seed}"])
    splits = load_images(config.data, seed=seed, device=torch.device("cpu"), dtype=torch.float32)
    found = final_accuracies(config, frozen, splits, learners=LEARNERS)
    row: Row = {"accuracy": found.mean(), "sd": found.std(ddof=1)}
    if curves:
        row["curve"] = (
            evaluate_teacher(config, frozen, splits, learners=CURVES, real_data=False).teacher.mean(0).tolist()
        )
    if frozen.order == "fixed":
        order = torch.randperm(frozen.steps, generator=torch_generator(seed, "shuffled at test"))
        lr, momentum = frozen.schedule.table()
        other = Frozen(frozen.x[order], frozen.y[order], lr, momentum, "fixed")
        row["shuffled_at_test"] = final_accuracies(config, other, splits, learners=LEARNERS).mean()
    return row


def in_a_process(group: str, arm: str, seed: int) -> Row:
    command = [sys.executable, __file__, "--one", json.dumps([group, arm, seed])]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit(f"{arm}, seed {seed}: {done.stderr}")
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def campaign(report: Path, seeds: int, jobs: int) -> list[Row]:
    """Every arm not yet in `report`: the curricula over all seeds, then the others seed by seed, so that a campaign cut
    short has the paper's table, and each choice once."""
    every = [(group, arm, seed) for seed in range(seeds) for group, arm in OPTIONS]
    every.sort(key=lambda one: one[0] != BASELINE[0])
    return resume(report, ("group", "arm", "seed"), every, in_a_process, jobs)


def page(rows: list[Row], seeds: int) -> str:
    base = values(rows, *BASELINE)
    lines = [
        "# What makes a teacher good: one choice at a time",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, `make campaign-arms`: configs/arms/mnist.yaml (MNIST, 16 "
        f"steps of 32 images, 120 meta-iterations, one thread a run), {seeds} seeds wanted, each teacher judged by "
        f"{LEARNERS} never-seen learners of random widths on 5,000 validation images. Difference: from the first "
        "arm, seed by seed, with Student's 95 % interval.",
        "",
        "| choice | arm | seeds | accuracy, mean (sd over seeds) | difference | seconds |",
        "|---|---|---|---|---|---|",
    ]
    removed = {(row["group"], row["arm"]): () for row in rows}  # arms of options that are gone have rows alone
    for group, arm in OPTIONS | removed:
        mine = [row for row in rows if (row["group"], row["arm"]) == (group, arm)]
        lines.append(f"| {group} | {arm} | {' | '.join(cells(mine, values(rows, group, arm), base))} |")
    shuffled = [row["shuffled_at_test"] for row in rows if (row["group"], row["arm"]) == BASELINE and "sd" in row]
    if shuffled:
        lines += ["", f"Full, its steps shuffled at test: {100 * np.mean(shuffled):.2f} %."]
    return "\n".join([*lines, "", *curve_lines(rows), ""])


def values(rows: list[Row], group: str, arm: str) -> dict[int, float]:
    return {r["seed"]: 100 * r["accuracy"] for r in rows if (r["group"], r["arm"]) == (group, arm) and "accuracy" in r}


def cells(mine: list[Row], found: dict[int, float], base: dict[int, float]) -> list[str]:
    if not found:
        return ["0", mine[0].get("failed", "") if mine else "not run", "", ""]
    known = list(found.values())
    spread = f" ({np.std(known, ddof=1):.2f})" if len(known) > 1 else ""
    both = sorted(set(found) & set(base))
    apart = ""
    if len(both) > 1 and found != base:
        gain = paired_difference([found[s] for s in both], [base[s] for s in both])
        apart = f"{gain.value:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]"
    seconds = np.mean([row["seconds"] for row in mine])
    return [str(len(known)), f"{np.mean(known):.2f}{spread}", apart, f"{seconds:.0f}"]


def curve_lines(rows: list[Row]) -> list[str]:
    shown = (1, 2, 4, 8, 12, 16)
    lines = [
        f"Accuracy in % after inner steps, means of {CURVES} learners a seed:",
        "",
        f"| curriculum | {' | '.join(map(str, shown))} |",
        f"|---|{'---|' * len(shown)}",
    ]
    for arm, curves in curves_by_arm(rows).items():
        middle = 100 * np.mean(curves, axis=0)
        lines.append(f"| {arm} | {' | '.join(f'{middle[t - 1]:.1f}' for t in shown)} |")
    return lines


def curves_by_arm(rows: list[Row]) -> dict[str, list[list[float]]]:
    """Of each curriculum the learning curves, one a seed."""
    named: dict[str, list[list[float]]] = {arm: [] for arm in ARMS[BASELINE[0]]}
    for row in rows:
        if row["group"] == BASELINE[0] and "curve" in row:
            named[row["arm"]].append(row["curve"])
    return {arm: curves for arm, curves in named.items() if curves}


def draw(rows: list[Row], folder: Path) -> None:
    """Writes arms-curves.png: mean over seeds, and from the lowest to the highest of them."""
    frame = pd.DataFrame(
        {"curriculum": arm, "step": step, "mean": np.mean(at), "low": min(at), "high": max(at)}
        for arm, curves in curves_by_arm(rows).items()
        for step, at in enumerate(zip(*curves, strict=True), 1)
    )
    names = list(ARMS[BASELINE[0]])
    base = alt.Chart(frame).encode(
        x=alt.X("step:Q", title="inner step", axis=alt.Axis(tickMinStep=1), scale=alt.Scale(nice=False)),
        color=alt.Color("curriculum:N", scale=alt.Scale(domain=names, range=COLOURS), legend=alt.Legend(columns=4)),
    )
    low, mean = (alt.Y(f"{name}:Q", title="accuracy", axis=alt.Axis(format=".0%")) for name in ("low", "mean"))
    line = base.mark_line(strokeWidth=2.5, point=alt.OverlayMarkDef(size=30)).encode(y=mean)
    with tempfile.TemporaryDirectory() as scratch:
        picture, _ = save(
            styled(base.mark_area(opacity=0.15).encode(y=low, y2="high:Q") + line, height=340),
            Path(scratch) / "arms-curves",
        )
        shutil.copy(picture, folder / picture.name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--stem", type=Path, help="writes STEM.jsonl and STEM.md")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=Path, help="folder of the figure")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs side by side, one thread each")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(run_arm(*chosen.one)))
        return 0
    rows = campaign(chosen.stem.with_suffix(".jsonl"), chosen.seeds, chosen.jobs)
    chosen.stem.with_suffix(".md").write_text(page(rows, chosen.seeds))
    if chosen.images:
        draw(rows, chosen.images)
    return 0


if __name__ == "__main__":
    sys.exit(main())
