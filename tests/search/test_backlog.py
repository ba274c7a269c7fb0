"""Longest first by times learnt on the way; nothing that cannot end; and the same search whatever the order."""

import heapq
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from search_campaign import campaign, curriculum

from gtn_hpc.cluster import deadline
from gtn_hpc.cluster.deadline import Deadline, deadline_of
from gtn_hpc.config.searching import ConvSpace, Evolution
from gtn_hpc.config.teaching import Run
from gtn_hpc.core.errors import Requeue, RunError
from gtn_hpc.core.records import ImageShape, Score
from gtn_hpc.farm import InProcess
from gtn_hpc.scores.replay import read_journals
from gtn_hpc.search.algorithm import Algorithm, Outcome
from gtn_hpc.search.backlog import Backlog
from gtn_hpc.search.costs import FIRST, Costs, Size
from gtn_hpc.search.evolution import Evolution as EvolutionSearch
from gtn_hpc.search.loop import search
from gtn_hpc.search.random_search import RandomSearch
from gtn_hpc.search.study import Asked, Study, Terms, Told
from gtn_hpc.spaces import make_space
from gtn_hpc.training.request import Identity, Request

SPACE = make_space(ConvSpace(), ImageShape(1, 8, 8), 10)
IDENTITY = Identity("common", "curriculum", "real")


def truth(size: Size) -> float:
    """Seconds of an evaluation here."""
    return 0.05 + 1e-3 * size.steps + 1e-8 * size.work


def size_of(request: Request) -> Size:
    return Size(SPACE.params(request.arch), SPACE.flops(request.arch), request.fidelity)


def scored(request: Request) -> Score:
    size = size_of(request)
    key, arch, accuracy = IDENTITY.key(request), request.arch.digest, size.params % 997 / 997
    known = (key, arch, request.fidelity, request.replica, accuracy, 1.0, "ok", truth(size), 0)
    return Score(*known, params=size.params, flops=size.flops)


def requests(count: int) -> list[Request]:
    rng = np.random.default_rng(0)
    return [Request(SPACE.canonical(SPACE.sample(rng)), int(rng.integers(4, 64))) for _ in range(count)]


def test_the_time_is_predicted_from_parameters_flops_and_steps() -> None:
    costs, rng, some = Costs(), np.random.default_rng(1), requests(80)
    for number, request in enumerate(some[:40]):
        assert (costs.seconds(size_of(request)) is None) == (number < FIRST)
        costs.learn(size_of(request), truth(size_of(request)) * rng.uniform(0.97, 1.03))
    for request in some[40:]:
        assert costs.seconds(size_of(request)) == pytest.approx(truth(size_of(request)), rel=0.05)


def test_the_longest_is_taken_first_before_and_after_anything_is_known() -> None:
    backlog, some = Backlog(SPACE), requests(60)
    for request in some[:20]:
        backlog.add(request)
    assert [size_of(r).work for r in backlog.rest()] == sorted((size_of(r).work for r in some[:20]), reverse=True)
    for request in some[20:40]:
        backlog.learn(scored(request))
    for request in some[40:]:
        backlog.add(request)
    lengths = [truth(size_of(request)) for request in backlog.rest()]
    assert lengths == sorted(lengths, reverse=True)
    assert len(backlog) == 0


class Still(Deadline):
    """Time does not go on: `end` are the seconds left."""

    @property
    def left(self) -> float:
        return self.end


def test_nothing_is_begun_that_cannot_end_before_the_deadline() -> None:
    some = requests(40)
    lengths = sorted(truth(size_of(request)) for request in some[20:])
    backlog = Backlog(SPACE, Still(1.25 * lengths[10] * 1.001, whole=3600.0))
    for request in some[:20]:
        backlog.learn(scored(request))
    for request in some[20:]:
        backlog.add(request)
    first = backlog.take()
    assert first is not None
    assert truth(size_of(first)) == lengths[10]
    late = Backlog(SPACE, Still(-1.0, whole=0.01))
    late.learn(scored(some[0]))
    late.add(some[1])
    assert late.take() is None and late.late
    with pytest.raises(Requeue, match="any of the 1 evaluations that wait"):
        late.require_begun()
    for request in some[:20]:
        late.learn(scored(request))
    with pytest.raises(RunError, match="No evaluation would end in time"):
        late.require_begun()
    other = Backlog(SPACE, Still(-1.0, whole=0.01))
    other.add(some[2])
    with pytest.raises(Requeue, match="any of the 2 evaluations that wait"):
        late.require_begun(other)


def without_time(left: float, whole: float) -> tuple[Backlog, float]:
    """A backlog that has begun nothing when so many times the shortest's time were `left` of the `whole`, and that."""
    some = requests(40)
    shortest = 1.25 * min(truth(size_of(request)) for request in some[20:])
    backlog = Backlog(SPACE, Still(left * shortest, whole=whole * shortest))
    for request in some[:20]:
        backlog.learn(scored(request))
    backlog.extend(some[20:])
    assert backlog.take() is None
    return backlog, shortest


