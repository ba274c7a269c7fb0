"""The methods of `gtn bench meta-step` by name and mode."""

import importlib.util
from dataclasses import dataclass

from gtn_hpc.bench.rivals import Checkpointed, Plain, TorchOpt
from gtn_hpc.core.errors import UsageError, nearest
from gtn_hpc.inner.auto import make_adjoint
from gtn_hpc.inner.engine import Engine
from gtn_hpc.inner.keeping import GENERATOR, NOTHING
from gtn_hpc.inner.trajectory import Trajectory
from gtn_hpc.inner.unrolled import Unrolled

RIVALS = ("plain", "higher", "torchopt", "unrolled", "checkpoint")
ADJOINTS = ("reverse", "traced", "kit", "compiled", "auto")
NAMES = (*RIVALS, *(f"trajectory/{name}" for name in ADJOINTS))
MODES = ("flat", "keep_generator", "flat+graphs", "keep_generator+graphs")
"""Of the trajectory; rivals are flat."""


@dataclass(frozen=True)
class Method:
    """A row's name; `mode` is flat (the states alone are kept) or keep_generator (its graphs too).

    On a GPU `+graphs` after the mode launches each traced step as one CUDA graph.
    """

    name: str
    mode: str = "flat"

    def __str__(self) -> str:
        return f"{self.name}:{self.mode}"


DEFAULT = (
    *(Method(name) for name in RIVALS),
    Method("trajectory/reverse"),
    Method("trajectory/traced"),
    Method("trajectory/kit"),
    Method("trajectory/kit", "keep_generator"),
)
"""Without `compiled`, which takes minutes to start."""

ON_GPU = (*DEFAULT, Method("trajectory/kit", "flat+graphs"), Method("trajectory/kit", "keep_generator+graphs"))
"""The same, and CUDA graphs."""


def require_known(method: Method) -> None:
    """Passes where `make` makes the method, here or on a machine that has what it needs.

    Raises:
        UsageError: there is no such name, or no such mode of it.
    """
    if method.name not in NAMES:
        raise UsageError(f"No method is called '{method.name}'.", remedy=nearest(method.name, NAMES))
    modes = ("flat",) if method.name in RIVALS else MODES
    if method.mode not in modes:
        raise UsageError(f"{method.name} has no mode '{method.mode}'.", remedy=nearest(method.mode, modes))


def make(method: Method) -> Engine:
    """Errors as in `require_known`."""
    require_known(method)
    match method.name:
        case "plain":
            return Plain()
        case "unrolled":
            return Unrolled()
        case "checkpoint":
            return Checkpointed()
        case "torchopt":
            return TorchOpt()
        case "higher":
            from gtn_hpc.inner.higher_engine import Higher

            return Higher()
    mode, _, graphs = method.mode.partition("+")
    adjoint = make_adjoint(method.name.partition("/")[2], graphs=bool(graphs))
    return Trajectory(adjoint, keep=GENERATOR if mode == "keep_generator" else NOTHING)


def why_not(method: Method) -> str | None:
    """Why `method` cannot run here."""
    if method.name in ("torchopt", "higher") and importlib.util.find_spec(method.name) is None:
        return f"{method.name} is not installed"
    return None


def parse(text: str) -> Method:
    """`name` or `name:mode`."""
    name, _, mode = text.partition(":")
    return Method(name, mode or "flat")
