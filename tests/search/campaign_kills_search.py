"""Kills searches again and again; each has to end with the digest of the one that was left alone.

A search is started; some of its children are killed, then its nursery, a rank, its manager, the launcher or all of its
processes at once, while it starts or while it works; it is started again, until it has ended. After every kill of a job
nothing of it may live for two seconds, no row that was on disk may be missing, and scores.h5 has to open. Resumable:
searches that the report holds are not repeated.
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
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search_campaign import TEXT, campaign, curriculum

from gtn_hpc.core.errors import GtnError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import comparing
from gtn_hpc.scores.maintenance import fsck
from gtn_hpc.scores.opened import open as open_scores
from gtn_hpc.scores.replay import read_journals

SEARCH = [sys.executable, "-m", "gtn_hpc", "search"]
COMMON = [
    "data.seed=0",
    "search.certificate.fraction=0",
    "search.replicas=1",
    "search.space.widths=[[4,24],[4,24],[4,24]]",
]
ALGORITHMS = {
    "random": "search.algorithm={name: random}",
    "evolution": "search.algorithm={name: evolution, population: 8, sample: 3, synchronous: true}",
}
POOLS = {
    "inprocess": SEARCH,
    "mpi": ["mpiexec", "--oversubscribe", "-n", "3", *SEARCH],
}
WORKERS = {"inprocess": "search.workers=2", "mpi": "search.isolate=true"}
ENDINGS = {
    "inprocess": ("manager", "nursery", "job"),
    "mpi": ("rank", "launcher", "manager", "nursery", "job"),
}
"""Whose death ends a job; `job` stands for all of its processes at once."""

ROLES = ("child", "nursery", "rank", "manager", "launcher", "job")
MARK = "SEARCH_CAMPAIGN_TRIAL"
"""A variable that every process of a trial inherits, so that none is overlooked."""

ENVIRON = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}
GRACE = 2.0
PAUSE = 0.15
MOST_ROWS = 4
MOST_CHILDREN = 7
EARLY = 0.5
TIME_LIMIT = 180.0


@dataclass
class Trial:
    """What was done to a search, and what became of it."""

    number: int
    pool: str
    algorithm: str
    budget: int
    kills: Counter[str] = field(default_factory=Counter)
    last: str = ""
    early: int = 0
    starts: int = 0
    acknowledged: int = 0
    lost: int = 0
    duplicates: int = 0
    unreadable: int = 0
    survivors: int = 0
    survived: Counter[str] = field(default_factory=Counter)
    hung: int = 0
    same_digest: bool = False
    seconds: float = 0.0

    @property
    def seed(self) -> int:
        return self.number // 4

    @property
    def sound(self) -> bool:
        return self.same_digest and not (self.lost + self.duplicates + self.unreadable + self.survivors + self.hung)


@dataclass(frozen=True)
class Process:
    pid: int
    role: str


@dataclass
class Job:
    """A start of a search, with all processes that came of it."""

    trial: Trial
    process: subprocess.Popen[bytes]

    def family(self) -> Iterator[Process]:
        """What lives of the job now."""
        mark = f"{MARK}={self.trial.number}/{self.trial.starts}".encode()
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdecimal() and mark in (entry / "environ").read_bytes().split(b"\0") and alive(entry):
                    yield Process(int(entry.name), role_of(entry))

    def kill(self, role: str, chance: random.Random) -> bool:
        """SIGKILLs one process of that role, or all; says whether there was one."""
        candidates = [process for process in self.family() if role in ("job", process.role)]
        struck = candidates if role == "job" else chance.sample(candidates, min(1, len(candidates)))
        for process in struck:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        if struck:
            self.trial.kills[role] += 1
            self.trial.last = role
        return bool(struck)

    def kill_when_there(self, role: str, chance: random.Random) -> bool:
        """False where the job ended before."""
        return self.wait_for(lambda: self.kill(role, chance))

    def wait_for(self, happened: Callable[[], bool]) -> bool:
        """False where the job ended before; a job that hangs is ended, and counted."""
        limit = time.monotonic() + TIME_LIMIT
        while self.process.poll() is None:
            if happened():
                return True
            if time.monotonic() > limit:
                self.trial.hung += 1
                self.process.kill()
            time.sleep(0.04)
        return False

    def bury(self) -> None:
        """Waits for the end; what is left of the job two seconds after the kill is counted and killed.

        A job whose nursery was killed says so and ends by itself, which is waited for first.
        """
        if self.trial.last == "nursery":
            self.wait_for(lambda: False)
        deadline = time.monotonic() + GRACE
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        while (left := list(self.family())) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.trial.survivors += len(left)
        self.trial.survived.update(f"{process.role} after {self.trial.last}" for process in left)
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        self.process.wait()


def alive(entry: Path) -> bool:
    return (entry / "stat").read_text().rpartition(") ")[2][0] != "Z"


def role_of(entry: Path) -> str:
    """What a process is in its job, from its command, its environment and its parent's command."""
    command = (entry / "cmdline").read_bytes()
    if NURSERY in command:
        parent = (entry / "stat").read_text().rpartition(") ")[2].split()[1]
        return "child" if NURSERY in Path(f"/proc/{parent}/cmdline").read_bytes() else "nursery"
    if command.split(b"\0")[0].endswith((b"mpiexec", b"prterun")):
        return "launcher"
    environ = (entry / "environ").read_bytes().split(b"\0")
    return "rank" if any(variable in environ for variable in RANKS) else "manager"


