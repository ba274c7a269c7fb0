"""Traced steps as CUDA graphs: on a GPU the whole thing, without one what is copied when, by a stand-in for graphs."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import needs
import pytest
import torch
from meta_tasks import make_learner, make_task, make_teacher
from torch import Tensor

from gtn_hpc.bench.machine import Machine
from gtn_hpc.bench.methods import Method, make
from gtn_hpc.bench.workloads import WORKLOADS, make_problem
from gtn_hpc.core.errors import DeviceLost, OutOfMemory
from gtn_hpc.core.records import Batch, Hyper
from gtn_hpc.inner import graphed, traced
from gtn_hpc.inner.auto import Preferring, make_adjoint
from gtn_hpc.inner.optimisers import SGD, Adam, InnerOptimiser
from gtn_hpc.inner.record import Program
from gtn_hpc.inner.reverse import Reverse
from gtn_hpc.inner.traced import Traced
from gtn_hpc.inner.trajectory import Trajectory
from gtn_hpc.inner.unrolled import Unrolled
from gtn_hpc.training.steppers import GraphedSteps

MIB = 1 << 20


@needs.GPU
@pytest.mark.parametrize("optimiser", [SGD(), Adam(beta2=0.99, eps=1e-6)], ids=["sgd", "adam"])
def test_cuda_graphs_give_the_gradient_of_the_whole_graph(optimiser: InnerOptimiser) -> None:
    problem = make_problem(WORKLOADS["overhead"], 6, machine=Machine("cuda", "float64"))
    learner = replace(problem.task.learner, optimiser=optimiser)
    task = replace(problem.task, learner=learner, initial=learner.initial_state())
    expected = Unrolled()(task, problem.teacher).gradient
    for mode in ("flat+graphs", "keep_generator+graphs"):
        found = make(Method("trajectory/kit", mode))(task, problem.teacher).gradient
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-12)


def large(mib: int) -> Program:
    """Needs twice as many MiB on its way from one number to another."""
    return lambda x: [(2 * x.repeat(mib * MIB // 4)).amax()]


def results(under_test: graphed.Graphed) -> list[float | None]:
    return [float(under_test(torch.tensor(float(a), device="cuda"))[0]) for a in range(5)]  # type: ignore[arg-type]


@needs.GPU
def test_graphs_of_several_shapes_reserve_little_more_than_the_largest() -> None:
    graphs = graphed.Graphs()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    recorded = [graphs.record(large(mib)) for mib in (64, 60, 56, 52, 48, 44)]
    for _ in range(2):
        assert all(results(under_test) == [0.0, 2.0, 4.0, 6.0, 8.0] for under_test in recorded)
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() - before < 256 * MIB


@needs.GPU
def test_without_memory_graphs_are_given_up_and_captured_again_on_a_gpu() -> None:
    graphs = graphed.Graphs()
    first, second = graphs.record(large(64)), graphs.record(large(96))
    assert results(first) == [0.0, 2.0, 4.0, 6.0, 8.0]
    torch.cuda.empty_cache()
    room = (torch.cuda.memory_reserved() + 128 * MIB) / torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(room)
    try:
        assert results(second) == [0.0, 2.0, 4.0, 6.0, 8.0]
        assert first._graph is None
        assert results(first) == [0.0, 2.0, 4.0, 6.0, 8.0]
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@needs.TWO_GPUS
def test_graphs_on_a_gpu_that_was_not_the_current_one_are_not_empty() -> None:
    under_test = graphed.Graphs().record(lambda x: [3 * x])
    with torch.cuda.device(0):
        found = [float(under_test(torch.tensor(float(a), device="cuda:1"))[0]) for a in range(5)]  # type: ignore[arg-type]
    assert found == [0.0, 3.0, 6.0, 9.0, 12.0]
    Machine("cuda:1").use()
    assert torch.cuda.current_device() == 1
    Machine("cuda:0").use()


class StandIn:
    """For what a GPU has and a CPU has not; writes down the pools and devices that torch is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pools: list[int] = []
        self.streams: list[object] = []
        handles = itertools.count(1)
        stand_in = self

        class Stream:
            def __init__(self, device: object = None) -> None:
                stand_in.streams.append(device)

            def wait_stream(self, other: object) -> None: ...

        class Graph:
            replay: Callable[[object], None]

        @contextlib.contextmanager
        def graph(made: Graph, pool: int, stream: Stream) -> Iterator[None]:
            yield
            self.pools.append(pool)

        current = Stream()
        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current)
        monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: None)
        monkeypatch.setattr(torch.cuda, "stream", contextlib.nullcontext)
        monkeypatch.setattr(torch.cuda, "device", contextlib.nullcontext)
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: next(handles))
        monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
        monkeypatch.setattr(torch.cuda, "graph", graph)
        graphed.side_stream.cache_clear()
        self.streams.clear()


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    yield StandIn(monkeypatch)
    graphed.side_stream.cache_clear()


