"""How large may a study be? A million scores ranked against a thousand truths, the page of ten thousand architectures,
and a million rows exported: seconds, memory, size.

The files are made by the journals and folds that searches use; each program is then started anew, repeatedly, and its
seconds and largest resident memory are those that the kernel reports of it. Writes STEM.jsonl and STEM.md; exit code 1
where a target is missed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from report_runs import Sizes, whole_run

from gtn_hpc.core.environment import describe
from gtn_hpc.core.records import Score, digest
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.core.streams import numpy_rng
from gtn_hpc.scores import CertificateRow, Journal, fold

ROOT = Path(__file__).resolve().parents[2]
ENVIRON = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
GROUP = 5000
"""Rows that are made durable together while the files are prepared."""

STEPS, TRUTH_STEPS = 32, 1200
NOISE = 0.02
"""Standard deviation of an estimate, and of a truth, around the made-up quality (itself 0.05)."""

SECONDS = {"rank_correlation.py": 10.0, "gtn report": 20.0}
MEBIBYTES = {"rank_correlation.py": 1024}
PAGE_BYTES = 5_000_000
FLAT = 1.25
"""Largest memory of an export of all rows, as a multiple of that of a tenth of them."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """Sizes of the made-up study: rows of scores, architectures of them with a truth, architectures of the report."""

    rows: int
    certified: int
    drawn: int
    seed: int


def many_scores(run: RunDirectory, rows: int, certified: int, seed: int) -> Path:
    """A scores file of `rows` architectures, one row each, of which `certified` were trained on real data."""
    rng = numpy_rng(seed, "campaign/large")
    quality = np.clip(0.7 + 0.05 * rng.normal(size=rows), 0, 1)
    estimate, truth = (np.clip(quality + NOISE * rng.normal(size=rows), 0, 1) for _ in range(2))
    params = rng.integers(20_000, 4_000_000, size=rows)
    names = [digest([seed, number]) for number in range(rows)]
    with Journal(run.journal, "large") as journal:
        for start in range(0, rows, GROUP):
            journal.append([
                _score(names[n], n, float(estimate[n]), int(params[n])) for n in range(start, min(start + GROUP, rows))
            ])  # fmt: skip
        chosen = rng.choice(rows, certified, replace=False)
        journal.append([_truth(names[n], n, float(truth[n]), int(params[n])) for n in chosen])
    fold(run)
    return run.scores


def _score(name: str, number: int, accuracy: float, params: int) -> Score:
    return Score(
        key=name[16:], arch=name[:16], fidelity=STEPS, replica=0, val_accuracy=accuracy, val_loss=1 - accuracy,
        status="ok", seconds=1.5 + number % 3, peak_bytes=1 << 28, params=params, flops=60 * params, ask=number,
        tell=number, rank=number % 64, host=f"node{number % 64 // 8}", job="1", time=1.76e9 + number / 32,
    )  # fmt: skip


def _truth(name: str, number: int, accuracy: float, params: int) -> CertificateRow:
    return CertificateRow(
        key=digest(name), arch=name[:16], source="truth", replica=0, steps=TRUTH_STEPS, val_accuracy=accuracy,
        val_loss=1 - accuracy, status="ok", seconds=90.0, params=params, flops=60 * params, host="node0", job="1",
        time=1.761e9 + number,
    )  # fmt: skip


METER = """
import json, os, subprocess, sys, time
load, began = os.getloadavg()[0], time.monotonic()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds, busy = time.monotonic() - began, usage.ru_utime + usage.ru_stime
print(json.dumps({"seconds": round(seconds, 2), "cpu_seconds": round(busy, 2),
                  "peak_mib": round(usage.ru_maxrss / 1024), "load": round(load, 2)}))
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Starts a program from a small process: the kernel counts into a child's peak what its parent held at the fork."""


def measured(command: Sequence[str | Path]) -> Row:
    """Wall and processor seconds and peak resident MiB of a program, and the load when it began."""
    done = subprocess.run([sys.executable, "-S", "-c", METER, *map(str, command)], env=ENVIRON, stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"{command} ended with {done.returncode}")
    row: Row = json.loads(done.stdout)
    return row


