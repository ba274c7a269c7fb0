"""Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438, eq. 16)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gtn_hpc.environments.environment import Rollout


class Advantages(NamedTuple):
    """How much better each action was than the critic expected [L, N], and what it should have expected [L, N]."""

    advantage: NDArray[np.float64]
    target: NDArray[np.float64]


def advantages(rollout: Rollout, values: NDArray[np.float64], discount: float, trace: float) -> Advantages:
    """With the critic's `values` [L + 1, N] of the observations; those cut off by a time limit go on by its value.

    Rows that were not played mean nothing.
    """
    goes_on = ~rollout.terminated
    surprise = rollout.rewards + discount * goes_on * values[1:] - values[:-1]
    advantage, following = np.zeros_like(surprise), np.zeros(surprise.shape[1])
    for t in reversed(range(len(surprise))):
        following = surprise[t] + discount * trace * ~rollout.ended[t] * following
        advantage[t] = following
    return Advantages(advantage, advantage + values[:-1])
