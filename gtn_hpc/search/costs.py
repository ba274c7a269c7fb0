"""How long evaluations take: fitted while they come in, on parameters, FLOPs and steps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FIRST = 6
"""Evaluations before anything is predicted."""

RIDGE = 1e-6
"""Draws what the evaluations do not tell apart towards zero, relative to what they tell."""

WORK = 2
"""Which of a size's features is its work."""


@dataclass(frozen=True)
class Size:
    """Trainable parameters, FLOPs of the forward pass of one image, and inner steps."""

    params: int
    flops: int
    steps: int

    @property
    def work(self) -> float:
        """What sorts evaluations while no time is known."""
        return float(self.steps) * self.flops

    @property
    def features(self) -> NDArray[np.float64]:
        return np.array([1.0, self.steps, self.work, float(self.steps) * self.params])


class Costs:
    """Seconds = a + b steps + c steps x FLOPs + d steps x parameters, by least squares of the relative error.

    Cost of a row: a 4 x 4 update; whatever the number of rows.
    """

    def __init__(self) -> None:
        self.count = 0
        self._scale = np.ones(4)
        self._products, self._sums = np.zeros((4, 4)), np.zeros(4)
        self._least, self._weights = np.inf, np.zeros(4)

    def learn(self, size: Size, seconds: float) -> None:
        """Takes how long an evaluation took."""
        if seconds <= 0:
            return
        if not self.count:
            self._scale = np.maximum(size.features, 1.0)
        self.count += 1
        self._least = min(self._least, seconds)
        relative = size.features / self._scale / seconds
        self._products += np.outer(relative, relative)
        self._sums += relative
        ridge = RIDGE * np.trace(self._products) * np.eye(4)
        self._weights = np.linalg.solve(self._products + ridge, self._sums) / self._scale

    def seconds(self, size: Size) -> float | None:
        """What an evaluation will take, never less than the shortest seen; None while too few were."""
        seconds = self.seconds_of(size.features)
        return None if seconds is None else float(seconds)

    def seconds_of(self, features: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """As `seconds`, of any number of evaluations, from the features of their sizes [..., 4]."""
        if self.count < FIRST:
            return None
        seconds: NDArray[np.float64] = np.maximum((features * self._weights).sum(axis=-1), self._least)
        return seconds
