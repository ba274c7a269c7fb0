"""Asks and tells: the budget, what is known already, and replay after a stop anywhere."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from gtn_hpc.config.searching import ConvSpace
from gtn_hpc.config.searching import SuccessiveHalving as HalvingSection
from gtn_hpc.core.errors import RunError
from gtn_hpc.core.records import Architecture, ImageShape, Score
from gtn_hpc.farm import InProcess
from gtn_hpc.search.algorithm import Algorithm, Outcome, Proposal
from gtn_hpc.search.halving import SuccessiveHalving
from gtn_hpc.search.loop import search
from gtn_hpc.search.novelty import Novelty, SpaceExhausted
from gtn_hpc.search.random_search import RandomSearch
from gtn_hpc.search.study import Asked, Study, Terms, Told
from gtn_hpc.spaces import make_space
from gtn_hpc.training.request import Identity, Request

SPACE = make_space(ConvSpace(widths=((1, 4), (1, 4), (1, 3))), ImageShape(1, 8, 8), 10)
IDENTITY = Identity("common", "curriculum", "real")


class Memory:
    """A ledger in memory that may stop the process in front of an entry."""

    def __init__(self, entries: int = 10**6) -> None:
        self.events: list[Asked | Told] = []
        self.scores: list[Score] = []
        self.left = entries

    def asked(self, asked: Asked) -> None:
        self._write(asked)

    def told(self, *outcomes: Outcome) -> None:
        for outcome in outcomes:
            self._write(Told(outcome.proposal.ask))

    def _write(self, event: Asked | Told) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        self.events.append(event)


def score_of(request: Request, accuracy: float = 0.5, status: str = "ok") -> Score:
    return Score(
        key=IDENTITY.key(request),
        arch=request.arch.digest,
        fidelity=request.fidelity,
        replica=request.replica,
        val_accuracy=accuracy,
        val_loss=1.0,
        status=status,
        seconds=0.0,
        peak_bytes=0,
        params=1,
        flops=1,
        parent=request.parent,
        ask=request.ask,
    )


class Scoring:
    """Scores by the sum of widths, and keeps every row like a worker's journal."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Score:
        self.requests.append(request)
        score = score_of(request, sum(request.arch.spec["widths"]) / 100)
        self.memory.scores.append(score)
        return score

    def open(self, rank: int) -> "Scoring":
        return self

    def __enter__(self) -> "Scoring":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def run(memory: Memory, algorithm: Algorithm | None = None, budget: int = 5, replicas: int = 2) -> list[Request]:
    algorithm = algorithm or RandomSearch(SPACE, 8, seed=1)
    study = Study(algorithm, IDENTITY, memory, Terms(budget, replicas))
    study.replay(memory.scores, memory.events)
    with InProcess(scoring := Scoring(memory)) as pool:
        search(study, pool)
    return scoring.requests


def keys(scores: Sequence[Score]) -> list[str]:
    return sorted(score.key for score in scores)


def test_every_replica_of_a_budget_of_distinct_architectures_is_scored_once() -> None:
    run(memory := Memory())
    assert len({score.arch for score in memory.scores}) == 5
    assert len(keys(memory.scores)) == len(set(keys(memory.scores))) == 10
    assert sum(isinstance(event, Told) for event in memory.events) == 5


