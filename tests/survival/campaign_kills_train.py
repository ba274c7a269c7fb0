"""Kills meta-training again and again; each run has to end with the digest of the one that was left alone.

Half of the kills hit a random rank under `torchrun --max-restarts` at a random moment, five in each run; half hit a
process whose checkpoint is written but not yet renamed. Resumable: what the report holds already is not repeated.
"""

import argparse
import json
import multiprocessing
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripted import script
from survival_runs import SCRIPTED, TINY, processes

from gtn_hpc import cli
from gtn_hpc.curriculum import file

SETTINGS = ["engine.name=trajectory", "meta.replicas=2", "meta.checkpoint_every=2", "run.timeout=20"]
STEPS = range(0, 20, 2)
KILLS_A_RUN = 5
LOADED = ["gtn_hpc.meta.stage", "gtn_hpc.cli.train", "sklearn.datasets", "torch.utils.tensorboard"]
FORKSERVER = multiprocessing.get_context("forkserver")
TIME_LIMIT = 600


@dataclass(frozen=True)
class Trial:
    """What was done to a run, and whether it ended with the digest of the uninterrupted one."""

    kind: str
    number: int
    killed: list[str]
    exit_code: int
    same_digest: bool
    seconds: float


def command(root: Path) -> list[str]:
    return [str(SCRIPTED), "train", str(TINY), f"run.root={root}", *SETTINGS]


def digest(root: Path) -> str:
    path = root / "tiny" / "curriculum.h5"
    return file.read(path).digest if path.is_file() else "none"


def start(root: Path, fault: dict[str, int]) -> None:
    """`gtn train` in a process that was forked with torch loaded."""
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.stdout = sys.stderr = open(os.devnull, "w")
    script(fault)
    sys.exit(cli.main(command(root)[1:]))


def code_of(root: Path, fault: dict[str, int]) -> int:
    process = FORKSERVER.Process(target=start, args=(root, fault))
    process.start()
    process.join(TIME_LIMIT)
    return process.exitcode if process.exitcode is not None else 1


def kill_ranks(root: Path, chance: random.Random) -> tuple[list[str], int]:
    """Five times a SIGKILL of one of two ranks, within half a second after a random checkpoint."""
    options = ["--nproc-per-node", "2", "--max-restarts", str(KILLS_A_RUN), "--monitor-interval", "0.2"]
    killed = []
    with processes([["torchrun", *options, *command(root)]], [{}]) as (agent,):
        for step in sorted(chance.sample(STEPS, KILLS_A_RUN)):
            rank, wait = chance.randrange(2), chance.uniform(0, 0.5)
            await_(lambda step=step: (root / f"tiny/checkpoints/step-{step:06d}").is_dir() or agent.poll() is not None)
            time.sleep(wait)
            await_(lambda: len(children(agent.pid)) == 2 or agent.poll() is not None)
            with suppress(IndexError, ProcessLookupError):
                os.kill(children(agent.pid)[rank], signal.SIGKILL)
                killed.append(f"rank {rank} {wait:.2f} s after step {step}")
        agent.communicate(timeout=TIME_LIMIT)
    return killed, agent.returncode


def await_(met: Callable[[], bool]) -> None:
    while not met():
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    with suppress(FileNotFoundError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def kill_before_rename(root: Path, chance: random.Random) -> tuple[list[str], int]:
    """SIGKILL between write and rename of a random checkpoint; then the same command again."""
    fault = {"rename": chance.randint(1, len(STEPS) + 1)}
    killed = code_of(root, fault)
    assert killed == -signal.SIGKILL, killed
    return [f"checkpoint {fault['rename']} of {len(STEPS) + 1}"], code_of(root, {})


KINDS: dict[str, Callable[[Path, random.Random], tuple[list[str], int]]] = {
    "rank": kill_ranks,
    "rename": kill_before_rename,
}


def trials(expected: str, kills: int, done: list[dict], scratch: Path) -> Iterator[Trial]:
    """Of both kinds by turns, until each has its number of kills."""
    left = {kind: kills - sum(len(row["killed"]) for row in done if row["kind"] == kind) for kind in KINDS}
    numbers = {kind: sum(row["kind"] == kind for row in done) for kind in KINDS}
    while any(count > 0 for count in left.values()):
        kind = max(KINDS, key=lambda kind: left[kind])
        root = scratch / f"{kind}-{numbers[kind]}"
        began = time.monotonic()
        killed, code = KINDS[kind](root, random.Random(f"{kind}/{numbers[kind]}"))
        yield Trial(kind, numbers[kind], killed, code, digest(root) == expected, round(time.monotonic() - began, 1))
        shutil.rmtree(root)
        left[kind] -= len(killed)
        numbers[kind] += 1


def summary(rows: list[dict], expected: str) -> str:
    """A page for people."""
    lines = [
        "# Meta-training under SIGKILL",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), Linux, gloo, `make "
        "campaign-kills-train`. Two replicas, 20 meta-iterations in float64, `meta.reduction=ordered`, a checkpoint "
        "every second meta-iteration. The uninterrupted run has the curriculum digest",
        f"`{expected}`.",
        "",
        "| killed | kills | runs | exit code 0 | same digest | median s a run |",
        "|---|---|---|---|---|---|",
    ]
    names = {"rank": "a random rank of 2 under `torchrun --max-restarts`", "rename": "between write and rename, alone"}
    for kind, name in names.items():
        own = [row for row in rows if row["kind"] == kind]
        seconds = sorted(row["seconds"] for row in own)[len(own) // 2] if own else float("nan")
        good, same = sum(row["exit_code"] == 0 for row in own), sum(row["same_digest"] for row in own)
        kills = sum(len(row["killed"]) for row in own)
        lines.append(f"| {name} | {kills} | {len(own)} | {good} | {same} | {seconds:g} |")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--stem", type=Path, required=True, help="writes STEM.jsonl and STEM.md")
    parser.add_argument("-n", "--kills", type=int, default=50, help="of each kind")
    chosen = parser.parse_args()
    FORKSERVER.set_forkserver_preload(["campaign_kills_train", *LOADED])
    report = chosen.stem.with_suffix(".jsonl")
    rows = [json.loads(line) for line in report.read_text().splitlines()] if report.is_file() else []
    with tempfile.TemporaryDirectory(prefix="kills-train-") as scratch:
        plain = Path(scratch) / "plain"
        assert code_of(plain, {}) == 0
        expected = digest(plain)
        for trial in trials(expected, chosen.kills, list(rows), Path(scratch)):
            rows.append(asdict(trial))
            with report.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(rows[-1], flush=True)
    chosen.stem.with_suffix(".md").write_text(summary(rows, expected))
    return 0 if all(row["same_digest"] and row["exit_code"] == 0 for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
