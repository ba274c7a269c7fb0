"""The search on the ranks of a real mpiexec: the same digest, and no process left behind by a kill."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from search_campaign import campaign, configured, curriculum

from gtn_hpc.core.errors import UsageError
from gtn_hpc.scores import comparing
from gtn_hpc.scores.opened import open as open_scores
from gtn_hpc.scores.replay import read_journals
from gtn_hpc.search.pools import ranks_of

pytest.importorskip("mpi4py")
PROGRAM = Path(__file__).parent / "search_campaign.py"
OPTIONS = ("search.certificate.fraction=0", "search.budget=6", "search.replicas=1")
WAIT = 120.0

needs_mpiexec = pytest.mark.skipif(shutil.which("mpiexec") is None, reason="mpiexec is not installed")


def prepared(path: Path) -> Path:
    path.mkdir()
    curriculum(path / "curriculum.h5")
    return path


def descendants(pid: int) -> set[int]:
    found, todo = set[int](), [pid]
    while todo:
        try:
            children = Path(f"/proc/{todo[-1]}/task/{todo.pop()}/children").read_text().split()
        except OSError:
            continue
        todo += map(int, children)
        found |= set(map(int, children))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


@needs_mpiexec
def test_a_killed_mpiexec_leaves_no_process_and_the_search_goes_on_to_the_same_digest(tmp_path: Path) -> None:
    """One of its ranks waits for ever, so that it cannot have ended by itself."""
    undisturbed, killed = prepared(tmp_path / "undisturbed"), prepared(tmp_path / "killed")
    campaign(undisturbed, *OPTIONS)
    chaos = ("search.isolate=true", "search.chaos=hang:rank=1@eval=1")
    command = ["mpiexec", "-n", "3", sys.executable, PROGRAM, killed, *OPTIONS, *chaos]
    journal, deadline = killed / "campaign" / "journal", time.monotonic() + WAIT
    hangs = journal / "chaos-hang-1-1"
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        while not ((rows := read_journals(journal).scores) and hangs.exists()) and time.monotonic() < deadline:
            time.sleep(0.002)
        assert rows and hangs.exists() and process.poll() is None
        family = descendants(process.pid)
    finally:
        process.kill()
        process.wait()
    acknowledged = {score.key for score in rows}
    deadline = time.monotonic() + WAIT
    while any(map(alive, family)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [pid for pid in family if alive(pid)] == []
    assert len(family) >= 3
    campaign(killed, *OPTIONS)
    rows = read_journals(journal).scores
    assert acknowledged <= {score.key for score in rows}
    assert {score.rank for score in rows if score.key in acknowledged} <= {1, 2}
    assert comparing.digest(killed / "campaign") == comparing.digest(undisturbed / "campaign")
    with open_scores(killed / "campaign" / "scores.h5") as tables:
        assert tables.scores.key.is_unique


@needs_mpiexec
def test_what_a_rank_cannot_load_ends_all_of_them_in_words(tmp_path: Path) -> None:
    tmp_path = tmp_path / "misfit"
    tmp_path.mkdir()
    curriculum(tmp_path / "curriculum.h5", side=12)
    command = ["mpiexec", "-n", "2", sys.executable, PROGRAM, tmp_path, *OPTIONS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=False)
    assert done.returncode != 0
    assert "DataError: The curriculum" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_pool_that_does_not_fit_the_launcher_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="this is one process"):
        ranks_of(configured(tmp_path, "search.pool=mpi"))
    assert ranks_of(configured(tmp_path)) is None
    for name, value in (("RANK", "0"), ("SIZE", "3"), ("LOCAL_RANK", "0"), ("LOCAL_SIZE", "3")):
        monkeypatch.setenv(f"OMPI_COMM_WORLD_{name}", value)
    found = ranks_of(configured(tmp_path))
    assert found is not None
    assert found.world == 3
    with pytest.raises(UsageError, match="openmpi started 3 processes"):
        ranks_of(configured(tmp_path, "search.pool=inprocess"))


@needs_mpiexec
def test_a_curriculum_that_is_not_there_is_told_whichever_rank_ends_first(tmp_path: Path) -> None:
    config = Path(__file__).parents[2] / "configs" / "digits.yaml"
    command = [sys.executable, "-m", "gtn_hpc", "search", config, f"run.root={tmp_path}", "search.curriculum=no.h5"]
    done = subprocess.run(["mpiexec", "-n", "2", *command], capture_output=True, text=True, timeout=WAIT, check=False)
    assert done.returncode != 0
    assert "There is no file no.h5." in done.stderr
