"""What a layer of the kit can do.

Training goes forward (x -> y) and backward (dL/dy -> dL/dx, dL/dp). The step's adjoint is the derivative of both
passes along a direction u of the parameters: `tangent` is that of forward, `pull` that of backward. A dot marks such
a derivative; dy and dy_dot are dL/dy and its derivative.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from gtn_hpc.inner.optimisers import Tensors


class Pair(NamedTuple):
    """A cotangent and its derivative along u; None where nobody needs it."""

    value: Tensor | None
    dot: Tensor | None


class Back(NamedTuple):
    """What a layer hands down, and what its parameters (and buffers) get, by local name."""

    x: Tensor | None
    params: Tensors


class Pull(NamedTuple):
    x: Pair
    params: Tensors


@dataclass(frozen=True)
class Needs:
    """Whether the layer below needs the cotangent of this layer's input, and its derivative."""

    value: bool = True
    dot: bool = True


class KitLayer(ABC):
    """`p` holds the layer's parameters by local name, `u` the direction; `saved` is what `forward` left.

    x, x_dot and their cotangents have the shape of the input, [B, C, H, W] (channels last) or [B, F]; y, y_dot and
    theirs that of the output. `saved` and `dots` are the layer's own: callers keep them for a step and hand them back
    unread. A layer holds nothing between calls, and changes nothing that it is given.
    """

    @abstractmethod
    def forward(self, p: Tensors, x: Tensor) -> tuple[Tensor, Any]:
        """y, and what the other passes of the step need: `saved`."""

    @abstractmethod
    def backward(self, p: Tensors, saved: Any, dy: Tensor, *, needs_x: bool) -> Back:
        """dL/dx, None without `needs_x`, and dL/dp of every parameter that `p` holds."""

    @abstractmethod
    def tangent(self, p: Tensors, u: Tensors, saved: Any, x_dot: Tensor | None) -> tuple[Tensor | None, Any]:
        """y_dot, and what `pull` needs: `dots`. None in place of x_dot or y_dot stands for zeros: nothing below the
        layer, or in it, moves along u."""

    @abstractmethod
    def pull(self, p: Tensors, u: Tensors, saved: Any, dots: Any, dy: Tensor, dy_dot: Tensor, needs: Needs) -> Pull:
        """The pair of dL/dx and its derivative, each None where `needs` does not ask for it, and by local name the
        derivative of dL/dp."""

    def buffers(self, saved: Any) -> Tensors:  # noqa: ARG002
        """The buffers after a training step."""
        return {}

    def pull_buffers(self, saved: Any, x_dot: Tensor, given: Tensors) -> Tensor:  # noqa: ARG002
        """`x_dot` and the cotangents `given` to the buffers, in terms of the layer's input."""
        return x_dot


class Linearised(KitLayer, ABC):
    """A layer without parameters that is linear once `forward` has fixed what it saves (masks, indices, sizes)."""

    @abstractmethod
    def apply(self, saved: Any, x: Tensor) -> Tensor:
        """The linear map."""

    @abstractmethod
    def transpose(self, saved: Any, dy: Tensor) -> Tensor:
        """Its transpose."""

    def backward(self, p: Tensors, saved: Any, dy: Tensor, *, needs_x: bool) -> Back:  # noqa: ARG002
        return Back(self.transpose(saved, dy) if needs_x else None, {})

    def tangent(self, p: Tensors, u: Tensors, saved: Any, x_dot: Tensor | None) -> tuple[Tensor | None, Any]:  # noqa: ARG002
        return (None if x_dot is None else self.apply(saved, x_dot)), None

    def pull(
        self,
        p: Tensors,  # noqa: ARG002
        u: Tensors,  # noqa: ARG002
        saved: Any,
        dots: Any,  # noqa: ARG002
        dy: Tensor,
        dy_dot: Tensor,
        needs: Needs,
    ) -> Pull:
        value = self.transpose(saved, dy) if needs.value else None
        return Pull(Pair(value, self.transpose(saved, dy_dot) if needs.dot else None), {})
