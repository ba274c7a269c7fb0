"""What reinforcement learning expects of a state, as a network."""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from gtn_hpc.models.layers import LeakyReLU, Linear


class Critic(nn.Module):
    """Observations [B, S] to their expected return [B]."""

    def __init__(self, numbers: int, widths: Sequence[int]) -> None:
        super().__init__()
        sizes = [numbers, *widths]
        pairs = itertools.pairwise(sizes)
        hidden = [layer for pair in pairs for layer in (Linear(*pair, weight_norm=False), LeakyReLU())]
        self.layers = nn.Sequential(*hidden, Linear(sizes[-1], 1, weight_norm=False))

    def forward(self, x: Tensor) -> Tensor:
        values: Tensor = self.layers(x.to(next(self.parameters()).dtype)).squeeze(1)
        return values
