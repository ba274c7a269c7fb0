"""Who gets the next task of a pool over ranks, and what a broken exchange does to those that wait."""

from concurrent.futures import Future

import pytest

from gtn_hpc.cluster.environment import RankEnvironment
from gtn_hpc.farm.mpi import Ranks, _Desk


def desk(waiting, typical=float("inf")):
    made = _Desk(2, typical=typical)
    made.waiting.extend((Future(), number) for number in range(waiting))
    return made


def send(made):
    rank = made.next_rank()
    if rank is not None:
        made.under_way[rank].append(made.waiting.popleft()[0])
    return rank


def test_long_tasks_wait_for_a_free_worker():
    made = desk(6)
    assert [send(made) for _ in range(3)] == [1, 2, None]
    made.under_way[2].popleft()
    assert send(made) == 2


def test_short_ones_are_sent_ahead_but_for_the_last():
    made = desk(6, typical=0.01)
    assert [send(made) for _ in range(5)] == [1, 2, 1, 2, None]
    assert len(made.waiting) == 2
    made.under_way[1].popleft()
    assert send(made) is None
    made.under_way[1].popleft()
    assert send(made) == 1


def test_what_counts_as_short_follows_the_tasks():
    made = desk(0)
    made.note(0.01)
    assert made.typical == 0.01
    for _ in range(12):
        made.note(10.0)
    assert made.typical > 0.25


class Broken:
    def send(self, value, rank):
        raise OSError("no route")


def test_a_broken_exchange_fails_every_task():
    pool = Ranks(RankEnvironment(0, 3, 0, 3, "openmpi", None))
    pool._post = Broken()
    first, second = pool.submit("a"), pool.submit("b")
    pool._attend()
    for future in (first, second):
        with pytest.raises(OSError, match="no route"):
            future.result(0)
    with pytest.raises(OSError, match="no route"):
        pool.submit("c")