NURSERY = b"gtn_hpc.farm.nursery"
RANKS = (b"OMPI_COMM_WORLD_RANK=1", b"OMPI_COMM_WORLD_RANK=2")


def disturb(trial: Trial, place: Path, options: list[str], done: Counter[str]) -> None:
    """Starts the search and kills it, until it has ended by itself; `done` counts kills of earlier trials."""
    chance, began, journal = random.Random(trial.number), time.monotonic(), place / "campaign" / "journal"
    acknowledged: set[str] = set()
    starting = 2.0
    while True:
        job, before = start(trial, place, options), trial.kills.total()
        counted = done + trial.kills
        endings = ENDINGS[trial.pool]
        ending = chance.choices(endings, [1 / (1 + counted[role]) ** 2 for role in endings])[0]
        early = chance.random() < EARLY
        if early:
            time.sleep(chance.uniform(0, starting))
        else:
            starting = work(job, journal, chance)
        acknowledged |= {score.key for score in read_journals(journal).scores}
        struck = job.kill_when_there(ending, chance)
        trial.early += early and struck
        job.bury()
        require_readable(trial, place)
        if not struck and job.process.returncode == 0:
            break
        if trial.kills.total() == before:
            sys.exit(f"Nothing was killed, but the search ended with {job.process.returncode}: {place}/output.log.")
    trial.seconds = round(time.monotonic() - began, 1)
    rows = {score.key for score in read_journals(journal).scores}
    trial.acknowledged, trial.lost = len(acknowledged), len(acknowledged - rows)


def start(trial: Trial, place: Path, options: list[str]) -> Job:
    trial.starts += 1
    config = place / "search.yaml"
    config.write_text(TEXT)
    where = [f"run.root={place}", f"search.curriculum={place / 'curriculum.h5'}"]
    with open(place / "output.log", "ab") as log:
        process = subprocess.Popen(
            [*POOLS[trial.pool], str(config), *where, *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**ENVIRON, MARK: f"{trial.number}/{trial.starts}"},
            start_new_session=True,
        )
    return Job(trial, process)


def work(job: Job, journal: Path, chance: random.Random) -> float:
    """Lets the job work and kills some of its children meanwhile; gives the seconds until it had a child.

    Pauses are counted in rows, so that a search gets on however busy the machine is.
    """
    began = time.monotonic()
    job.wait_for(lambda: any(process.role == "child" for process in job.family()))
    started = time.monotonic() - began
    for _ in range(chance.randrange(MOST_CHILDREN)):
        pause(job, journal, chance)
        job.kill_when_there("child", chance)
    pause(job, journal, chance)
    return started


def pause(job: Job, journal: Path, chance: random.Random) -> None:
    """Until a few more rows are on disk, and then some."""
    wanted = rows_in(journal) + chance.randrange(MOST_ROWS)
    job.wait_for(lambda: rows_in(journal) >= wanted)
    time.sleep(chance.uniform(0, PAUSE))


def rows_in(journal: Path) -> int:
    """Lines that workers wrote."""
    return sum(path.read_bytes().count(b"\n") for path in journal.glob("*.jsonl") if "-manager" not in path.name)


