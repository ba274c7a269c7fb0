"""One search, started in every way there is: each has to end with the digest of the one in a single process.

In-process, `mpiexec -n 2` and `-n 4`, static shards, and two jobs that share a directory, of which one is stopped in
the middle until the other has done all.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search_campaign import curriculum

from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import comparing
from gtn_hpc.scores.opened import open as open_scores
from gtn_hpc.scores.replay import read_journals

PROGRAM = [sys.executable, str(Path(__file__).parent / "search_campaign.py")]
COMMON = ["search.certificate.fraction=0", "search.isolate=true", "search.expiry=2"]
EVOLUTION = "search.algorithm={name: evolution, population: 8, sample: 3, synchronous: true}"
ENVIRON = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}
TIME_LIMIT = 600


def launch(place: Path, options: list[str], ranks: int = 1) -> "subprocess.Popen[bytes]":
    launcher = [] if ranks == 1 else ["mpiexec", "--oversubscribe", "-n", str(ranks)]
    return subprocess.Popen([*launcher, *PROGRAM, str(place), *options], env=ENVIRON, stdin=subprocess.DEVNULL)


def finish(*processes: "subprocess.Popen[bytes]") -> None:
    for process in processes:
        if process.wait(TIME_LIMIT):
            sys.exit(f"{process.args} ended with {process.returncode}")


def alone(place: Path, options: list[str]) -> None:
    finish(launch(place, options))


def two_children(place: Path, options: list[str]) -> None:
    finish(launch(place, [*options, "search.workers=2"]))


def on_two(place: Path, options: list[str]) -> None:
    finish(launch(place, options, 2))


def on_four(place: Path, options: list[str]) -> None:
    finish(launch(place, options, 4))


def shards(place: Path, options: list[str]) -> None:
    finish(launch(place, [*options, "search.pool=shards"], 3))


def two_jobs(place: Path, options: list[str]) -> None:
    """The first is stopped when it has written three rows, and goes on when the second has ended."""
    options = [*options, "search.pool=shared"]
    first = launch(place, options)
    while len(read_journals(place / "campaign" / "journal").scores) < 3 and first.poll() is None:
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)
    finish(launch(place, options))
    first.send_signal(signal.SIGCONT)
    finish(first)


WAYS = {
    "in-process": alone,
    "in-process, two children": two_children,
    "mpiexec -n 2": on_two,
    "mpiexec -n 4": on_four,
    "static shards, 3 ranks": shards,
    "two jobs, one SIGSTOPped": two_jobs,
}
LEARNING = ("in-process", "in-process, two children", "mpiexec -n 2", "mpiexec -n 4")
"""Ways for an algorithm that learns from scores."""


def run(algorithm: str, way: str, budget: int, scratch: Path) -> dict[str, Any]:
    place = scratch / f"{algorithm}-{way.replace(' ', '-').replace(',', '')}"
    place.mkdir()
    curriculum(place / "curriculum.h5")
    options = [*COMMON, f"search.budget={budget}", *([EVOLUTION] if algorithm == "evolution" else [])]
    began = time.monotonic()
    WAYS[way](place, options)
    seconds = time.monotonic() - began
    found = RunDirectory(place / "campaign")
    rows = read_journals(found.journal).scores
    with open_scores(found.scores) as tables:
        return {
            "algorithm": algorithm,
            "way": way,
            "rows": len(tables.scores),
            "evaluations": len(rows),
            "unique": bool(tables.scores.key.is_unique),
            "conflicts": len(tables.conflicts),
            "workers": len({(row.host, row.job, row.rank) for row in rows}),
            "seconds": round(seconds, 1),
            "digest": comparing.digest(found.scores),
        }


def page(rows: list[dict[str, Any]], budget: int) -> str:
    lines = [
        "# One search, started in every way",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), Linux, `make campaign-digests`: "
        f"{budget} architectures with two replicas each on digits, every evaluation in a child.",
        "",
        "| algorithm | started as | rows | evaluations | conflicts | seconds | digest |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (row["algorithm"], row["way"], row["rows"], row["evaluations"], row["conflicts"], row["seconds"])
        lines.append(f"| {' | '.join(map(str, cells))} | `{row['digest'][:16]}` |")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--stem", type=Path, required=True, help="writes STEM.jsonl and STEM.md")
    parser.add_argument("--budget", type=int, default=24, help="architectures of a search")
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="digests-") as scratch:
        for algorithm, ways in (("random", list(WAYS)), ("evolution", LEARNING)):
            rows += [run(algorithm, way, chosen.budget, Path(scratch)) for way in ways]
    chosen.stem.with_suffix(".jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen.stem.with_suffix(".md").write_text(page(rows, chosen.budget))
    print(page(rows, chosen.budget))
    digests = {
        row["algorithm"]: {other["digest"] for other in rows if other["algorithm"] == row["algorithm"]} for row in rows
    }
    whole = all(row["unique"] and row["rows"] == 2 * chosen.budget and not row["conflicts"] for row in rows)
    return 0 if whole and all(len(found) == 1 for found in digests.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
