"""A submitted job: its state as Slurm tells it, and its outcome."""

import functools
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gtn_hpc.core.errors import ClusterError
from gtn_hpc.launch.task import Outcome

UNFINISHED = {"PENDING", "RUNNING", "REQUEUED", "COMPLETING", "CONFIGURING", "SUSPENDED", "PREEMPTED", "UNKNOWN"}

WITHOUT_RESULT = {"CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}

TAIL = 30
"""Lines of a failed job's log that its error shows."""

PATIENCE = 15.0
"""Seconds that a finished job's result may take to show on a shared file system."""


@dataclass(frozen=True, eq=False)
class Job:
    """One job of one or several stages; `handle` is submitit's own object for it."""

    id: str
    stages: tuple[str, ...]
    cluster: str
    handle: Any

    @property
    def log(self) -> Path:
        """What the first process of the job writes to stderr."""
        return Path(self.handle.paths.stderr)

    def state(self) -> str:
        """PENDING, RUNNING, COMPLETED, FAILED, ... ; by the result, FINISHED or FAILED, where there is one."""
        if self.cluster == "slurm" and not self._has_result():
            return slurm_state(self.id)
        if self.cluster == "debug":
            return "FINISHED" if self.handle.state == "DONE" else "PENDING"
        if self._has_result():
            return "FINISHED" if self._error is None else "FAILED"
        return "RUNNING" if self.handle.state == "RUNNING" else "FAILED"

    def done(self) -> bool:
        return self.state() not in UNFINISHED

    def wait(self, poll: float = 2.0) -> None:
        """Returns when the job has ended, however it ended; a requeued one has not. A debug job runs with `result`."""
        while self.cluster != "debug" and not self.done():
            time.sleep(poll)

    def result(self) -> Outcome:
        """Waits for the job and gives what it reached.

        Raises:
            ClusterError: it failed or was cancelled; the message has the end of its log.
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
        while not self._has_result() and self.state() not in WITHOUT_RESULT and time.monotonic() < end:
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
        return ClusterError(
            f"Job {self.id} ({' '.join(self.stages)}) is {self.state()}: {why}.{told}",
            remedy=f"Its whole log: {self.log}",
        )


def slurm_state(job: str) -> str:
    """The state by squeue, which remembers a job for some minutes, else by sacct; UNKNOWN where neither tells."""
    for command in (
        ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"],
        ["sacct", "--noheader", "--allocations", "--parsable2", f"--jobs={job}", "--format=State"],
    ):
        if shutil.which(command[0]) is None:
            continue
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        if told.returncode == 0 and told.stdout.split():
            return told.stdout.split()[0]
    return "UNKNOWN"