def require_readable(trial: Trial, place: Path) -> None:
    scores = place / "campaign" / "scores.h5"
    try:
        read_journals(place / "campaign" / "journal")
        if scores.is_file():
            with open_scores(scores) as tables:
                trial.duplicates += int(tables.scores.key.duplicated().sum())
    except (GtnError, OSError):
        trial.unreadable += 1


def run(number: int, budget: int, rows: list[dict[str, Any]], scratch: Path) -> Trial:
    """One search, its pool and algorithm by turns, against its twin in one process that nobody disturbs."""
    trial = Trial(number, list(POOLS)[number % 2], list(ALGORITHMS)[number // 2 % 2], budget)
    options = [*COMMON, ALGORITHMS[trial.algorithm], f"search.budget={budget}", f"run.seed={trial.seed}"]
    places = [scratch / f"{number}-{name}" for name in ("alone", "killed")]
    for place in places:
        place.mkdir()
        curriculum(place / "curriculum.h5")
    campaign(places[0], *options)
    disturb(trial, places[1], [*options, WORKERS[trial.pool]], kills_of(rows))
    check = fsck(RunDirectory(places[1] / "campaign"))
    trial.unreadable += sum(damage.kind != "torn" for damage in check.damage)
    trial.same_digest = comparing.digest(places[0] / "campaign") == comparing.digest(places[1] / "campaign")
    if trial.sound:
        for place in places:
            shutil.rmtree(place)
    return trial


def kills_of(rows: list[dict[str, Any]]) -> Counter[str]:
    return sum((Counter(row["kills"]) for row in rows), Counter())


def summary(rows: list[dict[str, Any]]) -> str:
    """A page for people."""
    kills = kills_of(rows)
    named = ", ".join(f"{kills[role]} of {role}" for role in ROLES)
    budgets = " or ".join(sorted({str(row["budget"]) for row in rows}))
    lines = [
        "# The search under SIGKILL",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}, shared with other work), Linux, "
        f"`make campaign-kills-search`: {kills.total()} kills ({named}), {sum(row['starts'] for row in rows)} starts "
        f"of {len(rows)} searches of {budgets} architectures each on digits. `inprocess`: two children; `mpi`: "
        "`mpiexec -n 3`, a child a rank. All but the kill of a child end a job; `launcher` is mpiexec alone, `job` "
        f"every process of the job at once. {sum(row['early'] for row in rows)} of the kills that end a job struck "
        "while it started. A job whose nursery was killed ends by itself; its 2 s begin then. The undisturbed search "
        "that each digest is compared with ran in one process without children.",
        "",
        "| pool | algorithm | searches | kills | acknowledged rows | lost | duplicate keys | unreadable files | "
        "alive 2 s after | hung | digest equal |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for pool in POOLS:
        for algorithm in ALGORITHMS:
            own = [row for row in rows if (row["pool"], row["algorithm"]) == (pool, algorithm)]
            names = ("acknowledged", "lost", "duplicates", "unreadable", "survivors", "hung", "same_digest")
            cells = [len(own), kills_of(own).total(), *(sum(row[name] for row in own) for name in names)]
            lines.append(f"| {pool} | {algorithm} | {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--stem", type=Path, required=True, help="writes STEM.jsonl and STEM.md")
    parser.add_argument("-n", "--kills", type=int, default=500, help="in all")
    parser.add_argument("--each", type=int, default=40, help="at least so many of each role")
    parser.add_argument("--budget", type=int, default=60, help="architectures of a search")
    chosen = parser.parse_args()
    report = chosen.stem.with_suffix(".jsonl")
    rows = [json.loads(line) for line in report.read_text().splitlines()] if report.is_file() else []
    scratch = Path(tempfile.mkdtemp(prefix="kills-search-"))
    while (kills := kills_of(rows)).total() < chosen.kills or min(kills[role] for role in ROLES) < chosen.each:
        trial = run(len(rows), chosen.budget, rows, scratch)
        rows.append(asdict(trial) | {"kills": dict(trial.kills), "survived": dict(trial.survived)})
        with report.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(rows[-1], flush=True)
        chosen.stem.with_suffix(".md").write_text(summary(rows))
        if not trial.sound:
            print(f"Kept for a look: {scratch}", flush=True)
            return 1
    shutil.rmtree(scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
