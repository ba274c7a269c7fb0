"""A number with its interval."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LEVEL = 0.95
"""The probability with which an interval covers the truth."""

TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


@dataclass(frozen=True)
class Estimate:
    """`value` with the interval [`low`, `high`] that covers the truth with probability `level`, from `n` points.

    NaN where there is no value or no interval; `note` then says why, and names ties and points left out.
    """

    value: float
    low: float
    high: float
    n: int
    note: str = ""
    level: float = LEVEL

    def __str__(self) -> str:
        if math.isnan(self.value):
            return f"none ({self.note})"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]" + (f" ({self.note})" if self.note else "")


def nothing(n: int, note: str) -> Estimate:
    """No value and no interval; `note` says why."""
    return Estimate(math.nan, math.nan, math.nan, n, note)


def notes(*parts: str) -> str:
    """Those that say something, as one note."""
    return "; ".join(part for part in parts if part)


def finite(*samples: ArrayLike) -> tuple[list[Array], str]:
    """Samples of one length without the points where any of them is not finite, and a note of how many went."""
    arrays = [np.asarray(sample, dtype=np.float64).ravel() for sample in samples]
    if len({len(array) for array in arrays}) > 1:
        raise ValueError(f"Samples that belong together have lengths {[len(array) for array in arrays]}.")
    keep = np.logical_and.reduce([np.isfinite(array) for array in arrays])
    lost = int((~keep).sum())
    return [array[keep] for array in arrays], f"{lost} points without a finite number left out" if lost else ""
