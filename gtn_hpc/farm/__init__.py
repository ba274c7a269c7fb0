"""Pools of workers that evaluations run on, and children that they run in. The manager's side imports no torch."""

from gtn_hpc.farm.pool import InProcess, Pool, Work, results
from gtn_hpc.farm.threads import Threads

__all__ = ["InProcess", "Pool", "Threads", "Work", "results"]