def test_what_a_start_needs_before_its_first_evaluation_is_not_there_for_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """What earlier stages of the same job have used is."""
    backlog, shortest = without_time(left=0.9, whole=1.1)
    with pytest.raises(RunError, match=r"No evaluation would end in time.* a start has 0 s for it"):
        backlog.require_begun()
    monkeypatch.setattr(deadline, "START_UP", 0.5 * shortest)
    with pytest.raises(Requeue):
        without_time(left=0.9, whole=1.6)[0].require_begun()
    with pytest.raises(RunError):
        without_time(left=0.9, whole=1.4)[0].require_begun()


def test_the_deadline_is_the_sooner_of_the_run_s_and_the_job_s() -> None:
    now = time.time()
    environ = {"SLURM_JOB_END_TIME": str(int(now) + 1000), "SLURM_JOB_START_TIME": str(int(now) - 500)}
    found = deadline_of(Run(name="a", margin=60, deadline=2000), environ)
    assert found is not None and found.whole == 1440
    assert found.end == int(now) + 940
    assert found.end - now >= found.left >= found.end - time.time()
    before = time.time()
    found = deadline_of(Run(name="a", deadline=100), environ)
    assert found is not None and before + 100 <= found.end <= time.time() + 100
    assert deadline_of(Run(name="a"), {}) is None


def test_a_search_without_time_asks_for_a_requeue_and_the_next_start_goes_on(tmp_path: Path) -> None:
    curriculum(tmp_path / "curriculum.h5")
    options = ("search.budget=3", "search.replicas=1", "search.certificate.fraction=0")
    with pytest.raises(Requeue, match="any of the 3 evaluations that wait"):
        campaign(tmp_path, *options, "run.deadline=0.001")
    assert not read_journals(tmp_path / "campaign" / "journal").scores
    assert campaign(tmp_path, *options, "run.deadline=600").architectures == 3


class Memory:
    def __init__(self) -> None:
        self.events: list[Asked | Told] = []
        self.scores: list[Score] = []

    def asked(self, asked: Asked) -> None:
        self.events.append(asked)

    def told(self, *outcomes: Outcome) -> None:
        self.events += [Told(outcome.proposal.ask) for outcome in outcomes]

    @contextmanager
    def open(self, rank: int) -> Iterator[object]:
        def score(request: Request) -> Score:
            self.scores.append(scored(request))
            return self.scores[-1]

        yield score


def algorithms() -> list[Algorithm]:
    section = Evolution(population=8, sample=3, synchronous=True)
    return [RandomSearch(SPACE, 8, 1), EvolutionSearch(section, SPACE, 8, 1)]


@pytest.mark.parametrize("which", [0, 1])
def test_asking_ahead_changes_no_proposal_and_is_replayed(which: int) -> None:
    found = []
    for ahead, cut in ((0, None), (20, None), (20, 7)):
        memory = Memory()
        for stop_at in (cut, None):
            stop = lambda memory=memory, at=stop_at: at is not None and len(memory.scores) >= at  # noqa: E731
            study = Study(
                algorithms()[which], IDENTITY, memory, Terms(30, 1), stop=stop, backlog=Backlog(SPACE), ahead=ahead
            )
            study.replay(memory.scores, memory.events)
            with InProcess(memory) as pool:  # type: ignore[arg-type]
                search(study, pool)
        assert len(memory.scores) == 30
        found.append(sorted(score.key for score in memory.scores))
    assert found[0] == found[1] == found[2]


def test_skewed_durations_come_within_five_percent_of_the_ideal() -> None:
    """Two workers in simulated time: 200 architectures, one in twenty of which takes 20 times longer."""
    rng, steps = np.random.default_rng(3), [64 if number % 20 == 19 else 2 for number in range(200)]
    waiting = [Request(SPACE.canonical(SPACE.sample(rng)), count) for count in steps]
    seconds = {id(r): (0.2 if r.fidelity == 64 else 0.01) * rng.uniform(0.9, 1.1) for r in waiting}
    backlog, free, pending = Backlog(SPACE), [(0.0, 0), (0.0, 1)], list(waiting)
    while pending or len(backlog):
        while pending and len(backlog) < 64:
            backlog.add(pending.pop(0))
        request = backlog.take()
        assert request is not None
        now, worker = heapq.heappop(free)
        length = seconds[id(request)]
        heapq.heappush(free, (now + length, worker))
        size = size_of(request)
        backlog.costs.learn(size, length)
    makespan = max(free)[0]
    assert makespan <= 1.05 * sum(seconds.values()) / 2
