"""The trajectory engine: run the learner without graphs, then pull the meta-loss back, one step at a time.

Exact, for any learner. The derivation, and what it costs, is in docs/engine.md.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import torch

from gtn_hpc.core.errors import OutOfMemory
from gtn_hpc.core.records import Batch
from gtn_hpc.inner.adjoint import Adjoint, accumulate
from gtn_hpc.inner.engine import Engine, Episode, MetaGradient, Task
from gtn_hpc.inner.flat import FlatLearner, FlatState
from gtn_hpc.inner.keeping import NOTHING, Keep, StepBytes, bytes_kept, within
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.inner.showing import Showing, group_size, show
from gtn_hpc.inner.states import make_states

log = logging.getLogger(__name__)


@dataclass
class Trajectory(Engine):
    """Memory grows by one state a step (.4 MiB on the workload W1), by more only as `keep` or `budget` allow.

    `budget` (bytes) overrides `keep`; what it chose stands in the result, and for the first learner in the log.
    `window` differentiates the last W steps only.
    """

    adjoint: Adjoint
    keep: Keep = NOTHING
    budget: int | None = None
    window: int | None = None
    offload: str = "no"
    _bytes: dict[tuple[object, ...], int] = field(default_factory=dict, repr=False)
    _logged: bool = field(default=False, repr=False)

    def __call__(self, task: Task, teacher: Tensors, *, wrt_initial: bool = False) -> MetaGradient:
        graphs, steps = self.adjoint.keeps_graphs, task.episode.steps
        with _telling("preparation", lambda: f"inner step 0 of {steps}", "nothing yet", graphs=graphs):
            run = self._start(task, teacher)
        with run.memory("the forward loop"):
            state = run.forward()
        with run.memory("the reverse loop"):
            cotangent = run.reverse(state)
        initial = cotangent.theta if run.first == 0 else torch.zeros_like(cotangent.theta)
        named = run.learner.params(initial) if wrt_initial else {}
        return MetaGradient(run.losses, run.showing.gradient, named, kept=str(run.keep))

    def _start(self, task: Task, teacher: Tensors) -> "_Run":
        learner, steps = FlatLearner(task.learner), task.episode.steps
        window = min(self.window or steps, steps)
        initial = learner.pack(task.initial)
        generator = self._generator_bytes(task.episode, teacher)
        keep = self._keep(task, learner, initial, generator, window)
        showing = Showing(task.episode, teacher, steps, group_size(task.episode, generator), passed=task.passed)
        return _Run(self.adjoint, learner, initial, showing, task.real, steps - window, steps, keep, self.offload)

    def _generator_bytes(self, episode: Episode, teacher: Tensors) -> int:
        """Of the graph of a step that is shown; measured once for a teacher's shapes."""
        key = (episode.steps, *((k, v.shape) for k, v in teacher.items()))
        if key not in self._bytes:
            known = list(teacher.values())
            self._bytes[key] = bytes_kept(lambda: [s.inputs() for s in show(episode, range(1))], known)
        return self._bytes[key]

    def _keep(self, task: Task, learner: FlatLearner, initial: FlatState, generator: int, steps: int) -> Keep:
        if self.budget is None:
            return self.keep
        key = ("tape", *learner.shapes.items())
        if self.adjoint.records and key not in self._bytes:
            with torch.no_grad():
                (step,) = show(task.episode, range(1))
            known = [*initial.tensors(), *step.inputs()]
            self._bytes[key] = bytes_kept(lambda: self.adjoint.advance(learner, initial, step, record=True).tape, known)
        keep = within(self.budget, steps, StepBytes(initial.bytes(), generator, self._bytes.get(key)))
        if not self._logged:
            self._logged = True
            log.info("of a budget of %d bytes the engine keeps %s", self.budget, keep)
        return keep


@dataclass
class _Run:
    """One meta-gradient on its way: steps `first` to `end` are differentiated."""

    adjoint: Adjoint
    learner: FlatLearner
    initial: FlatState
    showing: Showing
    real: Mapping[int, Batch]
    first: int
    end: int
    keep: Keep
    offload: str
    losses: dict[int, float] = field(default_factory=dict)
    at: int = 0

    def __post_init__(self) -> None:
        self.states = make_states(self.offload, self.end - self.first, self.advance_again)
        self.tapes: dict[int, object] = {}
        self.tapes_from = max(self.first, self.end - self.keep.tapes) if self.adjoint.records else self.end
        self.showing.keep_from = max(self.first, self.end - self.keep.generator)
        self.showing.grad_from = self.tapes_from

    def forward(self) -> FlatState:
        """Trains the learner; keeps the states, and of the last steps what is to be kept."""
        state = self.initial
        for t in range(self.end):
            self.at = t
            step = self.showing.forward(t)
            if t >= self.first:
                self.states.put(t, state)
            record = t >= self.tapes_from
            state, tape = self.adjoint.advance(self.learner, state, step, record=record)
            if record:
                self.tapes[t] = tape
        return state

    def reverse(self, after: FlatState) -> FlatState:
        """The cotangent of the state before the first differentiated step; sums up the teacher's gradient."""
        cotangent = self._judge(self.end, after)
        for t in reversed(range(self.first, self.end)):
            self.at = t
            if t + 1 in self.real and t + 1 < self.end:
                cotangent = accumulate(cotangent, self._judge(t + 1, after))
            before, step = self.states.take(t), self.showing.backward(t)
            pulled = self.adjoint.pull_back(self.learner, before, after, step, cotangent, self.tapes.pop(t, None))
            self.showing.teach(step, pulled.inputs, last=t == self.first)
            cotangent, after = pulled.state, before
        return cotangent

    def _judge(self, steps: int, state: FlatState) -> FlatState:
        """The cotangent of `state`, after that many steps; writes down the loss."""
        loss, cotangent = self.adjoint.judge(self.learner, state, self.real[steps])
        self.losses[steps] = float(loss)
        return cotangent

    def advance_again(self, t: int, state: FlatState) -> FlatState:
        return self.adjoint.advance(self.learner, state, self.showing.forward(t)).state

    def memory(self, where: str) -> AbstractContextManager[None]:
        kept, graphs = str(self.keep), self.adjoint.keeps_graphs
        return _telling(where, lambda: f"inner step {self.at} of {self.end}", kept, graphs=graphs)


@contextmanager
def _telling(where: str, at: Callable[[], str], kept: str, *, graphs: bool) -> Iterator[None]:
    """An error that says where memory ended, and what helps."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise OutOfMemory(
            f"No memory was left at {at()}, in {where}. The engine kept {kept}.",
            remedy="Lower engine.memory_budget or set engine.offload to host or recompute, with which the run goes on "
            "from its last checkpoint; else begin anew: lower meta.batch, teacher.curriculum.batch or engine.window"
            + (_FEWER_GRAPHS if graphs else "."),
        ) from error


_FEWER_GRAPHS = (
    ", raise learners.width_quantum, or set engine.cuda_graphs=false: each shape of learner has graphs of its own."
)


def out_of_memory(error: BaseException) -> bool:
    """Whether a device, the allocator of a CPU or Python itself had no memory left."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    said = (*_WORDS, *(_WORDS_ON_A_GPU if torch.cuda.is_available() else ()))
    return known or any(words in str(error) for words in said)


_WORDS = (
    "can't allocate memory",
    "out of memory",
    "could not create a primitive",
    "could not execute a primitive",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""What the allocators of torch say, and oneDNN, cuBLAS and cuDNN, whose kernels allocate for themselves."""

_WORDS_ON_A_GPU = ("unable to find an engine",)
"""What cuDNN says where no algorithm has the room that it needs."""
