"""`gtn plan`: shares, time and files, by measurement and by what a run has recorded."""

import json
import time
from pathlib import Path

import pytest

from gtn_hpc.config import load
from gtn_hpc.config.searching import Certificate as CertificateSection
from gtn_hpc.config.searching import SuccessiveHalving
from gtn_hpc.config.site import Resources, Site
from gtn_hpc.core.events import EventLog
from gtn_hpc.core.records import Score
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.launch.measuring import Measured, measure
from gtn_hpc.launch.planning import files, forecasts, lines
from gtn_hpc.meta.pupil import nobody
from gtn_hpc.scores.journal import Journal
from gtn_hpc.scores.rows import CertificateRow, FinalRow

TINY = Path(__file__).parents[1] / "slurm" / "tiny.yaml"
FOUR = Site(train=Resources(nodes=2, tasks_per_node=2, minutes=1), search=Resources(tasks_per_node=3))


@pytest.fixture
def config(tmp_path):
    return load(TINY, [f"run.root={tmp_path}", "meta.iterations=300", "meta.replicas=6", "meta.keep=2"])


def run_of(config):
    return RunDirectory(Path(config.run.root) / config.run.name)


def test_shares_and_time_follow_from_a_measurement(config):
    measured = Measured(0.5, 300 << 20, 4000, 64, 10, "cpu", 10)
    train, search, final = forecasts(config, FOUR, run_of(config), measured)
    assert train.processes == 4
    assert train.share == "2 of 6 replicas in each of 300 meta-iterations"
    assert train.seconds == 0.5 * 2 * 300
    assert train.restarts == 5
    assert (search.processes, search.share, search.seconds) == (3, "4 of 8 evaluations", None)
    assert final.seconds is None
    text = "\n".join(lines(config, [train, search, final], measured))
    assert "about 5.0 min (cpu, 10 replicas measured now), limit 1.0 min, 5 requeues" in text
    assert "300 MiB a process" in text


def test_winners_that_are_trained_at_the_same_time_take_less(config):
    """Three tasks, of which the first asks: two winners at a time, so five take three rounds of 10 s an epoch."""
    run = run_of(config)
    run.create()
    with Journal(run.journal) as journal:
        journal.append([FinalRow("key", "arch", 0, 2, 1, 0.9, 1.0, 0.9, 1.0, "ok", 20.0)])
    five = config.model_copy(update={"final": config.final.model_copy(update={"top_k": 5, "epochs": 4})})
    final = forecasts(five, Site(final=Resources(tasks_per_node=3)), run, None)[2]
    assert (final.processes, final.share, final.seconds) == (3, "3 of 5 architectures, 4 epochs each", 10.0 * 4 * 3)
    assert forecasts(five, Site(), run, None)[2].seconds == 10.0 * 4 * 5
    workers = five.model_copy(update={"search": five.search.model_copy(update={"workers": 2})})
    assert forecasts(workers, Site(), run, None)[2].seconds == 10.0 * 4 * 3


def scored(config, *rows):
    """The forecast of a search by two workers, of whose evaluations one took a second."""
    run = run_of(config)
    run.create()
    with Journal(run.journal) as journal:
        journal.append([Score("key", "arch", 2, 0, 0.9, 0.3, "ok", 1.0, 0, 1, 1), *rows])
    return forecasts(config, FOUR, run, None)[1]


def test_a_search_takes_the_trainings_of_its_certificate_too(config):
    """8 evaluations of 2 steps of 10 images, 4 truths of 1200 steps of 64, 4 controls."""
    certificate = CertificateSection(fraction=0.5, minimum=0, steps=1200, controls=("untrained",))
    certified = config.model_copy(update={"search": config.search.model_copy(update={"certificate": certificate})})
    found = scored(certified)
    assert found.share == "4 of 8 evaluations and 4 of 8 trainings for the certificate"
    assert found.seconds == pytest.approx((8 + 4 * (1200 * 64) / (2 * 10) + 4) / 2)
    assert found.source == "1 recorded evaluations, truth and untrained guessed from evaluations by steps and batch"
    found = scored(certified, CertificateRow("truth", "arch", "truth", 0, 1200, 0.9, 0.3, "ok", 30.0))
    assert found.seconds == pytest.approx((8 + 4 * 30 + 4) / 2)
    assert found.source.endswith(
        "1 recorded trainings for the certificate, untrained guessed from evaluations by steps and batch"
    )


def test_the_certificate_of_successive_halving_is_left_out_and_that_is_said(config):
    certificate = CertificateSection(fraction=0.5)
    search = config.search.model_copy(update={"certificate": certificate, "algorithm": SuccessiveHalving()})
    found = scored(config.model_copy(update={"search": search}))
    assert found.share.endswith("evaluations, without the certificate, whose size is not known beforehand")
    assert found.seconds == 4.0


def test_what_is_recorded_counts_more_than_a_measurement(config):
    run = run_of(config)
    run.create()
    with EventLog(run.events / "train.jsonl") as log:
        for seconds in (3.0, 9.0, 3.0):
            log.write("iterated", seconds=seconds, ranks=2)
    train = forecasts(config, FOUR, run, Measured(0.5, 1, 1, 1, 1, "cpu", 10))[0]
    assert train.seconds == 3.0 / 3 * 2 * 300  # three replicas a rank then, two now
    assert train.source == "this run's events"


@pytest.mark.parametrize(("ranks", "seconds"), [(None, 6.0), (1, 6.0), (4, 2.0)])
def test_a_replica_s_time_goes_by_the_ranks_that_worked_and_not_by_the_job_s_tasks(config, ranks, seconds):
    run = run_of(config)
    run.create()
    run.environment.write_text(json.dumps({"slurm": {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "3"}}))
    with EventLog(run.events / "train.jsonl") as log:
        log.write("iterated", seconds=seconds, **({} if ranks is None else {"ranks": ranks}))
    assert forecasts(config, FOUR, run, None)[0].seconds == 1.0 * 2 * 300


def test_files_are_about_as_large_as_said(config):
    sizes = files(config, Measured(0.1, 1, 4000, 64, 10, "cpu", 10))
    assert sizes["checkpoints/"] == 3 * 4000 * 2
    assert sizes["curriculum.h5"] == 2 * 10 * (64 + 10) * 4


def test_of_large_replicas_two_are_enough(config, monkeypatch):
    monkeypatch.setattr("gtn_hpc.launch.measuring.ENOUGH", 0.0)
    told = []
    found = measure(config, lambda *at: told.append(at))
    assert told == [(0, 12), (1, 12)]
    assert found.replicas == 1
    assert found.seconds > 0


def test_a_measurement_is_that_of_a_replica(config):
    began = time.perf_counter()
    found = measure(config, nobody)
    assert 0 < found.seconds < (time.perf_counter() - began) / 5  # half of the ten took the median or longer
    assert (found.image_values, found.classes, found.device, found.replicas) == (64, 10, "cpu", 10)
    assert found.peak_bytes > 50 << 20
    assert found.teacher_bytes % 8 == 0
    assert not run_of(config).path.exists()
