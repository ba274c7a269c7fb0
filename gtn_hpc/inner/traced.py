"""Adjoints as straight lists of tensor operations, recorded once a shape: no autograd, no modules, no dead work."""

import logging
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gtn_hpc.core.records import Batch
from gtn_hpc.inner.adjoint import Adjoint, Judged, Pulled, Step, Stepped, present
from gtn_hpc.inner.flat import FlatLearner, FlatState
from gtn_hpc.inner.graphed import Graphs, copies
from gtn_hpc.inner.record import NotTraceable, Program, record
from gtn_hpc.inner.script import script
from gtn_hpc.inner.step import randomness_of_step

log = logging.getLogger(__name__)

CACHED = 512
"""Programs kept, the least recently used going first; three a learner's shape."""


class Traced(Adjoint):
    """Another adjoint, recorded. A trace takes about .1 s and serves every learner of one structure and shape.

    `patience` is how often a function runs as it is before it is traced (the real loss: an eighth of that). A trace
    holds for one shape and layout of images: widths drawn at random should share a quantum. With `graphs` a trace on a
    GPU becomes a CUDA graph, unless it draws random numbers.
    """

    def __init__(self, adjoint: Adjoint, patience: int = 0, *, graphs: Graphs | None = None) -> None:
        self.adjoint, self.patience, self.graphs = adjoint, patience, graphs
        self.keeps_graphs = graphs is not None
        self.programs: OrderedDict[Any, Program | None] = OrderedDict()
        self.seen: Counter[Any] = Counter()

    def advance(self, learner: FlatLearner, state: FlatState, step: Step, *, record: bool = False) -> Stepped:  # noqa: ARG002
        form = Form.of(state)

        def function(*values: Tensor) -> Sequence[Tensor | None]:
            given = form.read(values)
            return self.adjoint.advance(learner, given, step.with_values(values[form.size :])).state.tensors()

        return Stepped(form.read(self._run("advance", learner, form, step.t, step.inputs(), state.tensors(), function)))

    def pull_back(
        self, learner: FlatLearner, before: FlatState, after: FlatState, step: Step, cotangent: FlatState, tape: Any
    ) -> Pulled:
        form, weight = Form.of(before), Form.of(cotangent)

        def function(*values: Tensor) -> Sequence[Tensor | None]:
            start, end, given = form.read(values), form.read(values[form.size :]), weight.read(values[2 * form.size :])
            moment = step.with_values(values[2 * form.size + weight.size :])
            pulled = self.adjoint.pull_back(learner, start, end, moment, given, tape)
            return [*form.complete(pulled.state), *pulled.inputs]

        states = [*before.tensors(), *after.tensors(), *cotangent.tensors()]
        results = self._run("pull", learner, (form, weight), step.t, step.inputs(), states, function)
        return Pulled(form.sparse(results), tuple(results[form.size :]))

    def judge(self, learner: FlatLearner, state: FlatState, real: Batch) -> Judged:
        form = Form.of(FlatState(state.theta, state.buffers))

        def function(*values: Tensor) -> Sequence[Tensor | None]:
            judged = self.adjoint.judge(learner, form.read(values), Batch(*values[form.size :]))
            return [judged.loss, *form.complete(judged.cotangent)]

        loss, *cotangent = self._run("judge", learner, form, 0, real, [state.theta, *state.buffers.values()], function)
        assert loss is not None
        return Judged(loss, form.sparse(cotangent))

    def _run(
        self,
        kind: str,
        learner: FlatLearner,
        form: Any,
        t: int,
        given: Sequence[Tensor],
        state: list[Tensor],
        function: Program,
    ) -> Sequence[Tensor | None]:
        needs = tuple(v.requires_grad for v in given)
        values = [v.detach() for v in (*state, *given)]
        # Views in a trace fit one layout of the images.
        shapes = given[0].stride(), tuple((v.shape, v.dtype) for v in given)
        key = (kind, learner.fingerprint, form, needs, shapes)
        graphs = None if learner.learner.stochastic or not values[0].is_cuda else self.graphs
        if key not in self.programs:
            self.seen[key] += 1
            if self.seen[key] <= (self.patience // 8 if kind == "judge" else self.patience):
                return function(*(copies(values) if graphs else values))  # on copies, as a graph is
            with randomness_of_step(learner.learner, t):
                self._remember(key, kind, function, values, graphs)
        self.programs.move_to_end(key)
        program = self.programs[key]
        if program is None:
            return function(*(copies(values) if graphs else values))
        with torch.no_grad(), randomness_of_step(learner.learner, t):
            return program(*values)

    def _remember(self, key: Any, kind: str, function: Program, values: list[Tensor], graphs: Graphs | None) -> None:
        self.programs[key] = None
        try:
            program = self.make(function, values)
            self.programs[key] = graphs.record(program) if graphs else program
        except NotTraceable as reason:
            log.info("adjoint: %s runs untraced: %s", kind, reason)
        if len(self.programs) > CACHED:
            self._make_room()

    def _make_room(self) -> None:
        """For the next programs. CUDA graphs end all at once: one that ends alone takes memory from those that stay
        (pytorch issue 193402); so that this is rare, half of the programs go."""
        if self.graphs is not None:
            self.graphs.forget()
        for _ in range(1 if self.graphs is None else len(self.programs) // 2):
            self.programs.popitem(last=False)

    def make(self, function: Program, values: list[Tensor]) -> Program:
        return script(record(function, values))


class Form:
    """The names of a state's tensors, so that it can be written as a list."""

    def __init__(self, buffers: tuple[str, ...], optimiser: tuple[str, ...]) -> None:
        self.buffers, self.optimiser = buffers, optimiser
        self.size = 1 + len(buffers) + len(optimiser)

    @classmethod
    def of(cls, state: FlatState) -> "Form":
        return cls(tuple(state.buffers), tuple(state.optimiser))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form) and (self.buffers, self.optimiser) == (other.buffers, other.optimiser)

    def __hash__(self) -> int:
        return hash((self.buffers, self.optimiser))

    def read(self, values: Sequence[Any]) -> FlatState:
        split = 1 + len(self.buffers)
        buffers = dict(zip(self.buffers, values[1:split], strict=True))
        return FlatState(values[0], buffers, dict(zip(self.optimiser, values[split : self.size], strict=True)))

    def complete(self, state: FlatState) -> list[Tensor | None]:
        """The tensors of a cotangent, None for what it leaves out."""
        return [state.theta, *map(state.buffers.get, self.buffers), *map(state.optimiser.get, self.optimiser)]

    def sparse(self, values: Sequence[Tensor | None]) -> FlatState:
        state = self.read(values)
        return FlatState(state.theta, present(state.buffers), present(state.optimiser))
