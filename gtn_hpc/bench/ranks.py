"""Two processes that do meta-iterations together, alone, or at the same time without a word to each other."""

import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection as Pipe
from types import TracebackType
from typing import Any, Self

import torch

from gtn_hpc.bench.workloads import WORKLOADS, make_problem
from gtn_hpc.cluster.communicator import Communicator, SoloCommunicator
from gtn_hpc.cluster.connect import connect
from gtn_hpc.cluster.environment import Master, RankEnvironment
from gtn_hpc.cluster.reduction import FastReduction, has_norm
from gtn_hpc.config.teaching import Engine as EngineSection
from gtn_hpc.farm.kinship import die_with
from gtn_hpc.inner.build import make_engine

TIMEOUT = 300.0


@dataclass(frozen=True)
class Measured:
    """Seconds of a meta-iteration: two replicas on one rank, on two, one each in two strangers; and its exchanges."""

    one_rank: float
    two_ranks: float
    independent: float
    exchanges: float


class Pair:
    """Two ranks of one thread each, warmed up, on one workload."""

    def __init__(self, workload: str, steps: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            master = Master("127.0.0.1", probe.getsockname()[1])
        context = multiprocessing.get_context("spawn")
        self._pipes, self._processes = [], []
        for rank in range(2):
            ours, theirs = context.Pipe()
            place = RankEnvironment(rank, 2, rank, 2, "torchrun", master)
            self._processes.append(
                context.Process(target=_serve, args=(os.getpid(), theirs, place, workload, steps), daemon=True)
            )
            self._pipes.append(ours)

    @property
    def gradient_bytes(self) -> int:
        return int(self._ask("bytes", 0, ranks=1))

    def measure(self, count: int) -> Measured:
        """One after the other, each as the mean of `count` meta-iterations."""
        return Measured(
            one_rank=self._ask("two replicas", count, ranks=1),
            two_ranks=self._ask("together", count, ranks=2),
            independent=self._ask("one replica", count, ranks=2),
            exchanges=self._ask("exchanges", count, ranks=2),
        )

    def one_replica(self, count: int) -> float:
        return self._ask("one replica", count, ranks=1)

    def _ask(self, what: str, count: int, *, ranks: int) -> float:
        """What the slower of the first `ranks` needs."""
        for pipe in self._pipes[:ranks]:
            pipe.send((what, count))
        return max(float(pipe.recv()) for pipe in self._pipes[:ranks])

    def __enter__(self) -> Self:
        for process in self._processes:
            process.start()
        self._ask("together", 2, ranks=2)
        self._ask("two replicas", 1, ranks=2)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.send(("end", 0))
        for process in self._processes:
            process.join(TIMEOUT)


def _serve(parent: int, pipe: "Pipe[Any, Any]", place: RankEnvironment, workload: str, steps: int) -> None:
    die_with(parent)
    torch.set_num_threads(1)
    with connect("cpu", environment=place, timeout=TIMEOUT, meeting=TIMEOUT).communicator as together:
        alone, step = SoloCommunicator(), _Step(workload, steps)
        ways: dict[str, Callable[[], None]] = {
            "together": lambda: step(together, 2),
            "two replicas": lambda: step(alone, 2),
            "one replica": lambda: step(alone, 1),
            "exchanges": lambda: step.exchange(together, 2),
        }
        while (asked := pipe.recv())[0] != "end":
            what, count = asked
            pipe.send(step.bytes if what == "bytes" else _mean_seconds(ways[what], count))


def _mean_seconds(action: Callable[[], None], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        action()
    return (time.perf_counter() - began) / count


class _Step:
    """What `meta.loop` does in a meta-iteration, without drawing learners and images."""

    def __init__(self, workload: str, steps: int) -> None:
        self.problem = make_problem(WORKLOADS[workload], steps)
        self.engine = make_engine(EngineSection())
        self.like = {name: tensor.detach() for name, tensor in self.problem.teacher.items()}
        self.adam = torch.optim.Adam(self.problem.teacher.values(), lr=1e-6, foreach=True)
        self.bytes = sum(tensor.nbytes for tensor in self.like.values())

    def __call__(self, communicator: Communicator, replicas: int) -> None:
        reduction = self._reduction(communicator, replicas)
        for _ in communicator.replicas(replicas):
            found = self.engine(replace(self.problem.task, passed=reduction.passed), self.problem.teacher)
            reduction.add(found.gradient)
        mean = self._agreed(reduction)
        for name, parameter in self.problem.teacher.items():
            parameter.grad = mean[name]
        self.adam.step()

    def exchange(self, communicator: Communicator, replicas: int) -> None:
        reduction = self._reduction(communicator, replicas)
        for _ in communicator.replicas(replicas):
            reduction.add(self.like)
        self._agreed(reduction)

    def _reduction(self, communicator: Communicator, replicas: int) -> FastReduction:
        return FastReduction(communicator, self.like, replicas, self.problem.by_step)

    def _agreed(self, reduction: FastReduction) -> dict[str, torch.Tensor]:
        """One exchange says all that ranks have to agree on, see `meta.loop`."""
        mean = reduction.mean()
        has_norm(mean.values())
        return mean
