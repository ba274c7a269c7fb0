"""Jobs on clusters: batch scripts, submission through submitit, what is decided after a step, plan and doctor."""

from gtn_hpc.launch.submitting import submit

__all__ = ["submit"]
