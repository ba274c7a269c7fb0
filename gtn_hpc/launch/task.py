"""What a submitted job does: run a stage as `gtn` would, and go on after a stop, by its exit code or state.json."""

import logging
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from gtn_hpc.cluster.environment import detect
from gtn_hpc.core.environment import restarts
from gtn_hpc.core.errors import GtnError, Requeue
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.launch.verdict import after_step

FORWARDED = (signal.SIGUSR2, signal.SIGTERM)

SLURM_ENDS_US = 120.0
"""Seconds within which Slurm ends the processes of a job that it puts back into the queue."""

LOOK = 0.5
"""Seconds between two looks at processes that are waited for."""


class StageFailed(GtnError):
    """A stage ended with another code than 0."""


@dataclass(frozen=True)
class Outcome:
    """What a job reached: the run, the stages it ran, the starts it took here, and what state.json says of the run."""

    run: Path
    stages: tuple[str, ...]
    starts: int
    seconds: float
    state: dict[str, Any]


@dataclass(frozen=True)
class StageTask:
    """Stages of one configuration, one after another; picklable, and called in the job.

    submitit's own handler would act inside the signal, on the first rank alone and by the clock. Here the signal goes
    to the stage, which saves and ends; what then happens is decided by `after_step`.
    """

    config: Path
    run: Path
    stages: tuple[str, ...]
    overrides: tuple[str, ...]
    restarts: int
    """Most restarts of a stage."""
    patience: float = math.inf
    """Seconds that a stage has to end after a signal; then its job is put back into the queue while it still runs."""
    after: tuple[int, ...] = ()
    """Processes of this machine that have to end first, however they end."""

    def __call__(self) -> Outcome:
        """Raises StageFailed where a stage ends with an error, or was stopped too often."""
        while any(map(_lives, self.after)):
            time.sleep(LOOK)
        began = time.time()
        try:
            starts = sum(map(self._run_to_end, self.stages))
        except StageFailed:
            _tell_briefly()
            raise
        run = RunDirectory(self.run)
        return Outcome(run.path, self.stages, starts, time.time() - began, run.read_state()["stages"])

    def command(self, stage: str) -> list[str]:
        """The command line of a stage."""
        gtn = [sys.executable, "-m", "gtn_hpc"]
        return [*gtn, stage, str(self.run if stage == "report" else self.config), *self._settings(stage)]

    def _settings(self, stage: str) -> Sequence[str]:
        return () if stage == "report" else self.overrides

    def _run_to_end(self, stage: str) -> int:
        """Starts the stage until it neither wants a requeue nor gets one; gives the number of starts."""
        starts = 0
        while True:
            began, starts = time.time(), starts + 1
            code = _run(self.command(stage), self.patience)
            if detect().rank > 0:
                return _follow_the_first(stage, code, starts)
            again = after_step(
                RunDirectory(self.run),
                stage,
                began=began,
                code=code,
                restarts=max(restarts(), starts - 1),
                most=self.restarts,
            )
            if not again.requeue:
                return _ended(stage, code, starts, again.why)
            if "SLURM_JOB_ID" in os.environ:
                _requeue(stage)


def _lives(process: int) -> bool:
    """Whether it runs; one that has ended is listed until its parent has taken notice."""
    status = Path(f"/proc/{process}/stat")
    try:
        os.kill(process, 0)
        return not status.is_file() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _follow_the_first(stage: str, code: int, starts: int) -> int:
    """A rank that was stopped waits for Slurm to end the job; where it does not, the first rank decided against it."""
    if code == Requeue.exit_code:
        time.sleep(SLURM_ENDS_US)
    return _ended(stage, code, starts, "rank 0 has the reason")


def _ended(stage: str, code: int, starts: int, why: str) -> int:
    if code:
        raise StageFailed(
            f"gtn {stage} ended with exit code {code}: {why}.", remedy="What it said is in the job's log."
        )
    return starts


def _tell_briefly() -> None:
    """A failed stage has said why, so submitit's calls, which a traceback would show, stay out of the job's log."""
    if "SUBMITIT_FOLDER" not in os.environ:  # a debug job: the process is its user's
        return

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, StageFailed):
            sys.stderr.write(f"gtn: {error.what}\n")
        else:
            sys.__excepthook__(kind, error, trace)

    logging.getLogger("submitit").setLevel(logging.CRITICAL)
    sys.excepthook = tell


def _run(command: Sequence[str], patience: float) -> int:
    """The exit code of a command; that of a stop where it still runs `patience` seconds after a signal."""
    process = subprocess.Popen(command, env=os.environ | _script())
    with _forwarding_to(process) as signalled:
        while (code := process.poll()) is None:
            if signalled and time.monotonic() >= signalled[0] + patience:
                return Requeue.exit_code
            time.sleep(LOOK)
    return code


def _script() -> dict[str, str]:
    """The batch script that submitit wrote for this job, for the run's provenance."""
    job = os.environ.get("SLURM_ARRAY_JOB_ID", os.environ.get("SLURM_JOB_ID"))
    path = Path(os.environ.get("SUBMITIT_FOLDER", "")) / f"{job}_submission.sh"
    return {"GTN_SBATCH": path.read_text(encoding="utf-8")} if path.is_file() else {}


@contextmanager
def _forwarding_to(process: "subprocess.Popen[bytes]") -> Iterator[list[float]]:
    """Within, TERM and USR2 go to `process` as USR2; handlers are put back afterwards. Yields when they came."""
    times: list[float] = []

    def forward(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        times.append(time.monotonic())
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGUSR2)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield times
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _requeue(stage: str) -> None:
    """Puts this Slurm job back into the queue, which ends this process.

    A job that is not running any more was cancelled or put back by somebody else: Slurm is ending it already.

    Raises:
        StageFailed: Slurm did not end it.
    """
    job = os.environ["SLURM_JOB_ID"]
    if name := _running_as(job):
        subprocess.run(["scontrol", "requeue", name], check=False)
    time.sleep(SLURM_ENDS_US)
    raise StageFailed(f"gtn {stage} was stopped, and job {job} was not requeued.", remedy="Submit it again to go on.")


def _running_as(job: str) -> str | None:
    """What Slurm calls this job alone, where it is running: one task of an array has the array's number as its own.

    Not by the variables of an array, which a job that was submitted from one inherits.
    """
    asked = ["squeue", "--noheader", f"--jobs={job}", "--format=%A %T %i"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    names = (line.split() for line in told.splitlines())
    return next((name for number, state, name in names if (number, state) == (job, "RUNNING")), None)
