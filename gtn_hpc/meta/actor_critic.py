"""The advantage actor-critic loss of a rollout as a real batch (Mnih et al. 2016; GTN paper, appendix on CartPole).

The loss of the policy, - mean A(s, a) log pi(a | s), is a cross-entropy whose labels are A at the action taken and 0
elsewhere. So a rollout is a batch like any other to every engine: states for images, and labels of any sum and sign.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gtn_hpc.config.teaching import Reinforcement
from gtn_hpc.core.records import Batch
from gtn_hpc.environments import Rollout, advantages
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.models.critic import Critic


class Criticised(NamedTuple):
    """The batch that judges the policy, and the gradient of the critic's loss by name of its parameter."""

    batch: Batch
    gradient: Tensors


def criticise(section: Reinforcement, rollout: Rollout, seen: Tensor, logits: Tensor, critic: Critic) -> Criticised:
    """Of `seen` [L + 1, N, S], the scaled observations of `rollout`, and the policy's `logits` [L N, A] of the first L.

    The policy's entropy counts as part of the advantage: the score function makes the same gradient of it.
    """
    like, unit = seen, 1 / (1 - section.discount)
    expected = critic(seen.flatten(0, 1)).view(seen.shape[:2])
    values = expected.detach().double().cpu().numpy() * unit
    found = advantages(rollout, values, section.discount, section.trace)
    played = torch.from_numpy(rollout.played).flatten().to(like)
    advantage = torch.from_numpy(found.advantage).flatten().to(like)
    target = torch.from_numpy(found.target / unit).flatten().to(like)
    weight = _standardised(advantage, played) if section.standardise else advantage / unit
    taken = F.one_hot(torch.from_numpy(rollout.actions).flatten(), logits.shape[1]).to(like)
    weight = weight + section.entropy * _surprise(logits, taken)
    share = played * (len(played) / played.sum())
    batch = Batch(seen[:-1].flatten(0, 1)[:, :, None, None], (share * weight)[:, None] * taken)
    loss = section.critic_weight * (share * (expected[:-1].flatten() - target) ** 2).mean()
    names = dict(critic.named_parameters())
    return Criticised(batch, dict(zip(names, torch.autograd.grad(loss, list(names.values())), strict=True)))


def _standardised(values: Tensor, played: Tensor) -> Tensor:
    """With mean 0 and standard deviation 1 over the rows that were played."""
    mean = (values * played).sum() / played.sum()
    spread = (((values - mean) ** 2 * played).sum() / played.sum()).sqrt()
    return (values - mean) / spread.clamp(min=1e-8)


def _surprise(logits: Tensor, taken: Tensor) -> Tensor:
    """How much less likely the action was than the policy's actions are in the mean, in nats [L N]."""
    logs = logits.log_softmax(1)
    return (logs.exp() * logs).sum(1) - (logs * taken).sum(1)
