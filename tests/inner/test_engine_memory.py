"""What the engine adds to a process, measured in processes of their own; cell networks; the end of memory."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from meta_tasks import CLASSES, IMAGE, PARTS, make_learner, make_task, make_teacher, parameters, part, relative_error

from gtn_hpc.config.searching import NaoCellSpace
from gtn_hpc.core.errors import OutOfMemory
from gtn_hpc.core.records import ImageShape
from gtn_hpc.inner.auto import make_adjoint
from gtn_hpc.inner.engine import Task
from gtn_hpc.inner.flat import FlatLearner
from gtn_hpc.inner.keeping import EVERYTHING, bytes_kept
from gtn_hpc.inner.reverse import Reverse
from gtn_hpc.inner.trajectory import Trajectory, out_of_memory
from gtn_hpc.inner.unrolled import Unrolled
from gtn_hpc.models.layers import initialise
from gtn_hpc.models.networks import build_network
from gtn_hpc.spaces import make_space

Launch = Callable[..., "subprocess.CompletedProcess[str]"]

GROWTH = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import torch
from test_engine_memory import nao_task
from gtn_hpc.inner.auto import make_adjoint
from gtn_hpc.inner.flat import FlatLearner
from gtn_hpc.inner.trajectory import Trajectory

torch.set_num_threads(1)
engine = Trajectory(make_adjoint("reverse"))

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

def peak(steps):
    task, teacher = nao_task(steps, torch.float32, ImageShape(3, 8, 8), 8, learned=False)
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    engine(task, teacher)
    return status("VmHWM") - before

from gtn_hpc.core.records import ImageShape
peak(2)
peaks = [(peak(4), peak(20)) for _ in range(4)]
growth = min(long - short for short, long in peaks) / 16  # the heap's holes come on top, fewer or more of them
task, _ = nao_task(1, torch.float32, ImageShape(3, 8, 8), 8, learned=False)
state = FlatLearner(task.learner).pack(task.initial).bytes()
batch = sum(v.numel() * v.element_size() for v in task.episode.batch(0))
print(growth, state + batch)
"""

EXHAUSTED = """
import resource
from pathlib import Path
import torch
from gtn_hpc.bench.workloads import WORKLOADS, make_problem
from gtn_hpc.inner.auto import make_adjoint
from gtn_hpc.inner.trajectory import Trajectory

torch.set_num_threads(1)
engine = Trajectory(make_adjoint("auto"))
small = make_problem(WORKLOADS["overhead"], 2)
engine(small.task, small.teacher)
problem = make_problem(WORKLOADS["w1"], 3)
lines = Path("/proc/self/status").read_text().splitlines()
used = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (used + {mib} * 2**20,) * 2)
engine(problem.task, problem.teacher)
"""


def nao_task(
    steps: int, dtype: torch.dtype, image: ImageShape, batch: int, *, learned: bool = True
) -> tuple[Task, dict[str, torch.Tensor]]:
    """A NAO cell network with N=1, F=8, taught for some steps."""
    section = NaoCellSpace(cells=1, filters=8)
    space = make_space(section, image, CLASSES)
    architecture = space.canonical(space.sample(np.random.default_rng(0)))
    module = build_network(section, architecture, image, CLASSES)
    initialise(module, torch.Generator().manual_seed(0)).to(dtype)
    teacher = make_teacher(steps, batch=batch, image=image, dtype=dtype)
    task = make_task(replace(make_learner(), module=module), teacher, image=image)
    names = parameters(teacher)
    return task, names if learned else {k: v for k, v in names.items() if k.startswith("schedule")}


@pytest.mark.parametrize("name", ["reverse", "auto"])
def test_a_cell_network_is_exact(name: str) -> None:
    task, teacher = nao_task(8, torch.float64, IMAGE, 4)
    expected = Unrolled()(task, teacher, wrt_initial=True)
    found = Trajectory(make_adjoint(name))(task, teacher, wrt_initial=True)
    for wanted in PARTS[:-1]:
        assert relative_error(part(found.gradient, wanted), part(expected.gradient, wanted)) < 1e-10, wanted
    assert relative_error(part(found.initial, ""), part(expected.initial, "")) < 1e-10


def test_a_step_of_a_cell_network_adds_its_state_and_batch_at_most(launch: Launch) -> None:
    program = GROWTH.format(here=str(__import__("pathlib").Path(__file__).parent))
    done = launch([sys.executable, "-c", program], timeout=280, environ={"MALLOC_MMAP_THRESHOLD_": "65536"})
    growth, allowed = map(float, done.stdout.split())
    assert 0 < growth <= 1.1 * allowed


@pytest.mark.parametrize(
    ("mib", "where", "kept"),
    [
        (40, "the forward loop", "the states alone"),
        (100, "the reverse loop", "the states alone"),
    ],
)
def test_out_of_memory_says_where_what_was_kept_and_what_helps(launch: Launch, mib: int, where: str, kept: str) -> None:
    done = launch([sys.executable, "-c", EXHAUSTED.format(mib=mib)], timeout=120, check=False)
    assert done.returncode == 1
    said = done.stderr.splitlines()
    message = next(i for i, line in enumerate(said) if line.startswith("gtn_hpc.core.errors.OutOfMemory"))
    assert "No memory was left at inner step" in said[message]
    assert where in said[message]
    assert f"The engine kept {kept}." in said[message]
    assert "engine.memory_budget" in said[message + 1]
    assert "engine.offload" in said[message + 1]


def test_a_teacher_that_finds_no_memory_is_told_of_before_the_first_step() -> None:
    def show(steps: range) -> None:
        raise RuntimeError("could not create a primitive")

    teacher = make_teacher(3)
    task = make_task(make_learner(), teacher)
    with pytest.raises(OutOfMemory, match=r"step 0 of 3, in preparation\. The engine kept nothing yet"):
        Trajectory(Reverse())(replace(task, episode=replace(task.episode, show=show)), parameters(teacher))


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("none"), RuntimeError("CUDA error: out of memory")]
)
def test_errors_of_allocators_are_those_of_memory(error: BaseException) -> None:
    assert out_of_memory(error)
    for said in ("CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "error: CUDNN_STATUS_ALLOC_FAILED"):
        assert out_of_memory(RuntimeError(said))
    engine = RuntimeError("GET was unable to find an engine to execute this computation")
    assert out_of_memory(engine) == torch.cuda.is_available()
    assert not out_of_memory(RuntimeError("CUBLAS_STATUS_NOT_INITIALIZED"))


def test_bytes_of_a_graph_are_counted() -> None:
    x = torch.zeros(1000, requires_grad=True)
    y = torch.ones(1000)
    assert bytes_kept(lambda: (x * y).exp(), [x]) == 4000 + 4000
    assert bytes_kept(lambda: (x * y).exp(), [x, y]) == 4000


def test_tapes_cost_memory_and_change_nothing() -> None:
    teacher = make_teacher(3)
    task = make_task(make_learner(), teacher)
    flat, kept = Trajectory(Reverse()), Trajectory(Reverse(), keep=EVERYTHING)
    first, second = flat(task, parameters(teacher)), kept(task, parameters(teacher))
    assert all(torch.equal(first.gradient[k], second.gradient[k]) for k in first.gradient)
    learner = FlatLearner(task.learner)
    state = learner.pack(task.initial)
    assert state.bytes() == 8 * (2 * sum(learner.sizes) + sum(v.numel() for v in state.buffers.values()))
