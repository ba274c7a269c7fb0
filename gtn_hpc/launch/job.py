"""A submitted job: its state as Slurm tells it, and its outcome."""

import functools
import math
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gtn_hpc.core.errors import ClusterError
from gtn_hpc.launch.task import Outcome

UNFINISHED = {"PENDING", "RUNNING", "REQUEUED", "COMPLETING", "CONFIGURING", "SUSPENDED"}

DOUBTFUL: Mapping[str, tuple[float, str]] = {
    "PREEMPTED": (120.0, "it was not put back into the queue"),
    "UNKNOWN": (120.0, "Slurm does not know it any more"),
    "UNREACHABLE": (3600.0, "Slurm does not answer"),
}
"""States that may pass or be the end: seconds after which, without a result, they are the end, and what that means."""

WITHOUT_RESULT = {"CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}

TAIL = 30
"""Lines of a failed job's log that its error shows."""

PATIENCE = 15.0
"""Seconds that a finished job's result may take to show on a shared file system."""


@dataclass
class Sight:
    """The state that Slurm last told of a job, and since when it tells it (Unix time)."""

    state: str = ""
    since: float = 0.0

    def look(self, job: str) -> str:
        """Asks Slurm, which soon forgets a job that has ended: an end that was seen stays."""
        if self.state != "COMPLETED" and self.state not in WITHOUT_RESULT:
            told = slurm_state(job)
            if told != self.state:
                self.state, self.since = told, time.time()
        return self.state

    @property
    def lasting(self) -> str:
        """What a doubtful state means once it has lasted too long to pass; else ''."""
        patience, meaning = DOUBTFUL.get(self.state, (math.inf, ""))
        return meaning if time.time() - self.since >= patience else ""


@dataclass(frozen=True, eq=False)
class Job:
    """One job of one or several stages; `handle` is submitit's own object for it."""

    id: str
    stages: tuple[str, ...]
    cluster: str
    handle: Any
    sight: Sight = field(default_factory=Sight, repr=False)

    @property
    def log(self) -> Path:
        """What the first process of the job writes to stderr."""
        return Path(self.handle.paths.stderr)

    def state(self) -> str:
        """PENDING, RUNNING, COMPLETED, FAILED, ... ; by the result, FINISHED or FAILED, where there is one. UNKNOWN and
        UNREACHABLE as `slurm_state` has them."""
        if self.cluster == "slurm" and not self._has_result():
            return self.sight.look(self.id)
        if self.cluster == "debug":
            return "FINISHED" if self.handle.state == "DONE" else "PENDING"
        if self._has_result():
            return "FINISHED" if self._error is None else "FAILED"
        return "RUNNING" if self.handle.state == "RUNNING" else "FAILED"

    def done(self) -> bool:
        """Whether it has ended; it has where it was preempted or lost from sight for too long to come back."""
        state = self.state()
        return bool(self.sight.lasting) if state in DOUBTFUL else state not in UNFINISHED

    def wait(self, poll: float = 2.0) -> None:
        """Returns when the job has ended (`done`), however it ended; a requeued one has not. A debug job runs with
        `result`."""
        while self.cluster != "debug" and not self.done():
            time.sleep(poll)

    def result(self) -> Outcome:
        """Waits for the job and gives what it reached.

        Raises:
            ClusterError: it failed, was cancelled or is lost; the message has the end of its log.
        """
        self.wait()
        if self.cluster != "debug" and not self._result_shows():
            raise self._failure("it left no result")
        if self._error is not None:
            why = getattr(self._error, "what", str(self._error)) if self.cluster == "debug" else "a stage failed"
            raise self._failure(why) from self._error
        outcome: Outcome = self.handle.task(0).result()
        return outcome

    def cancel(self) -> None:
        self.handle.cancel(check=False)

    def _result_shows(self) -> bool:
        """Whether there is a result, which a shared file system may show late; none comes of a job that failed."""
        end = time.monotonic() + PATIENCE
        none = WITHOUT_RESULT | DOUBTFUL.keys()
        while not self._has_result() and self.state() not in none and time.monotonic() < end:
            time.sleep(0.5)
        return self._has_result()

    @functools.cached_property
    def _error(self) -> Exception | None:
        """What ended the job before its end, once there is a result; a debug job runs for it."""
        error: Exception | None = self.handle.task(0).exception()
        return error

    def _has_result(self) -> bool:
        return self.cluster != "debug" and bool(self.handle.paths.result_pickle.exists())

    def _failure(self, why: str) -> ClusterError:
        if self.cluster == "debug":
            return ClusterError(
                f"Job {self.id} ({' '.join(self.stages)}) failed: {why}",
                remedy="It ran in this process: what the stage said stands above.",
            )
        said = self.log.read_text(errors="replace").splitlines()[-TAIL:] if self.log.is_file() else []
        told = "\n    ".join(["", *said])
        state, lasting = self.state(), self.sight.lasting
        if lasting:
            state = f"{state} since {time.strftime('%H:%M:%S', time.localtime(self.sight.since))}, {lasting}"
        return ClusterError(
            f"Job {self.id} ({' '.join(self.stages)}) is {state}: {why}.{told}",
            remedy=f"Its whole log: {self.log}",
        )


def slurm_state(job: str) -> str:
    """The state by squeue, which remembers a job for some minutes, else by sacct; UNKNOWN where neither knows it,
    UNREACHABLE where the controller does not answer."""
    silent = False
    for command in (
        ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"],
        ["sacct", "--noheader", "--allocations", "--parsable2", f"--jobs={job}", "--format=State"],
    ):
        if shutil.which(command[0]) is None:
            continue
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        if told.returncode == 0 and told.stdout.split():
            return told.stdout.split()[0]
        silent |= command[0] == "squeue" and told.returncode != 0 and "Invalid job id" not in told.stderr
    return "UNREACHABLE" if silent else "UNKNOWN"
