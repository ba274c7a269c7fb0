"""Pools of workers that evaluations run on. The manager's side imports no torch."""

from gtn_hpc.farm.pool import InProcess, Pool, Work, results

__all__ = ["InProcess", "Pool", "Work", "results"]
