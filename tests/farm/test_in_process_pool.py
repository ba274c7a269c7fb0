"""The pools that need no other process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat

import pytest

from gtn_hpc.farm import InProcess, Pool, Threads, results


class Reciprocal:
    def __init__(self) -> None:
        self.opened: list[int] = []
        self.closed = 0

    @contextmanager
    def open(self, rank: int) -> Iterator[Callable[[int], float]]:
        self.opened.append(rank)
        yield lambda task: 1 / task
        self.closed += 1


def test_tasks_share_what_was_opened_once_and_it_is_closed() -> None:
    work = Reciprocal()
    with InProcess(work, rank=3) as pool:
        assert [pool.submit(task).result() for task in (1, 2, 4)] == [1.0, 0.5, 0.25]
        assert work.opened == [3]
        assert work.closed == 0
    assert work.closed == 1


def test_a_failing_task_raises_from_its_future_and_the_pool_goes_on() -> None:
    with InProcess(Reciprocal()) as pool:
        future = pool.submit(0)
        assert future.done()
        with pytest.raises(ZeroDivisionError):
            future.result()
        assert pool.submit(5).result() == 0.2


def test_results_take_tasks_only_as_workers_are_free() -> None:
    taken = []

    def tasks() -> Iterator[int]:
        for task in (1, 2, 4):
            taken.append(task)
            yield task

    with InProcess(Reciprocal()) as pool:
        found = results(pool, tasks())
        assert next(found) == 1.0
        assert taken == [1]
        assert list(found) == [0.5, 0.25]


@pytest.mark.parametrize("pool", [InProcess(Reciprocal()), Threads(Reciprocal(), 2)])
def test_where_no_task_is_to_be_had_now_results_come_and_it_is_asked_again(pool: Pool[int, float]) -> None:
    with pool:
        assert list(results(pool, iter([None, 2, None, 4]))) == [0.5, 0.25]


def test_a_failure_is_raised_while_no_task_is_to_be_had() -> None:
    with Threads(Reciprocal(), 2) as pool, pytest.raises(ZeroDivisionError):
        list(results(pool, chain([0], repeat(None))))
