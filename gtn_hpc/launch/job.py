"""A submitted job: its state as Slurm tells it, and its outcome."""

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gtn_hpc.core.errors import ClusterError
from gtn_hpc.launch.task import Outcome

UNFINISHED = {"PENDING", "RUNNING", "REQUEUED", "COMPLETING", "CONFIGURING", "SUSPENDED", "PREEMPTED", "UNKNOWN"}

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
        """PENDING, RUNNING, COMPLETED, FAILED, ... ; where Slurm has forgotten the job, whether it left a result."""
        if self.cluster == "slurm" and not self._has_result():
            return slurm_state(self.id)
        if self.cluster == "debug" or self._has_result():
            return "FINISHED"
        return "RUNNING" if self.handle.state == "RUNNING" else "FAILED"

    def done(self) -> bool:
        return self.state() not in UNFINISHED

    def wait(self, poll: float = 2.0) -> None:
        """Returns when the job has ended, however it ended; a requeued one has not."""
        while not self.done():
            time.sleep(poll)

    def result(self) -> Outcome:
        """Waits for the job and gives what it reached.

        Raises:
            ClusterError: it failed or was cancelled; the message has the end of its log, tracebacks included.
        """
        self.wait()
        end = time.monotonic() + PATIENCE
        while self.cluster != "debug" and not self._has_result() and time.monotonic() < end:
            if self.state() in ("CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"):
                break
            time.sleep(0.5)
        try:
            outcome: Outcome = self.handle.task(0).result() if self._is_there() else self._fail("it left no result")
        except ClusterError:
            raise
        except Exception as error:
            return self._fail(str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__)
        return outcome

    def cancel(self) -> None:
        self.handle.cancel(check=False)

    def _is_there(self) -> bool:
        return self.cluster == "debug" or self._has_result()

    def _has_result(self) -> bool:
        return self.cluster != "debug" and bool(self.handle.paths.result_pickle.exists())

    def _fail(self, why: str) -> Outcome:
        said = self.log.read_text(errors="replace").splitlines()[-TAIL:] if self.log.is_file() else []
        told = "\n    ".join(["", *said])
        raise ClusterError(
            f"Job {self.id} ({' '.join(self.stages)}) did not succeed: it is {self.state()}; {why}{told}",
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
