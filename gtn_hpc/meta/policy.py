"""A learner as a policy: observations to actions."""

import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gtn_hpc.environments import Policy, Scale
from gtn_hpc.environments.environment import Array
from gtn_hpc.inner.step import Learner, LearnerState, arithmetic
from gtn_hpc.models.precision import widened


@dataclass(frozen=True, eq=False)
class Units:
    """Observations as learners see them: minus the mean, over the standard deviation [S]."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, scale: Scale, dtype: torch.dtype, device: torch.device) -> "Units":
        mean, std = (torch.from_numpy(values).to(device, dtype) for values in scale)
        return cls(mean, std)

    def __call__(self, observations: Array) -> Tensor:
        return (torch.from_numpy(observations).to(self.mean) - self.mean) / self.std


@dataclass(frozen=True, eq=False)
class Player:
    """A learner in a state; an observation of S numbers is to it an image of S channels and one pixel."""

    learner: Learner
    state: LearnerState
    units: Units

    @cached_property
    def network(self) -> nn.Module:
        """The learner's network with the state in it: a call costs a third of one that is given the state."""
        network = copy.deepcopy(self.learner.module).eval()
        network.load_state_dict(self.state.params | self.state.buffers)
        return network

    @torch.no_grad()
    def logits(self, seen: Tensor) -> Tensor:
        """Of scaled observations [B, S]: [B, A], float32 where forward passes have a type of their own."""
        with arithmetic(self.learner, seen):
            logits: Tensor = self.network(seen[:, :, None, None])
        return widened(logits, self.learner.autocast)

    def drawing(self, draws: np.random.Generator) -> Policy:
        """Draws each action with its probability."""

        def act(observations: Array) -> NDArray[np.int64]:
            logits = self.logits(self.units(observations)).double().cpu().numpy()
            chosen: NDArray[np.int64] = (logits + draws.gumbel(size=logits.shape)).argmax(axis=1)
            return chosen

        return act

    def choosing(self) -> Policy:
        """Takes the likeliest action."""

        def act(observations: Array) -> NDArray[np.int64]:
            chosen: NDArray[np.int64] = self.logits(self.units(observations)).argmax(dim=1).cpu().numpy()
            return chosen

        return act
