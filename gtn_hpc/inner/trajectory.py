"""The trajectory engine: run the learner without graphs, then pull the meta-loss back, one step at a time.

Exact, for any learner. The derivation, and what it costs, is in docs/engine.md.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gtn_hpc.core.errors import OutOfMemory
from gtn_hpc.core.records import Batch
from gtn_hpc.core.streams import numpy_rng
from gtn_hpc.inner.adjoint import Adjoint, Pulled, Step, accumulate
from gtn_hpc.inner.engine import Engine, Episode, MetaGradient, Task
from gtn_hpc.inner.flat import FlatLearner, FlatState
from gtn_hpc.inner.keeping import NOTHING, Keep, StepBytes, bytes_kept, within
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.inner.states import States, make_states

log = logging.getLogger(__name__)


@dataclass
class Trajectory(Engine):
    """Memory grows by one state a step (.4 MiB on the workload W1), by more only as `keep` or `budget` allow.

    `budget` (bytes) overrides `keep`; what it chose is logged and stands in the result. `window` differentiates the
    last W steps only; with `random_window` training stops at a random step of [W, T], as in RaT-BPTT (Feng et al.
    2024), and the last real batch judges the learner there.
    """

    adjoint: Adjoint
    keep: Keep = NOTHING
    budget: int | None = None
    window: int | None = None
    random_window: bool = False
    offload: str = "no"
    _costs: dict[tuple[object, ...], StepBytes] = field(default_factory=dict, repr=False)

    def __call__(self, task: Task, teacher: Tensors, *, wrt_initial: bool = False) -> MetaGradient:
        run = self._start(task, teacher)
        with run.memory("the forward loop"):
            state = run.forward()
        with run.memory("the reverse loop"):
            cotangent = run.reverse(state)
        reached = cotangent is not None and run.first == 0
        initial = cotangent.theta if cotangent is not None and reached else torch.zeros_like(state.theta)
        named = run.learner.params(initial) if wrt_initial else {}
        return MetaGradient(run.losses, run.gradient, named, kept=str(run.keep))

    def _start(self, task: Task, teacher: Tensors) -> "_Run":
        learner, steps = FlatLearner(task.learner), task.episode.steps
        window = min(self.window or steps, steps)
        end = steps
        if self.random_window:
            end = int(numpy_rng(task.learner.seed, "window").integers(window, steps + 1))
        real = {t: batch for t, batch in task.real.items() if t < end} | {end: task.real[steps]}
        initial = learner.pack(task.initial)
        keep = self._keep(task, learner, initial, teacher, window)
        run = _Run(self.adjoint, learner, initial, task.episode, real, teacher, end - window, end, keep)
        run.states = make_states(self.offload, window, run.advance_again)
        return run

    def _keep(self, task: Task, learner: FlatLearner, initial: FlatState, teacher: Tensors, steps: int) -> Keep:
        if self.budget is None:
            return self.keep
        key = (tuple(learner.shapes.items()), tuple((k, v.shape) for k, v in teacher.items()))
        if key not in self._costs:
            self._costs[key] = _measure(self.adjoint, learner, initial, show(task.episode, 0), task.episode, teacher)
        keep = within(self.budget, steps, self._costs[key])
        log.info("of a budget of %d bytes the engine keeps %s", self.budget, keep)
        return keep


@dataclass
class _Run:
    """One meta-gradient on its way: steps `first` to `end` are differentiated."""

    adjoint: Adjoint
    learner: FlatLearner
    initial: FlatState
    episode: Episode
    real: Mapping[int, Batch]
    teacher: Tensors
    first: int
    end: int
    keep: Keep
    losses: dict[int, float] = field(default_factory=dict)
    at: int = 0

    def __post_init__(self) -> None:
        self.gradient: Tensors = {}
        self.states: States
        self.shown: dict[int, Step] = {}
        self.tapes: dict[int, object] = {}

    def forward(self) -> FlatState:
        """Trains the learner; keeps the states, and of the last steps what is to be kept."""
        state = self.initial
        self.gradient = {k: torch.zeros_like(v) for k, v in self.teacher.items()}
        for t in range(self.end):
            self.at = t
            step = self._show_forward(t)
            if t >= self.first:
                self.states.put(t, state)
            record = self.adjoint.records and t >= max(self.first, self.end - self.keep.tapes)
            state, tape = self.adjoint.advance(self.learner, state, step, record=record)
            if record:
                self.tapes[t] = tape
        return state

    def reverse(self, after: FlatState) -> FlatState | None:
        """The cotangent of the state before the first differentiated step; sums up the teacher's gradient."""
        cotangent = None
        for t in reversed(range(self.first, self.end)):
            self.at = t
            if t + 1 in self.real:
                loss, judged = self.adjoint.judge(self.learner, after, self.real[t + 1])
                self.losses[t + 1] = float(loss)
                cotangent = accumulate(cotangent, judged)
            before = self.states.take(t)
            if cotangent is not None:
                step = self.shown.pop(t, None) or show(self.episode, t)
                tape = self.tapes.pop(t, None)
                pulled = self.adjoint.pull_back(self.learner, before, after, step, cotangent, tape)
                self._teach(step, pulled)
                cotangent = pulled.state
            after = before
        return cotangent

    def advance_again(self, t: int, state: FlatState) -> FlatState:
        with torch.no_grad():
            step = show(self.episode, t)
        return self.adjoint.advance(self.learner, state, step).state

    def _show_forward(self, t: int) -> Step:
        keeps = t >= max(self.first, self.end - self.keep.generator)
        with torch.set_grad_enabled(keeps or (self.adjoint.records and t >= self.end - self.keep.tapes)):
            step = show(self.episode, t)
        if keeps:
            self.shown[t] = step
        return step

    def _teach(self, step: Step, pulled: Pulled) -> None:
        """The generator's vector-Jacobian product, added to the teacher's gradient."""
        pairs = [(v, c) for v, c in zip(step.inputs(), pulled.inputs, strict=True) if c is not None]
        if not pairs:
            return
        outputs, cotangents = zip(*pairs, strict=True)
        found = torch.autograd.grad(outputs, list(self.teacher.values()), cotangents, allow_unused=True)
        for total, part in zip(self.gradient.values(), found, strict=True):
            if part is not None:
                total.add_(part)

    @contextmanager
    def memory(self, where: str) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            raise OutOfMemory(
                f"No memory was left at inner step {self.at} of {self.end}, in {where}. The engine kept {self.keep}.",
                remedy="Lower teacher.curriculum.batch, meta.batch or engine.memory_budget, shorten engine.window, "
                "or set engine.offload to host or recompute.",
            ) from error


def show(episode: Episode, t: int) -> Step:
    return Step(t, episode.batch(t), episode.hyper(t))


def out_of_memory(error: BaseException) -> bool:
    """Whether a device, the allocator of a CPU or Python itself had no memory left."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or "can't allocate memory" in str(error) or "out of memory" in str(error)


def _measure(
    adjoint: Adjoint, learner: FlatLearner, state: FlatState, step: Step, episode: Episode, teacher: Tensors
) -> StepBytes:
    known: list[Tensor] = [*teacher.values(), *state.tensors()]
    generator = bytes_kept(lambda: show(episode, step.t).inputs(), known)
    tape = None
    if adjoint.records:
        tape = bytes_kept(lambda: adjoint.advance(learner, state, step, record=True).tape, [*known, *step.inputs()])
    return StepBytes(state.bytes(), generator, tape)