def prepared(study: Study, scratch: Path) -> dict[str, tuple[list[str | Path], Path]]:
    """By name: a command, and the file that it writes."""
    many = many_scores(RunDirectory(scratch / "million"), study.rows, study.certified, study.seed)
    fewer = many_scores(RunDirectory(scratch / "tenth"), study.rows // 10, 10, study.seed)
    print(f"{many}: {many.stat().st_size / 2**20:.0f} MiB", flush=True)
    sizes = Sizes(study.drawn, 200, 3, workers=16, space="{name: nao_cell, cells: 1, filters: 8}")
    run = whole_run(scratch, "many", sizes, f"run.seed={study.seed}").path
    gtn: list[str | Path] = [sys.executable, "-m", "gtn_hpc"]
    stem, page = scratch / "ranked", scratch / "page.html"
    found: dict[str, tuple[list[str | Path], Path]] = {
        "rank_correlation.py": (
            [sys.executable, ROOT / "analysis" / "rank_correlation.py", many, "-o", stem],
            scratch / "ranked.csv",
        ),
        "gtn report": ([*gtn, "report", run, "-o", page], page),
    }
    for path, share in ((fewer, "a tenth"), (many, "all")):
        for kind in ("csv", "parquet"):
            out = scratch / f"{path.parent.name}.{kind}"
            found[f"gtn scores export, {kind}, {share}"] = ([*gtn, "scores", "export", path, "-o", out], out)
    return found


def repeated(study: Study, repeats: int, scratch: Path) -> Iterator[Row]:
    commands = prepared(study, scratch)
    for repeat in range(repeats):
        for name, (command, out) in commands.items():
            for old in (out, out.with_suffix(".json")):
                old.unlink(missing_ok=True)
            yield {"program": name, "repeat": repeat, **measured(command), "bytes": out.stat().st_size}


def column(rows: list[Row], program: str, name: str) -> list[float]:
    return [row[name] for row in rows if row["program"] == program]


def verdicts(rows: list[Row]) -> list[tuple[str, str, bool]]:
    """Target, what was seen (the worst of the repeats), and whether it is met."""
    found = []
    for program, limit in SECONDS.items():
        worst = max(column(rows, program, "seconds"))
        found.append((f"{program}: at most {limit:.0f} s", f"{worst:.1f} s", worst <= limit))
    for program, most in MEBIBYTES.items():
        peak = max(column(rows, program, "peak_mib"))
        found.append((f"{program}: at most {most} MiB resident", f"{peak:.0f} MiB", peak <= most))
    size = max(column(rows, "gtn report", "bytes"))
    found.append((f"page: below {PAGE_BYTES / 1e6:.0f} MB", f"{size / 1e6:.2f} MB", size < PAGE_BYTES))
    for kind in ("csv", "parquet"):
        few, all_ = (max(column(rows, f"gtn scores export, {kind}, {s}", "peak_mib")) for s in ("a tenth", "all"))
        seen = f"{all_:.0f} MiB for all rows, {few:.0f} for a tenth"
        found.append((f"export to {kind}: memory flat within {FLAT - 1:.0%}", seen, all_ <= FLAT * few))
    return found


def spread(values: list[float], digits: int = 1) -> str:
    return f"{np.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def page(rows: list[Row], study: Study, environment: Row) -> str:
    repeats = 1 + max(row["repeat"] for row in rows)
    packages = ("numpy", "scipy", "h5py")
    versions = ", ".join(f"{name} {environment['packages'][name]}" for name in packages)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    load = column(rows, "rank_correlation.py", "load") + column(rows, "gtn report", "load")
    lines = [
        "# A large study: seconds, memory, size",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {environment['processor']}, {environment['cores']} cores, "
        f"{memory / 2**30:.0f} GiB, Linux, Python {environment['python']}, {versions}; revision "
        f"{environment['revision'][:7]}{' with changes' if environment['dirty'] else ''}. `make campaign-large`: "
        f"{repeats} repeats in turn, one thread, load {min(load):.1f} to {max(load):.1f} when a program began (the "
        "machine is shared). Seed "
        f"{study.seed}.",
        "",
        f"`rank_correlation.py`: {study.rows:,} rows of `/scores`, each of another architecture, {study.certified:,} "
        "of them with a truth in `/certificate`; 10,000 bootstrap resamples of Spearman and of Kendall, over all and "
        f"over the top half. Report: {study.drawn:,} architectures of space `nao_cell`, 200 of them with a truth, 16 "
        "workers, curriculum and learning curves. Exports: the table `/scores` of the first file, and of one of a "
        "tenth of its rows. Journals and fold are those of a search; the numbers in them are made up.",
        "",
        "| program | seconds, median (least to most) | processor seconds | peak resident MiB | written |",
        "|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["program"] for row in rows):
        cells = [spread(column(rows, name, kind), digits) for kind, digits in
                 (("seconds", 1), ("cpu_seconds", 1), ("peak_mib", 0))]  # fmt: skip
        lines.append(f"| {name} | {' | '.join(cells)} | {max(column(rows, name, 'bytes')) / 1e6:.2f} MB |")
    lines += ["", "| target | worst of the repeats | |", "|---|---|---|"]
    lines += [f"| {what} | {seen} | {'met' if met else '**missed**'} |" for what, seen, met in verdicts(rows)]
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--stem", type=Path, required=True, help="writes STEM.jsonl and STEM.md")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of scores")
    parser.add_argument("--certified", type=int, default=1000, help="architectures of them with a truth")
    parser.add_argument("--drawn", type=int, default=10_000, help="architectures of the report")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    study = Study(chosen.rows, chosen.certified, chosen.drawn, chosen.seed)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="large-") as scratch:
        for row in repeated(study, chosen.repeats, Path(scratch)):
            print(json.dumps(row), flush=True)
            rows.append(row)
    chosen.stem.with_suffix(".jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen.stem.with_suffix(".md").write_text(page(rows, study, describe()))
    print(page(rows, study, describe()))
    return 0 if all(met for _, _, met in verdicts(rows)) else 1


if __name__ == "__main__":
    sys.exit(main())
