"""Frozen records that cross the borders of packages. Shapes: T steps, B images a batch, C H W an image, K classes."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


SMALLEST_SIDE = 8
"""Least height and width of an image in pixels: networks halve it several times."""


@dataclass(frozen=True)
class ImageShape:
    """Size of one image: channels, height and width in pixels."""

    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


class Batch(NamedTuple):
    """Images `x` [B, C, H, W] (normalised) and labels `y`: [B, K] probabilities or [B] class indices."""

    x: "Tensor"
    y: "Tensor"


class Hyper(NamedTuple):
    """Learning rate and momentum (scalar tensors) of one inner step; Adam takes the momentum as its beta1."""

    lr: "Tensor"
    momentum: "Tensor"


def plain(value: Any) -> Any:
    """`value` as JSON can say it: numbers that are not finite as null, what JSON does not know as text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int | str | None) else str(value)


def canonical_json(value: Any) -> str:
    """One text for equal values: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Architecture:
    """A point of a space: the space's name and a JSON-able specification; equal where the JSON is equal."""

    space: str
    spec: Mapping[str, Any]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Architecture) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def to_json(self) -> str:
        return canonical_json({"space": self.space, "spec": self.spec})

    @classmethod
    def from_json(cls, text: str) -> "Architecture":
        value = json.loads(text)
        return cls(space=value["space"], spec=value["spec"])

    @property
    def digest(self) -> str:
        """16 hex digits of this specification as it stands; equal networks share it once canonical."""
        return digest({"space": self.space, "spec": self.spec})[:16]


@dataclass(frozen=True)
class Score:
    """One row of `/scores`: one replica of one architecture at one fidelity.

    `status` is ok, nan, diverged, oom, timeout, crashed or error. `val_accuracy` is a fraction of the validation split,
    `val_loss` its mean cross-entropy in nats, both NaN unless `status` is ok; `fidelity` counts inner steps; `seconds`
    and `time` (Unix) are seconds; `curve` maps inner steps to validation accuracy; `detail` is the end of a traceback.
    """

    key: str
    arch: str
    fidelity: int
    replica: int
    val_accuracy: float
    val_loss: float
    status: str
    seconds: float
    peak_bytes: int
    params: int
    flops: int
    parent: str = ""
    ask: int = -1
    tell: int = -1
    rank: int = 0
    host: str = ""
    job: str = ""
    time: float = 0.0
    curve: Mapping[int, float] = field(default_factory=dict, hash=False)
    extra: Mapping[str, float] = field(default_factory=dict, hash=False)
    detail: str = ""
