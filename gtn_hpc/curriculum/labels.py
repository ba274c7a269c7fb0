"""Class probabilities of synthetic images."""

import math

import torch
from torch import Tensor, nn

CONFIDENCE = 0.9
"""Probability of an image's first class before soft labels are learned."""


class Labels(nn.Module):
    """Of a pool of N images with evenly distributed classes: one-hot, or soft and learned on the simplex."""

    ids: Tensor
    eye: Tensor

    def __init__(self, images: int, classes: int, *, learned: bool) -> None:
        super().__init__()
        self.register_buffer("ids", torch.arange(images) % classes)
        self.register_buffer("eye", torch.eye(classes))
        start = math.log(CONFIDENCE * max(classes - 1, 1) / (1 - CONFIDENCE))
        self.logits = nn.Parameter(start * self.eye[self.ids]) if learned else None

    def one_hot(self, index: Tensor) -> Tensor:
        """The class [B, K] that each image began as; the generator is told this."""
        return self.eye[self.ids[index]]

    def forward(self, index: Tensor) -> Tensor:
        """Probabilities [B, K] that the learner is taught."""
        return self.one_hot(index) if self.logits is None else torch.softmax(self.logits[index], dim=1)
