"""The fastest adjoint that applies to a learner."""

import logging
from typing import Any

from gtn_hpc.core.records import Batch
from gtn_hpc.inner.adjoint import Adjoint, Judged, Pulled, Step, Stepped
from gtn_hpc.inner.compiled import Compiled
from gtn_hpc.inner.flat import FlatLearner, FlatState
from gtn_hpc.inner.graphed import Graphs
from gtn_hpc.inner.kit.adjoint import Kit
from gtn_hpc.inner.kit.structure import why_not
from gtn_hpc.inner.reverse import Reverse
from gtn_hpc.inner.traced import Traced

log = logging.getLogger(__name__)

PATIENCE = 48
"""Uses of a shape after which a trace is made; one costs about what it saves in 50 steps of a small learner."""


class Preferring(Adjoint):
    """`first` where it takes the learner, else `second`; why not is logged once a structure."""

    def __init__(self, first: Adjoint, second: Adjoint) -> None:
        self.first, self.second = first, second
        self.keeps_graphs = first.keeps_graphs or second.keeps_graphs
        self.chosen: dict[Any, Adjoint] = {}

    def advance(self, learner: FlatLearner, state: FlatState, step: Step, *, record: bool = False) -> Stepped:
        return self._choose(learner).advance(learner, state, step, record=record)

    def pull_back(
        self, learner: FlatLearner, before: FlatState, after: FlatState, step: Step, cotangent: FlatState, tape: Any
    ) -> Pulled:
        return self._choose(learner).pull_back(learner, before, after, step, cotangent, tape)

    def judge(self, learner: FlatLearner, state: FlatState, real: Batch) -> Judged:
        return self._choose(learner).judge(learner, state, real)

    def _choose(self, learner: FlatLearner) -> Adjoint:
        found = self.chosen.get(learner.fingerprint)
        if found is None:
            reason = why_not(learner.learner.module, learner.learner.autocast)
            if reason is not None:
                log.info("adjoint: traced, not the layer kit: %s", reason)
            found = self.chosen[learner.fingerprint] = self.first if reason is None else self.second
        return found


def make_adjoint(name: str, *, graphs: bool = False) -> Adjoint:
    """By `engine.adjoint`: auto, reverse, traced, compiled or kit; `graphs` records traces as CUDA graphs.

    `auto` and `kit` take the layer kit where the learner is made of its layers, else autograd's adjoint, and trace
    either: `auto` once a shape has been used for a while. `compiled` compiles from the first use.
    """
    shared = Graphs() if graphs else None
    match name:
        case "reverse":
            return Reverse()
        case "traced":
            return Traced(Reverse(), graphs=shared)
        case "compiled":
            return Preferring(Compiled(Kit()), Compiled(Reverse()))
        case "kit":
            return Preferring(Traced(Kit(), graphs=shared), Traced(Reverse(), graphs=shared))
    kit, other = (Traced(adjoint, PATIENCE, graphs=shared) for adjoint in (Kit(), Reverse()))
    return Preferring(kit, other)
