"""Traced steps as CUDA graphs: on a GPU the whole thing, without one what is copied when, by a stand-in for graphs."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gtn_hpc.bench.machine import Machine
from gtn_hpc.bench.methods import Method, make
from gtn_hpc.bench.workloads import WORKLOADS, make_problem
from gtn_hpc.inner import graphed
from gtn_hpc.inner.optimisers import SGD, Adam, InnerOptimiser
from gtn_hpc.inner.unrolled import Unrolled


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
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


def test_a_replay_sees_new_values_and_its_results_are_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []

    def program(*values: Tensor) -> Sequence[Tensor | None]:
        ran.append(len(values))
        return [values[0] * values[1], None, values[1] + 1]

    class Stream:
        def wait_stream(self, other: object) -> None: ...

    class Graph:
        def replay(self) -> None:
            for made, again in zip(under_test._made, program(*under_test._given), strict=True):
                if made is not None and again is not None:
                    made.copy_(again)

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", contextlib.nullcontext)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", contextlib.nullcontext)
    under_test = graphed.Graphed(program)
    kept = [under_test(torch.tensor(float(a)), torch.tensor(float(a + 1))) for a in range(6)]
    assert [[None if v is None else float(v) for v in made] for made in kept] == [
        [a * (a + 1.0), None, a + 2.0] for a in range(6)
    ]
    assert len(ran) == 2 + 1 + 4
