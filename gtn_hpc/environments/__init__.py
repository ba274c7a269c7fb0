"""Environments of reinforcement learning: many copies side by side, rollouts in them, and advantages."""

from gtn_hpc.environments.advantage import Advantages, advantages
from gtn_hpc.environments.environment import Environment, Policy, Rollout, Scale

__all__ = ["Advantages", "Environment", "Policy", "Rollout", "Scale", "advantages"]
