"""Children: whatever a task does ends the child at most, and no child outlives its parent."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from farm_tasks import Trouble

from gtn_hpc.core.errors import ClusterError, DataError
from gtn_hpc.farm import Threads, results
from gtn_hpc.farm.child import Bounds, Child, ChildDied, Nursery
from gtn_hpc.farm.isolation import Isolated


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    here, path = str(Path(__file__).parent), os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = here if path is None else f"{here}{os.pathsep}{path}"
    os.environ["PMIX_RANK"] = "1"
    with Nursery(["farm_tasks"]) as made:
        del os.environ["PMIX_RANK"]
        if path is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = path
        yield made


def verdict(_: object, death: ChildDied) -> tuple[str, str]:
    return death.status, death.detail


UNBOUNDED = Bounds()


def isolated(nursery: Nursery, bounds: Bounds = UNBOUNDED) -> Isolated[Any, Any]:
    return Isolated(Trouble(), nursery, verdict, bounds)


def test_one_child_does_task_after_task_in_another_process(nursery: Nursery) -> None:
    with isolated(nursery).open(0) as do:
        assert [do(("double", value)) for value in (1, 2)] == [2, 4]
        assert do(("pid", None)) == do(("pid", None)) != os.getpid()
        assert do(("parent", None)) == nursery._process.pid


def test_an_error_is_raised_here_and_the_child_goes_on(nursery: Nursery) -> None:
    with isolated(nursery).open(0) as do:
        child = do(("pid", None))
        with pytest.raises(ValueError, match="not so") as caught:
            do(("fail", "so"))
        assert "in fail" in caught.value.__notes__[0]
        with pytest.raises(RuntimeError):
            do(("unpicklable", None))
        assert do(("pid", None)) == child


def test_what_the_work_cannot_open_is_raised_with_its_remedy(nursery: Nursery) -> None:
    with pytest.raises(DataError, match="nothing to load") as caught, isolated_broken(nursery).open(0):
        pass
    assert caught.value.remedy == "Give something."


def isolated_broken(nursery: Nursery) -> Isolated[Any, Any]:
    return Isolated(Trouble(broken=True), nursery, verdict, Bounds())


@pytest.mark.parametrize(
    ("task", "bounds", "expected"),
    [
        (("hang", None), Bounds(seconds=2), ("timeout", "ended after 2 s")),
        (("sleep", 60), Bounds(seconds=2, bytes=1 << 30), ("timeout", "ended after 2 s")),
        (("segfault", None), Bounds(), ("crashed", "the child died of SIGSEGV")),
        (("exit", 3), Bounds(), ("crashed", "the child left with exit code 3")),
    ],
)
def test_a_child_that_does_not_come_back_is_a_verdict_and_the_next_task_gets_another(
    nursery: Nursery, task: tuple[str, Any], bounds: Bounds, expected: tuple[str, str]
) -> None:
    with isolated(nursery, bounds).open(0) as do:
        assert do(task) == expected
        assert do(("double", 4)) == 8


def test_memory_without_end_is_ended_by_a_limit_inside_the_child(nursery: Nursery) -> None:
    with isolated(nursery, Bounds(bytes=16 << 20)).open(0) as do:
        with contextlib.suppress(MemoryError):
            assert do(("grow", None))[0] == "oom"
        assert do(("double", 4)) == 8


def test_a_lack_of_memory_is_a_verdict_when_nothing_else_is_left_to_try(nursery: Nursery) -> None:
    tried: list[Any] = []

    def again(task: tuple[str, Any]) -> tuple[str, Any] | None:
        tried.append(task)
        return [("grow_past", 1), ("double", 4), None][len(tried) - 1]

    with Isolated(Trouble(), nursery, verdict, Bounds(bytes=16 << 20), again).open(0) as do:
        assert do(("grow_past", 0)) == 8
        assert tried == [("grow_past", 0), ("grow_past", 1)]
        assert do(("grow_past", 2))[0] == "oom"


def test_the_watchdog_ends_a_child_whose_limit_was_not_kept(nursery: Nursery) -> None:
    child: Child[Any, Any] = Child(nursery, Trouble(), 0, Bounds())
    child.start()
    child._bounds = Bounds(bytes=16 << 20)
    with pytest.raises(ChildDied, match="held more than") as caught:
        child(("grow", None))
    assert caught.value.status == "oom"


def test_one_crash_is_tried_again(nursery: Nursery, tmp_path: Path) -> None:
    with isolated(nursery).open(0) as do:
        assert do(("crash_once", tmp_path / "crashed")) == "survived"


def test_a_child_that_cannot_be_replaced_ends_the_worker_and_is_no_verdict(nursery: Nursery, tmp_path: Path) -> None:
    marker = tmp_path / "lost"
    with Isolated(Trouble(lost=marker), nursery, verdict, UNBOUNDED).open(0) as do:
        assert do(("double", 1)) == 2
        for task in (("crash_for_good", marker), ("double", 2)):
            with pytest.raises(ClusterError, match="ended while it loaded its data: the child died of SIGABRT"):
                do(task)
        marker.unlink()
        assert do(("double", 3)) == 6


def test_what_lost_its_device_is_done_by_another_child(nursery: Nursery, tmp_path: Path) -> None:
    with isolated(nursery).open(0) as do:
        before = do(("pid", None))
        assert do(("lose_device", tmp_path / "count")) == 2
        assert do(("pid", None)) != before


def test_kills_from_outside_are_no_verdict(nursery: Nursery, tmp_path: Path) -> None:
    with isolated(nursery).open(0) as do:
        assert do(("killed_until", tmp_path / "count")) == 3
        with pytest.raises(ClusterError, match="killed from outside 5 times"):
            do(("kill", None))
        os.kill(do(("pid", None)), signal.SIGKILL)
        assert do(("double", 1)) == 2


def test_kills_while_a_child_opens_its_work_are_no_verdict_either(nursery: Nursery, tmp_path: Path) -> None:
    for kills in (2, 9):
        work = Trouble(killed=(tmp_path / f"opened{kills}", kills))
        opening = Isolated(work, nursery, verdict, UNBOUNDED).open(0)
        if kills == 2:
            with opening as do:
                assert do(("double", 1)) == 2
        else:
            with pytest.raises(ClusterError, match="while it loaded its data: the child was killed"), opening:
                pass


class Ambush:
    """A nursery whose first child is dead before it gets its job."""

    def __init__(self, nursery: Nursery) -> None:
        self.nursery, self.wait, self.left = nursery, nursery.wait, 1

    def fork(self) -> tuple[int, Any]:
        pid, connection = self.nursery.fork()
        if self.left:
            self.left -= 1
            os.kill(pid, signal.SIGKILL)
            connection.poll(10)
        return pid, connection


def test_a_child_that_is_killed_before_it_gets_its_job_is_replaced(nursery: Nursery) -> None:
    with Isolated(Trouble(), Ambush(nursery), verdict, UNBOUNDED).open(0) as do:  # type: ignore[arg-type]
        assert do(("double", 4)) == 8


def test_a_child_is_no_rank_and_cannot_import_mpi4py(nursery: Nursery) -> None:
    with isolated(nursery).open(0) as do:
        assert do(("environ", "PMIX_RANK")) is None
        with pytest.raises(ImportError, match="mpi4py"):
            do(("mpi4py", None))


def test_threads_wait_for_children_that_work_at_the_same_time(nursery: Nursery) -> None:
    with Threads(isolated(nursery), 2) as pool:
        pids = {pool.submit(("pid", None)).result() for _ in range(8)}
        assert len(pids) == 2
        assert sorted(results(pool, (("double", value) for value in range(7)))) == [0, 2, 4, 6, 8, 10, 12]
        with pytest.raises(ValueError, match="not this"):
            pool.submit(("fail", "this")).result()


def test_who_presses_ctrl_c_waits_for_no_task(nursery: Nursery) -> None:
    pids: list[int] = []
    with pytest.raises(KeyboardInterrupt), Threads(isolated(nursery), 2) as pool:
        pids += {pool.submit(("pid", None)).result() for _ in range(8)}
        hanging = [pool.submit(("hang", None)) for _ in range(4)]
        while not all(future.running() for future in hanging[:2]):
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert all(future.done() for future in hanging)
    assert len(pids) == 2
    assert not any(map(alive, pids))


def test_a_worker_that_cannot_open_leaves_no_child(nursery: Nursery) -> None:
    with pytest.raises(DataError), Threads(isolated_broken(nursery), 2):
        pass


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_busy_children_die_with_a_parent_that_is_killed() -> None:
    command = [sys.executable, "-c", "import farm_tasks; farm_tasks.hold_children(2)"]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 3
    assert all(map(alive, pids))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(alive, pids))


def test_a_nursery_that_is_gone_is_named() -> None:
    with Nursery() as own:
        own._process.kill()
        with pytest.raises(ClusterError, match="evaluation children ended"):
            own.fork()


def test_a_launchers_warning_to_every_process_of_the_step_ends_no_child(nursery: Nursery) -> None:
    with isolated(nursery).open(0) as do:
        child = do(("pid", None))
        for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
            for pid in (child, nursery._process.pid):
                os.kill(pid, number)
        assert do(("pid", None)) == child
