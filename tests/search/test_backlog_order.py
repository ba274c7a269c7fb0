"""What waits is taken in the order of a plain list that is sorted anew each time, at the cost of a few predictions."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from gtn_hpc.cluster.deadline import Deadline
from gtn_hpc.config.searching import ConvSpace
from gtn_hpc.core.records import ImageShape
from gtn_hpc.search.backlog import Backlog
from gtn_hpc.search.costs import FIRST, Costs, Size
from gtn_hpc.spaces import make_space
from gtn_hpc.training.request import Request

SPACE = make_space(ConvSpace(), ImageShape(1, 8, 8), 10)
RNG = np.random.default_rng(0)
ARCHITECTURES = [SPACE.canonical(SPACE.sample(RNG)) for _ in range(6)]


@cache
def parameters_and_flops(which: int) -> tuple[int, int]:
    return SPACE.params(ARCHITECTURES[which]), SPACE.flops(ARCHITECTURES[which])


def size_of(request: Request) -> Size:
    return Size(*parameters_and_flops(ARCHITECTURES.index(request.arch)), request.fidelity)


def request_of(rng: np.random.Generator) -> Request:
    """Few sizes, so that some are equal; `ask` tells requests apart."""
    return Request(ARCHITECTURES[rng.integers(6)], int(rng.integers(1, 4)), ask=int(rng.integers(1 << 40)))


class Left(Deadline):
    """A clock that tests set."""

    seconds = 1e9

    @property
    def left(self) -> float:
        return Left.seconds


@pytest.fixture(autouse=True)
def without_end() -> Iterator[None]:
    Left.seconds = 1e9
    yield
    Left.seconds = 1e9


@dataclass
class Plain:
    """The rule in words: the longest of those that end in time, the first added among equals."""

    costs: Costs
    waiting: list[tuple[float, int, Request]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))
    predicted_at: int = 0

    def length(self, request: Request) -> float:
        seconds = self.costs.seconds(size_of(request))
        return size_of(request).work if seconds is None else seconds

    def add(self, request: Request) -> None:
        self.waiting.append((self.length(request), next(self.numbers), request))

    def fits(self, request: Request) -> bool:
        return 1.25 * (self.costs.seconds(size_of(request)) or 0.0) <= Left.seconds

    def take(self) -> Request | None:
        known, before = self.costs.count, self.predicted_at
        if known >= 1.1 * before + 1 or before < FIRST <= known:
            self.waiting = [(self.length(request), number, request) for _, number, request in self.waiting]
            self.predicted_at = known
        for entry in sorted(self.waiting, key=lambda entry: (-entry[0], entry[1])):
            if self.fits(entry[2]):
                self.waiting.remove(entry)
                return entry[2]
        return None


@pytest.mark.parametrize("seed", range(15))
def test_the_order_is_that_of_a_list_sorted_each_time(seed: int) -> None:
    """With times that are learnt on the way and a deadline that comes and goes."""
    rng, backlog = np.random.default_rng(seed), Backlog(SPACE, Left(0.0))
    plain, taken = Plain(backlog.costs), 0
    for _ in range(200):
        what = rng.integers(6)
        if what < 2:
            some = [request_of(rng) for _ in range(rng.integers(1, 5))]
            if what:
                backlog.extend(some)
            for request in some:
                plain.add(request)
                if not what:
                    backlog.add(request)
        elif what == 2:
            backlog.costs.learn(size_of(request_of(rng)), float(rng.uniform(0.1, 5.0)))
        elif what == 3:
            Left.seconds = float(rng.choice([-1.0, 1.0, 3.0, 6.0, 1e9]))
        else:
            assert backlog.late == (not any(plain.fits(request) for _, _, request in plain.waiting))
            found = backlog.take()
            assert found is plain.take()
            taken += found is not None
        assert len(backlog) == len(plain.waiting)
    assert taken > 20


def test_while_nothing_is_learnt_each_take_is_the_first_of_a_stable_sort() -> None:
    rng, backlog = np.random.default_rng(1), Backlog(SPACE)
    for _ in range(10):
        backlog.costs.learn(size_of(request_of(rng)), float(rng.uniform(0.1, 5.0)))
    backlog.take()
    waiting: list[Request] = []
    for _ in range(100):
        for request in (request_of(rng), request_of(rng)):
            backlog.add(request)
            waiting.append(request)
        waiting.sort(key=lambda request: backlog.costs.seconds(size_of(request)) or 0.0, reverse=True)
        assert backlog.take() is waiting.pop(0)
    assert list(backlog.rest()) == waiting


class Counting(Costs):
    predicted = 0

    def seconds_of(self, features: NDArray[np.float64]) -> NDArray[np.float64] | None:
        self.predicted += int(np.prod(features.shape[:-1]))
        return super().seconds_of(features)


@pytest.mark.parametrize("deadline", [None, Left(0.0)])
def test_a_thousand_that_wait_cost_no_more_to_ask_than_one(deadline: Deadline | None) -> None:
    rng, backlog = np.random.default_rng(2), Backlog(SPACE, deadline)
    costs = backlog.costs = Counting()
    for _ in range(50):
        costs.learn(size_of(request_of(rng)), float(rng.uniform(0.1, 5.0)))
    for _ in range(1000):
        backlog.add(request_of(rng))
    backlog.take()
    costs.predicted = 0
    for _ in range(20):
        backlog.add(request_of(rng))
        assert backlog.take() is not None
    assert costs.predicted <= 40
    for _ in range(100):
        costs.learn(size_of(request_of(rng)), float(rng.uniform(0.1, 5.0)))
        backlog.take()
    assert costs.predicted <= 40 + 100 + 13 * 1000
