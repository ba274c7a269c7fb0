"""After a step: is the job to be requeued? Its exit code says so, or `state.json`, for launchers change codes."""

import signal
import time
from dataclasses import dataclass

from gtn_hpc.core.environment import job
from gtn_hpc.core.errors import Requeue
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.launch import record

NOT_YET_LISTENING = (128 + signal.SIGUSR2, -signal.SIGUSR2)
"""Exit codes, as shells and as Python tell them, of a step that the warning met before it could listen."""

ASKING = 30
"""Seconds before the time limit that are kept for asking for a requeue."""


def patience(lead: int) -> int:
    """Seconds that a step which is warned `lead` seconds before the limit has to end; then its job asks for it."""
    return max(lead - ASKING, lead // 2)


@dataclass(frozen=True)
class Verdict:
    """Whether to requeue, and why."""

    requeue: bool
    why: str


def after_step(run: RunDirectory, stage: str, *, began: float, code: int, restarts: int, most: int) -> Verdict:
    """The verdict on a step that began at Unix time `began` and ended with `code`; written to slurm/jobs.jsonl.

    A wish in `state.json` counts only where this job wrote it, and after the step began: another job of an array or an
    earlier start may have left it. A job that was restarted `most` times is not requeued.
    """
    verdict = _decide(run, began, code)
    if verdict.requeue and restarts >= most:
        verdict = Verdict(False, f"{verdict.why}, but it was restarted {restarts} times: submit it again to go on")
    seconds = round(time.time() - began)
    told = {"stage": stage, "code": code, "restarts": restarts, "seconds": seconds}
    record.write(run, "ended", **record.this_job(), **told, requeue=verdict.requeue, why=verdict.why)
    return verdict


def _decide(run: RunDirectory, began: float, code: int) -> Verdict:
    state = run.read_state()
    updated = max((stage.get("updated", 0.0) for stage in state["stages"].values()), default=0.0)
    own_wish = state["wants_requeue"] and state.get("job") == job() and updated >= began
    if code == Requeue.exit_code or own_wish:
        return Verdict(True, "the stage was stopped and goes on after a requeue")
    if code in NOT_YET_LISTENING:
        return Verdict(True, "the stage was stopped before it had begun")
    return Verdict(False, "done" if code == 0 else f"the stage failed with exit code {code}")
