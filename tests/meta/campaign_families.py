"""Which learners a teacher serves: one network, one family of drawn widths, a mixture, and what they started from.

Every teacher has the same budget (configs/arms/families.yaml) and begins from the same real images, to which a
generator is fitted and which pixels copy. It is judged by the same never-seen learners of five families
(configs/small/mnist_judges.yaml). Real data: the same learners and steps, their rate chosen on validation.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from resumable import Row, resume

from gtn_hpc.config import load
from gtn_hpc.curriculum.file import read
from gtn_hpc.data import load as load_images
from gtn_hpc.meta.evaluation import final_accuracies
from gtn_hpc.meta.pupil import Tally, nobody
from gtn_hpc.meta.real_data import RealData
from gtn_hpc.stats.means import mean

ROOT = Path(__file__).parents[2]
BASE = ROOT / "configs" / "arms" / "families.yaml"
JUDGES = ROOT / "configs" / "small" / "mnist_judges.yaml"
FAMILIES = ("conv2-fc", "conv2-gap", "linear", "conv5", "conv6")
LEARNERS = 10

MIXTURE = (
    "learners=[{family: conv2-fc, widths: [[8, 25], [16, 33], [32, 65]], width_quantum: 8}, "
    "{family: conv2-gap, widths: [[8, 25], [16, 33]], width_quantum: 8}, "
    "{family: conv6, widths: [[8, 17], [8, 17], [16, 33], [16, 33], [32, 65], [32, 65]], width_quantum: 8}]"
)
START, REAL = "the start, untaught", "real data, its rate tuned"
UNTAUGHT = ["meta.iterations=1", "meta.lr=1e-12"]
PIXELS = ["teacher.curriculum.arm=distilled_pixels", "teacher.curriculum.labels=learned", "meta.lr=0.03"]
ARMS: dict[str, list[str]] = {
    START: UNTAUGHT,
    "one network (conv2-fc 16, 24, 48)": ["learners=[{family: conv2-fc, widths: [16, 24, 48]}]"],
    "one family (conv2-fc, drawn widths)": [],
    "a mixture (conv2-fc, conv2-gap, conv6)": [MIXTURE],
    "one family, pixels and labels": PIXELS,
    "a mixture, pixels and labels": [*PIXELS, MIXTURE],
    REAL: UNTAUGHT,
}
TAUGHT_ON = {
    arm: {"conv2-fc", "conv2-gap", "conv6"} if MIXTURE in options else {"conv2-fc"}
    for arm, options in ARMS.items()
    if options != UNTAUGHT
}


def run_arm(arm: str, seed: int) -> Row:
    """Teaches one teacher and has every family judge it; for real data, the same learners in its place."""
    with tempfile.TemporaryDirectory() as root:
        began = time.perf_counter()
        gtn("train", str(BASE), *ARMS[arm], f"run.root={root}", f"run.seed={seed}", "run.name=arm", "run.device=cpu")
        row: Row = {"arm": arm, "seed": seed, "seconds": round(time.perf_counter() - began, 1)}
        return row | judged(Path(root) / "arm", seed, real=arm == REAL)


def judged(run: Path, seed: int, *, real: bool) -> Row:
    """Of each family, accuracy of its learners after the curriculum, or after as many steps of real data: mean and sd.

    After the last step alone: the whole curve that `gtn evaluate` measures takes ten times as long.
    """
    judges, frozen = load(JUDGES, [f"run.seed={seed}"]), read(run / "curriculum.h5").frozen
    splits = load_images(judges.data, seed=seed, device=torch.device("cpu"), dtype=torch.float32)
    found, inner = {}, load(BASE).inner
    for family in FAMILIES:
        mine = tuple(learner for learner in judges.learners if learner.family == family)
        config = judges.model_copy(update={"inner": inner, "learners": mine})
        if real:
            control = RealData(config, splits, frozen, frozen.steps, Tally(0, nobody))
            known = control.tuned(splits.validation, LEARNERS, whole=False).accuracy[:, -1]
        else:
            known = final_accuracies(config, frozen, splits, learners=LEARNERS)
        found[family] = {"accuracy": float(known.mean()), "sd": float(known.std(ddof=1))}
    return found


def gtn(*arguments: str) -> None:
    command = [sys.executable, "-m", "gtn_hpc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}: {done.stderr}")


def page(rows: list[Row]) -> str:
    lines = [
        "# Which learners a teacher serves",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, `make campaign-families`: configs/arms/families.yaml",
        "(MNIST, 32 steps of 32 images by Adam, 100 meta-iterations, from real images on: fitted by a generator, or,",
        "where it says pixels and labels, copied and learned one by one, at an outer rate of .03 instead of .002).",
        f"Mean accuracy in % of {LEARNERS} never-seen learners a family and seed on 2,000 validation images, its sd",
        "over seeds; each seed has its own teachers, start and judges. In brackets: the gain over the same seed's",
        "fitted start, with Student's 95 % interval over seeds. A star marks a family that was taught on, in other",
        "widths.",
        "",
        f"| taught on | seeds | {' | '.join(FAMILIES)} | seconds |",
        f"|---|---|{'---|' * len(FAMILIES)}---|",
    ]
    start = {row["seed"]: row for row in rows if row["arm"] == START}
    for arm in ARMS:
        mine = [row for row in rows if row["arm"] == arm]
        cells = (
            [cell(f, mine, start) + " *" * (f in TAUGHT_ON.get(arm, ())) for f in FAMILIES]
            if mine
            else ["not run", *[""] * (len(FAMILIES) - 1)]
        )
        seconds = f"{np.mean([row['seconds'] for row in mine]):.0f}" if mine else ""
        lines.append(f"| {arm} | {len(mine)} | {' | '.join(cells)} | {seconds} |")
    return "\n".join([*lines, ""])


def cell(family: str, mine: list[Row], start: dict[int, Row]) -> str:
    values = {row["seed"]: 100 * row[family]["accuracy"] for row in mine}
    known = list(values.values())
    told = f"{np.mean(known):.1f}" + (f" ({np.std(known, ddof=1):.1f})" if len(known) > 1 else "")
    both = sorted(values.keys() & start.keys())
    gains = [values[seed] - 100 * start[seed][family]["accuracy"] for seed in both]
    if not gains or mine[0]["arm"] == START:
        return told
    if len(gains) == 1:
        return f"{told} [{gains[0]:+.1f}]"
    gain = mean(gains)
    return f"{told} [{gain.value:+.1f}: {gain.low:+.1f}, {gain.high:+.1f}]"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--stem", type=Path, required=True, help="writes STEM.jsonl and STEM.md")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs side by side, one thread each")
    chosen = parser.parse_args()
    wanted = sorted(((arm, seed) for seed in range(chosen.seeds) for arm in ARMS), key=lambda one: one[0] == REAL)
    rows = resume(chosen.stem.with_suffix(".jsonl"), ("arm", "seed"), wanted, run_arm, chosen.jobs)
    chosen.stem.with_suffix(".md").write_text(page(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
