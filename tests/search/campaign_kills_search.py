"""Kills searches again and again; each has to end with the digest of the one that was left alone.

A search is started, its children are killed, then one of its ranks, its manager, or the whole job; it is started again,
until it has ended. After every kill of a job nothing of it may live for two seconds, no row that was on disk may be
missing, and scores.h5 has to open. Resumable: searches that the report holds are not repeated.
"""

import argparse
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search_campaign import campaign, curriculum

from gtn_hpc.core.errors import GtnError
from gtn_hpc.scores import comparing
from gtn_hpc.scores.maintenance import fsck
from gtn_hpc.scores.opened import open as open_scores
from gtn_hpc.scores.replay import read_journals

PROGRAM = Path(__file__).parent / "search_campaign.py"
COMMON = ["search.certificate.fraction=0", "search.replicas=1", "search.space.widths=[[4,24],[4,24],[4,24]]"]
ALGORITHMS = {
    "random": "search.algorithm={name: random}",
    "evolution": "search.algorithm={name: evolution, population: 8, sample: 3, synchronous: true}",
}
POOLS = {
    "inprocess": [sys.executable, str(PROGRAM)],
    "mpi": ["mpiexec", "--oversubscribe", "-n", "3", sys.executable, str(PROGRAM)],
}
WORKERS = {"inprocess": "search.workers=2", "mpi": "search.isolate=true"}
JOB_KILLS = {"inprocess": ["manager", "nursery"], "mpi": ["rank", "rank", "manager", "job", "nursery"]}
ENVIRON = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}
GRACE = 2.0
PAUSE = 0.7
TIME_LIMIT = 180.0


@dataclass
class Trial:
    """What was done to a search, and what became of it."""

    number: int
    pool: str
    algorithm: str
    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    acknowledged: int = 0
    lost: int = 0
    duplicates: int = 0
    unreadable: int = 0
    survivors: int = 0
    hung: int = 0
    same_digest: bool = False
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        return self.same_digest and not (self.lost + self.duplicates + self.unreadable + self.survivors + self.hung)


@dataclass(frozen=True)
class Process:
    pid: int
    role: str


def family(pid: int) -> list[Process]:
    """The processes that descend from `pid`, with what each does; `pid` itself is the job."""
    found, todo = [Process(pid, _role(pid, "", job=True))], [pid]
    while todo:
        parent = todo.pop()
        role = next(process.role for process in found if process.pid == parent)
        with suppress(OSError):
            for child in map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split()):
                found.append(Process(child, _role(child, role, job=False)))
                todo.append(child)
    return found


def _role(pid: int, parent: str, *, job: bool) -> str:
    with suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"gtn_hpc.farm.nursery" in command:
            return "child" if parent == "nursery" else "nursery"
        if str(PROGRAM).encode() in command and b"mpiexec" not in command and b"prterun" not in command:
            environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            return "rank" if any(entry in environ for entry in RANKS) else "manager"
    return "job" if job else "other"


RANKS = (b"OMPI_COMM_WORLD_RANK=1", b"OMPI_COMM_WORLD_RANK=2")


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    return False


def disturb(trial: Trial, place: Path, options: list[str], chance: random.Random) -> None:
    """Starts the search and kills it, until it has ended by itself."""
    acknowledged: set[str] = set()
    began, patience = time.monotonic(), random.Random(trial.number)
    while True:
        trial.starts += 1
        with open(place / "stderr.log", "ab") as log:
            command = [*POOLS[trial.pool], str(place), *options]
            process = subprocess.Popen(
                command, stderr=log, stdin=subprocess.DEVNULL, env=ENVIRON, start_new_session=True
            )
        before = trial.kills.total()
        ended = _kill_one_job(trial, process, place, acknowledged, chance, patience.randrange(5, 30))
        if ended and process.returncode == 0:
            break
        if trial.kills.total() == before:
            sys.exit(f"Nothing was killed, but the search ended with {process.returncode}: see {place}/stderr.log.")
    trial.seconds = round(time.monotonic() - began, 1)
    rows = {score.key for score in read_journals(place / "campaign" / "journal").scores}
    trial.acknowledged, trial.lost = len(acknowledged), len(acknowledged - rows)


def _kill_one_job(
    trial: Trial,
    process: subprocess.Popen[bytes],
    place: Path,
    acknowledged: set[str],
    chance: random.Random,
    most: int,
) -> bool:
    """Some kills of children, then one that ends the job; says whether the job ended before that."""
    journal, limit = place / "campaign" / "journal", time.monotonic() + TIME_LIMIT
    for _ in range(most):
        time.sleep(chance.uniform(0, PAUSE))
        while process.poll() is None and not _kill(process.pid, "child", trial, chance):
            if time.monotonic() > limit:
                trial.hung += 1
                process.kill()
            time.sleep(0.02)
    time.sleep(chance.uniform(0, PAUSE))
    if process.poll() is not None:
        return True
    relatives = [relative.pid for relative in family(process.pid)]
    acknowledged |= {score.key for score in read_journals(journal).scores}
    ended = not _kill(process.pid, chance.choice(JOB_KILLS[trial.pool]), trial, chance)
    try:
        process.wait(GRACE if not ended else TIME_LIMIT)
    except subprocess.TimeoutExpired:
        trial.survivors += 1
        process.kill()
        process.wait()
    deadline = time.monotonic() + GRACE
    while any(map(alive, relatives)) and time.monotonic() < deadline:
        time.sleep(0.02)
    trial.survivors += sum(map(alive, relatives))
    _require_readable(trial, place)
    return ended