def call(under_test: graphed.Graphed, *values: Tensor) -> list[float | None]:
    """What a call gives; a replay within it runs the program again."""

    def replay(graph: object) -> None:
        for made, found in zip(under_test._made, under_test._program(*under_test._given), strict=True):
            if made is not None and found is not None:
                made.copy_(found)

    torch.cuda.CUDAGraph.replay = replay  # type: ignore[assignment, method-assign]
    return [None if made is None else float(made) for made in under_test(*values)]


def calls(under_test: graphed.Graphed, count: int) -> list[float | None]:
    """The first results of as many calls with 0, 1, ..."""
    return [call(under_test, torch.tensor(float(a)))[0] for a in range(count)]


def test_a_replay_sees_new_values_and_its_results_are_the_callers(stand_in: StandIn) -> None:
    ran: list[int] = []
    given = [(torch.tensor(float(a)), torch.tensor(float(a + 1))) for a in range(6)]
    foreign = {value.data_ptr() for pair in given for value in pair}

    def program(*values: Tensor) -> Sequence[Tensor | None]:
        assert not {value.data_ptr() for value in values} & foreign
        ran.append(len(values))
        return [values[0] * values[1], None, values[1] + 1]

    under_test = graphed.Graphs().record(program)
    assert [call(under_test, *pair) for pair in given] == [[a * (a + 1.0), None, a + 2.0] for a in range(6)]
    assert len(ran) == 2 + 1 + 4


def test_graphs_of_one_adjoint_share_a_pool_and_all_graphs_a_stream(stand_in: StandIn) -> None:
    adjoint = make_adjoint("kit", graphs=True)
    assert isinstance(adjoint, Preferring) and isinstance(adjoint.first, Traced) and isinstance(adjoint.second, Traced)
    shared = adjoint.first.graphs
    assert shared is not None and shared is adjoint.second.graphs
    for graphs in (shared, shared, graphed.Graphs()):
        assert calls(graphs.record(lambda x: [2 * x]), 4) == [0.0, 2.0, 4.0, 6.0]
    assert stand_in.pools == [1, 1, 2]
    assert stand_in.streams == [torch.device("cpu")]


def short_of_memory(at: int) -> Program:
    """Adds one; there is no memory for the run with this number, counted from 1."""
    runs = itertools.count(1)

    def program(x: Tensor) -> Sequence[Tensor | None]:
        if next(runs) == at:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [x + 1]

    return program


def test_a_capture_without_memory_gives_all_graphs_up_and_they_are_captured_again(stand_in: StandIn) -> None:
    graphs = graphed.Graphs()
    first, second = graphs.record(lambda x: [3 * x]), graphs.record(short_of_memory(3))
    assert calls(first, 4) == [0.0, 3.0, 6.0, 9.0]
    assert calls(second, 3) == [1.0, 2.0, 3.0]
    assert first._graph is None and second._graph is None and stand_in.pools == [1]
    assert calls(first, 4) == [0.0, 3.0, 6.0, 9.0]
    assert calls(second, 9) == [a + 1.0 for a in range(9)]
    assert stand_in.pools == [1, 2, 2]


