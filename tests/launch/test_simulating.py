"""The replay of a search: cases that can be done by hand, expectations of probability, and a search that was real."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from gtn_hpc.cli import main
from gtn_hpc.core.errors import UsageError
from gtn_hpc.core.records import Score
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.launch import simulating
from gtn_hpc.launch.recorded import of_run, recorded
from gtn_hpc.launch.simulating import POOLS, Conditions, replay
from gtn_hpc.scores.journal import Journal

REAL = Path(__file__).with_name("recorded_search.json")
TINY = str(Path(__file__).parents[1] / "slurm" / "tiny.yaml")


@pytest.mark.parametrize(
    ("pool", "ranks", "seconds", "allocated"),
    [
        ("mpi", 3, 3, 9),  # two work; the first has nothing to do but to ask
        ("shards", 2, 4, 6),  # 3 + 1 beside 1 + 1; the second job ends when it is done
        ("shared", 2, 3, 6),
        ("shared", 3, 3, 9),  # 3 beside 1 + 1 beside 1; who has nothing left waits for what others may leave
    ],
)
def test_four_evaluations_of_three_and_three_times_one_second(pool, ranks, seconds, allocated):
    found = replay([3, 1, 1, 1], pool, Conditions(nodes=1, ranks_per_node=ranks))
    assert (found.seconds, found.allocated, found.useful, found.lost) == (seconds, allocated, 6, 0)
    assert found.idle == allocated - 6


def test_the_longest_first_ends_sooner():
    machine = Conditions(ranks_per_node=2)
    assert replay([1, 1, 1, 3], "shared", machine).seconds == 4
    assert replay([1, 1, 1, 3], "shared", replace(machine, longest_first=True)).seconds == 3
    assert replay([1, 1, 1, 3], "shards", replace(machine, longest_first=True)).seconds == 4  # 1 + 3 are one job's


def test_the_first_rank_gives_out_one_after_the_other():
    found = replay([1] * 4, "mpi", Conditions(ranks_per_node=9, dispatch=1))
    assert found.seconds == 5


def test_a_limit_cuts_off_what_runs_and_a_warning_does_not():
    """Evaluations of 4 s, jobs of 10 s that start 1 s, 5 s between them: 1-5, 5-9, 9-cut at 10; 16-20."""
    machine = Conditions(walltime=10, startup=1, queue=5)
    cut = replay([4, 4, 4], "shards", machine)
    assert (cut.seconds, cut.starts, cut.cut) == (20, 2, 1)
    assert (cut.allocated, cut.useful, cut.lost, cut.starting) == (15, 12, 1, 2)
    warned = replay([4, 4, 4], "shards", replace(machine, lead=5))  # nothing begins after 5: 1-5, 11-15, 21-25
    assert (warned.seconds, warned.starts, warned.cut) == (25, 3, 0)
    assert (warned.lost, warned.starting, warned.idle) == (0, 3, 0)


def test_a_limit_ends_the_ranks_of_one_job_together():
    """Two workers until 10: 1-7, 1-7, 7-cut, 7-cut; then 10-16 twice after a start at 10: ends at 17."""
    found = replay([6] * 4, "mpi", Conditions(ranks_per_node=3, walltime=10, startup=1))
    assert (found.seconds, found.starts, found.lost) == (17, 2, 6)
    assert found.allocated == 3 * 17


def test_what_a_lost_job_had_taken_is_free_after_the_expiry():
    """0-6, 6-cut at 11; the job is back at once and waits until its end at 22, and again; the claim lapses: 25-31."""
    found = replay([6, 6], "shared", Conditions(walltime=11, expiry=14))
    assert (found.seconds, found.lost, found.starts) == (31, 5, 3)


@pytest.mark.parametrize("pool", ["shards", "shared"])
def test_failures_cost_what_probability_says(pool):
    """A job that fails at rate r and begins its evaluation of d seconds again needs (exp(r d) - 1) / r on average."""
    found = replay([2.0] * 20_000, pool, Conditions(mtbf=4, expiry=0))
    assert found.seconds / 20_000 == pytest.approx(4 * (math.exp(0.5) - 1), rel=0.02)
    assert found.useful == 40_000
    assert found.seconds == pytest.approx(found.useful + found.lost)


def test_a_lost_node_of_one_job_costs_what_all_its_ranks_were_doing():
    machine = Conditions(ranks_per_node=5, mtbf=5_000)
    for nodes in (1, 4):
        found = replay([10] * 40_000, "mpi", replace(machine, nodes=nodes))
        assert found.useful == 400_000
        half = 5 * (5 * nodes - 1)  # of an evaluation of each worker
        assert found.lost / (found.starts - 1) == pytest.approx(half, rel=0.35)


def test_nothing_is_lost_or_done_twice_on_four_thousand_ranks():
    durations = recorded("36~0.5", Path()).drawn(30_000, seed=0)
    machine = Conditions(512, 8, walltime=400, lead=30, mtbf=1e6, queue=60, startup=20, dispatch=0.001)
    for pool in POOLS:
        found = replay(durations, pool, machine)
        assert found.useful == pytest.approx(sum(durations))
        assert found.allocated >= found.useful + found.lost + found.starting - 1e-3
        assert found == replay(durations, pool, machine)


def test_what_cannot_be_is_refused(monkeypatch):
    monkeypatch.setattr(simulating, "MOST_STARTS", 1000)
    with pytest.raises(UsageError, match=r"no room for an evaluation: .* the longest one 100\.0 s"):
        replay([100.0], "shards", Conditions(walltime=60))
    with pytest.raises(UsageError, match="two ranks"):
        replay([1.0], "mpi", Conditions())
    with pytest.raises(UsageError, match="not done after 1000 starts"):
        replay([100.0], "shards", Conditions(mtbf=0.1))


@pytest.fixture
def real(tmp_path):
    """A search of 60 architectures (configs/digits.yaml) under `mpiexec -n 4`, as its journals held it: seconds of
    each evaluation, its end since the first began, its rank."""
    run = RunDirectory(tmp_path / "tiny")
    run.create()
    run.config.write_text("")
    with Journal(run.journal, "real") as journal:
        for place, (seconds, end, rank) in enumerate(json.loads(REAL.read_text())):
            journal.append([Score(f"k{place}", "a", 8, 0, 0.9, 0.3, "ok", seconds, 0, 1, 1, rank=rank, time=1e9 + end)])
    return run


def test_a_real_search_takes_what_its_replay_says(real):
    found = of_run(real)
    assert found.workers == 3
    simulated = replay(found.drawn(len(found.durations), seed=0), "mpi", Conditions(ranks_per_node=4))
    assert simulated.seconds == pytest.approx(found.span, rel=0.05)


def test_durations_from_everywhere(real, tmp_path):
    assert recorded(str(real.path), tmp_path) == recorded("tiny", tmp_path) == of_run(real)
    (tmp_path / "seconds.txt").write_text("3\n4.5\n")
    assert recorded(str(tmp_path / "seconds.txt"), tmp_path).durations == (3.0, 4.5)
    (tmp_path / "seconds.txt").write_text("seconds\n4.5\n")
    with pytest.raises(UsageError, match="line 1: 'seconds' is no number"):
        recorded(str(tmp_path / "seconds.txt"), tmp_path)
    for text, said in {"": "holds no duration", "\n \n": "holds no duration", "3\n-1\n": "line 2: -1 s is no"}.items():
        (tmp_path / "seconds.txt").write_text(text)
        with pytest.raises(UsageError, match=said):
            recorded(str(tmp_path / "seconds.txt"), tmp_path)
    (tmp_path / "seconds.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"Cannot read .* as text"):
        recorded(str(tmp_path / "seconds.txt"), tmp_path)
    for zero in ("0", "0.0~0.5"):
        with pytest.raises(UsageError, match="0 s is no duration"):
            recorded(zero, tmp_path)
    with pytest.raises(UsageError, match="neither a run, nor a file, nor seconds"):
        recorded("36-5", tmp_path)
    spread = recorded("36~0.5", tmp_path).durations
    assert sum(spread) / len(spread) == pytest.approx(36, rel=0.02)
    assert set(recorded("36", tmp_path).drawn(5, seed=0)) == {36.0}


def test_gtn_plan_simulates(real, tmp_path, capsys):
    asked = ["plan", TINY, f"run.root={tmp_path}", "search.budget=500", "--simulate", "--nodes", "1,300"]
    assert main([*asked, "--figure", str(tmp_path / "scaling")]) == 0
    text = capsys.readouterr().out
    assert "500 evaluations as" in text
    assert "certificate" not in text
    assert "2700" in text
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
    assert main([*asked, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {(row["pool"], row["nodes"]) for row in rows} == {(pool, nodes) for pool in POOLS for nodes in (1, 300)}
    assert {row["order"] for row in rows} == {"asked", "longest"}
    assert all(0 < row["efficiency"] < 1 for row in rows)
    certified = [*asked, "search.certificate.fraction=0.25"]
    assert main(certified) == 0
    assert "without the 140 trainings for the certificate" in capsys.readouterr().out
    assert main([*certified, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["without_certificate"] == {"truth": 140}  # 7 of every 25
    assert main([*asked[:3], "--simulate", "--nodes", "1x"]) == 2
    assert "is no list of numbers" in capsys.readouterr().err
