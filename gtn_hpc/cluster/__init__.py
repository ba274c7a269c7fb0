"""Who am I among the processes, how do we meet, and what do we exchange. Importing this package needs no torch."""

from gtn_hpc.cluster.environment import RankEnvironment, detect

__all__ = ["RankEnvironment", "detect"]