def _kill(job: int, role: str, trial: Trial, chance: random.Random) -> bool:
    """SIGKILLs one process of that role; says whether there was one."""
    candidates = [process for process in family(job) if process.role == role]
    if not candidates:
        return False
    with suppress(ProcessLookupError):
        os.kill(chance.choice(candidates).pid, signal.SIGKILL)
        trial.kills[role] += 1
        return True
    return False


def _require_readable(trial: Trial, place: Path) -> None:
    scores = place / "campaign" / "scores.h5"
    try:
        read_journals(place / "campaign" / "journal")
        if scores.is_file():
            with open_scores(scores) as tables:
                trial.duplicates += int(tables.scores.key.duplicated().sum())
    except (GtnError, OSError):
        trial.unreadable += 1


def run(number: int, budget: int, scratch: Path) -> Trial:
    """One search, its pool and algorithm by turns, against its twin in one process that nobody disturbs."""
    pool, algorithm = list(POOLS)[number % 2], list(ALGORITHMS)[number // 2 % 2]
    trial = Trial(number, pool, algorithm)
    options = [*COMMON, ALGORITHMS[algorithm], f"search.budget={budget}", f"run.seed={number}"]
    places = [scratch / f"{number}-{name}" for name in ("alone", "killed")]
    for place in places:
        place.mkdir()
        curriculum(place / "curriculum.h5")
    campaign(places[0], *options)
    disturb(trial, places[1], [*options, WORKERS[pool]], random.Random(number))
    _require_readable(trial, places[1])
    check = fsck(_directory(places[1]))
    trial.unreadable += sum(damage.kind != "torn" for damage in check.damage)
    trial.same_digest = comparing.digest(places[0] / "campaign") == comparing.digest(places[1] / "campaign")
    if trial.sound:
        for place in places:
            shutil.rmtree(place)
    return trial


def _directory(place: Path) -> Any:
    from gtn_hpc.core.rundir import RunDirectory

    return RunDirectory(place / "campaign")


def summary(rows: list[dict[str, Any]], budget: int) -> str:
    """A page for people."""
    kills = sum((Counter(row["kills"]) for row in rows), Counter())
    named = ", ".join(f"{count} of {role}" for role, count in kills.most_common())
    lines = [
        "# The search under SIGKILL",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), Linux, `make "
        f"campaign-kills-search`: {kills.total()} kills ({named}), {sum(row['starts'] for row in rows)} starts of "
        f"{len(rows)} searches of {budget} architectures each on digits. `inprocess`: two children; `mpi`: `mpiexec -n "
        "3`, a child a rank. Killing the nursery, a rank, the manager or mpiexec ends a job.",
        "",
        "| pool | algorithm | searches | kills | acknowledged rows | lost | duplicate keys | unreadable files | "
        "alive 2 s after | digest equal |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for pool in POOLS:
        for algorithm in ALGORITHMS:
            own = [row for row in rows if (row["pool"], row["algorithm"]) == (pool, algorithm)]
            count = sum(sum(row["kills"].values()) for row in own)
            cells = [sum(row[name] for row in own) for name in ("acknowledged", "lost", "duplicates", "unreadable")]
            cells += [sum(row["survivors"] + row["hung"] for row in own), sum(row["same_digest"] for row in own)]
            lines.append(f"| {pool} | {algorithm} | {len(own)} | {count} | {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--stem", type=Path, required=True, help="writes STEM.jsonl and STEM.md")
    parser.add_argument("-n", "--kills", type=int, default=500, help="in all")
    parser.add_argument("--budget", type=int, default=40, help="architectures of a search")
    chosen = parser.parse_args()
    report = chosen.stem.with_suffix(".jsonl")
    rows = [json.loads(line) for line in report.read_text().splitlines()] if report.is_file() else []
    scratch = Path(tempfile.mkdtemp(prefix="kills-search-"))
    while sum(sum(row["kills"].values()) for row in rows) < chosen.kills:
        trial = run(len(rows), chosen.budget, scratch)
        rows.append(asdict(trial) | {"kills": dict(trial.kills)})
        with report.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(rows[-1], flush=True)
        chosen.stem.with_suffix(".md").write_text(summary(rows, chosen.budget))
        if not trial.sound:
            print(f"Kept for a look: {scratch}", flush=True)
            return 1
    shutil.rmtree(scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