def test_a_capture_that_broke_off_is_not_replayed(stand_in: StandIn) -> None:
    under_test = graphed.Graphs().record(short_of_memory(3))
    assert calls(under_test, 3) == [1.0, 2.0, 3.0]
    assert under_test._graph is None and stand_in.pools == []
    assert calls(under_test, 9) == [a + 1.0 for a in range(9)]
    assert under_test._graph is not None and len(stand_in.pools) == 1


def test_what_fits_but_for_its_capture_runs_without_and_tries_less_and_less(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Tensor] = []
    tried: list[int] = []

    def program(x: Tensor) -> Sequence[Tensor | None]:
        ran.append(x)
        return [x + 1]

    def no_room(device: torch.device, work: Callable[[], object], pool: object) -> object:
        tried.append(len(ran))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(graphed, "capture", no_room)
    assert calls(graphed.Graphs().record(program), 60) == [a + 1.0 for a in range(60)]
    assert tried == [2, 11, 44] and len(ran) == 60


def test_a_plain_call_without_memory_is_an_error_where_no_graph_gives_any_back(stand_in: StandIn) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        calls(graphed.Graphs().record(short_of_memory(2)), 2)


def test_memory_that_ends_where_graphs_are_kept_names_the_shapes_of_learners() -> None:
    def show(steps: range) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    task = make_task(make_learner(), make_teacher(3))
    task = replace(task, episode=replace(task.episode, show=show))
    for graphs in (False, True):
        with pytest.raises(OutOfMemory) as caught:
            Trajectory(make_adjoint("auto", graphs=graphs))(task, {})
        for key in ("learners.width_quantum", "engine.cuda_graphs=false"):
            assert (key in str(caught.value.remedy)) == graphs


def test_a_step_that_cannot_be_captured_is_a_lost_device_and_one_without_memory_is_not(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, batch = make_learner(dtype=torch.float32), Batch(torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0]))
    hyper = Hyper(torch.tensor(0.1), torch.tensor(0.5))

    def steps(said: str) -> None:
        @contextlib.contextmanager
        def graph(*_: object, **__: object) -> Iterator[None]:
            yield
            raise RuntimeError(said)

        monkeypatch.setattr(torch.cuda, "graph", graph)
        stepper = GraphedSteps(learner, learner.initial_state(), Reverse())
        for t in range(3):
            stepper.step(t, batch, hyper)

    with pytest.raises(DeviceLost, match="CUDA graph: operation not permitted when stream is capturing"):
        steps("operation not permitted when stream is capturing\nmore")
    with pytest.raises(RuntimeError, match="CUDA error: out of memory"):
        steps("CUDA error: out of memory")


def test_no_graph_of_an_adjoint_ends_alone(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full, the adjoint forgets all its graphs at once, and the older half of its programs."""
    monkeypatch.setattr(traced, "CACHED", 3)
    adjoint = Traced(Reverse(), graphs=graphed.Graphs())
    assert adjoint.graphs is not None
    for key in range(3):
        adjoint._remember(key, "advance", lambda *values: [2 * values[0]], [torch.ones(1)], adjoint.graphs)
        under_test = adjoint.programs[key]
        assert isinstance(under_test, graphed.Graphed)
        assert calls(under_test, 4) == [0.0, 2.0, 4.0, 6.0]
    kept = [program for program in adjoint.programs.values() if isinstance(program, graphed.Graphed)]
    assert all(program._graph is not None for program in kept)
    adjoint._remember(3, "advance", lambda *values: [2 * values[0]], [torch.ones(1)], adjoint.graphs)
    assert list(adjoint.programs) == [2, 3]
    assert all(program._graph is None for program in kept)
    assert calls(kept[2], 4) == [0.0, 2.0, 4.0, 6.0]