class Pieces(Memory):
    """Remembers how many outcomes were told at once."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def told(self, *outcomes: Outcome) -> None:
        self.sizes.append(len(outcomes))
        super().told(*outcomes)


def test_what_others_have_scored_is_told_in_pieces_with_a_stop_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtn_hpc.search.study.PIECE", 2)
    run(memory := Pieces())
    memory.events, memory.sizes = [event for event in memory.events if isinstance(event, Asked)], []
    stopped = Study(RandomSearch(SPACE, 8, seed=1), IDENTITY, memory, Terms(5, 2), stop=lambda: len(memory.sizes) == 1)
    stopped.replay(memory.scores, memory.events)
    assert (memory.sizes, stopped.ask()) == ([2], None)
    assert run(memory) == []
    assert memory.sizes == [2, 2, 1]
    assert [event.ask for event in memory.events if isinstance(event, Told)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("entries", range(11))
def test_stopped_anywhere_and_taken_up_again_it_scores_the_same_and_nothing_twice(entries: int) -> None:
    run(whole := Memory())
    broken = Memory(entries)
    try:
        run(broken)
    except KeyboardInterrupt:
        broken.left = 10**6
        run(broken)
    assert keys(broken.scores) == keys(whole.scores)


def test_a_grown_budget_scores_only_what_is_new() -> None:
    run(memory := Memory(), budget=3)
    requests = run(memory, budget=5)
    assert len(requests) == 4
    run(straight := Memory(), budget=5)
    assert keys(memory.scores) == keys(straight.scores)


def test_another_algorithm_cannot_take_up_the_record() -> None:
    run(memory := Memory())
    with pytest.raises(RunError, match="Proposal 0 of this run was"):
        run(memory, RandomSearch(SPACE, 8, seed=2))


def test_a_small_space_says_that_it_is_exhausted_and_keeps_its_scores() -> None:
    memory = Memory()
    with pytest.raises(SpaceExhausted, match="18 architectures are known"):
        run(memory, budget=19, replicas=1)
    assert len(memory.scores) == 18


@pytest.mark.parametrize("asynchronous", [False, True])
def test_halving_goes_on_with_what_an_exhausted_space_gave(asynchronous: bool) -> None:
    section = HalvingSection(first=1, eta=3, asynchronous=asynchronous)
    memory = Memory()
    for _ in range(2):  # the second time it is taken up where it ended
        with pytest.raises(SpaceExhausted, match="18 architectures are known"):
            run(memory, SuccessiveHalving(section, SPACE, 27, seed=1), budget=19, replicas=1)
        rungs = Counter(score.fidelity for score in memory.scores)
        assert rungs[1] == 18
        assert (rungs[3], rungs[9], rungs[27]) == (6, 2, 0) or (asynchronous and rungs[3] >= 6 and rungs[9] >= 2)
        assert len(keys(memory.scores)) == len(set(keys(memory.scores)))


def test_a_stop_leaves_nothing_half_told_and_asks_no_more() -> None:
    memory, seen = Memory(), []
    study = Study(
        RandomSearch(SPACE, 8, seed=1),
        IDENTITY,
        memory,
        Terms(5, 1),
        watch=seen.append,
        stop=lambda: len(seen) >= 2,
    )
    with InProcess(Scoring(memory)) as pool:
        search(study, pool)
    assert len(memory.scores) == len(seen) == 2
    assert len(run(memory, replicas=1)) == 3


class Repeating(Algorithm):
    """Proposes one architecture three times, the second time before the first is told."""

    def __init__(self) -> None:
        self.arch = SPACE.canonical(SPACE.sample(np.random.default_rng(0)))
        self.values: list[float] = []

    def ask(self, number: int, *, fresh: bool) -> Proposal | None:
        return Proposal(number, self.arch, 8) if number < 3 else None

    def tell(self, outcome: Outcome) -> None:
        self.values.append(outcome.value)


def test_what_is_known_or_under_way_is_not_evaluated_again_but_told() -> None:
    memory, algorithm = Memory(), Repeating()
    study = Study(algorithm, IDENTITY, memory, Terms(1, 1))
    first = study.ask()
    assert first is not None
    assert study.ask() is None
    assert algorithm.values == []
    study.tell(score_of(first, 0.75))
    assert algorithm.values == [0.75, 0.75, 0.75]
    assert study.distinct == 1


def test_one_replica_that_fails_is_no_mean() -> None:
    arch = Architecture("conv", {"widths": [1, 1, 1]})
    request = Request(arch, 8)
    outcome = Outcome(Proposal(0, arch, 8), (score_of(request, 0.9), score_of(request, float("nan"), "nan")))
    assert outcome.value == -np.inf


def test_equal_networks_are_drawn_once() -> None:
    novelty, rng = Novelty(SPACE), np.random.default_rng(0)
    digests = {novelty.first_new(novelty.sample(rng)).digest for _ in range(18)}
    assert len(digests) == 18
