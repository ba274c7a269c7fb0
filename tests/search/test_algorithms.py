"""Algorithms behind ask and tell: valid, resumable by replay, and better than chance where they should be."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gtn_hpc.config.searching import (
    ChainSpace,
    ConvSpace,
    Evolution,
    LocalSearch,
    NaoCellSpace,
    NasBench201Space,
    Nsga2,
    SuccessiveHalving,
    Tpe,
)
from gtn_hpc.core.errors import ConfigError
from gtn_hpc.core.records import Architecture, ImageShape, Score
from gtn_hpc.search import evolution, fixed_list, halving, local_search, optuna_search, random_search
from gtn_hpc.search.algorithm import Algorithm, Outcome
from gtn_hpc.search.study import Asked, Study, Terms, Told
from gtn_hpc.spaces import make_space
from gtn_hpc.training.request import Identity, Request

IMAGE = ImageShape(1, 8, 8)
CONV = make_space(ConvSpace(widths=((8, 24), (8, 24), (8, 24))), IMAGE, 10)
CELLS = make_space(NasBench201Space(cells=1, filters=4), IMAGE, 10)
IDENTITY = Identity("common", "curriculum", "real")
STEPS = 27


def thirty() -> list[Architecture]:
    rng = np.random.default_rng(0)
    return list({arch.digest: arch for arch in (CONV.sample(rng) for _ in range(40))}.values())[:30]


MAKERS: dict[str, Callable[[int], Algorithm]] = {
    "random": lambda seed: random_search.RandomSearch(CONV, STEPS, seed),
    "evolution": lambda seed: evolution.Evolution(Evolution(population=6, sample=3), CONV, STEPS, seed),
    "generations": lambda seed: evolution.Evolution(
        Evolution(population=6, sample=3, synchronous=True), CONV, STEPS, seed
    ),
    "local": lambda seed: local_search.LocalSearch(LocalSearch(starts=4), CONV, STEPS, seed),
    "asha": lambda seed: halving.SuccessiveHalving(SuccessiveHalving(first=1, eta=3), CONV, STEPS, seed),
    "halving": lambda seed: halving.SuccessiveHalving(
        SuccessiveHalving(first=1, eta=3, asynchronous=False), CONV, STEPS, seed
    ),
    "nsga2": lambda seed: optuna_search.nsga2(Nsga2(population=6), CONV, STEPS, seed),
    "tpe": lambda seed: optuna_search.tpe(Tpe(startup=6), CONV, STEPS, seed),
    "list": lambda seed: fixed_list.FixedList(thirty(), STEPS),
}
SYNCHRONOUS = ("random", "generations", "halving", "list")


def value_of(request: Request) -> float:
    """A smooth hill over the widths, seen better after more steps."""
    widths = np.array(request.arch.spec["widths"])
    noise = (int(request.arch.digest, 16) % 97) / 97 / (1 + request.fidelity)
    return float(1 - np.abs(widths - [20, 12, 16]).sum() / 60 + noise / 10)


class Recorder:
    def __init__(self) -> None:
        self.events: list[Asked | Told] = []
        self.outcomes: list[Outcome] = []

    def asked(self, asked: Asked) -> None:
        self.events.append(asked)

    def told(self, *outcomes: Outcome) -> None:
        self.events += [Told(outcome.proposal.ask) for outcome in outcomes]
        self.outcomes += outcomes


def drive(
    algorithm: Algorithm,
    recorder: Recorder,
    *,
    budget: int = 30,
    workers: int = 1,
    seed: int = 0,
    until: int = 10**6,
    known: list[Score] | None = None,
    value: Callable[[Request], float] = value_of,
) -> list[Score]:
    """Scores with `workers` that end in random order, at most `until` rows; gives all rows."""
    scores, order, running = list(known or ()), random.Random(seed), list[Request]()
    study = Study(algorithm, IDENTITY, recorder, Terms(budget, 1))
    study.replay(scores, list(recorder.events))
    while len(scores) < until:
        while len(running) < workers and (request := study.ask()) is not None:
            running.append(request)
        if not running:
            return scores
        request = running.pop(order.randrange(len(running)))
        scores.append(score_of(request, value(request)))
        study.tell(scores[-1])
    return scores


def score_of(request: Request, accuracy: float) -> Score:
    key, arch = IDENTITY.key(request), request.arch
    return Score(key, arch.digest, request.fidelity, 0, accuracy, 1.0, "ok", 0.0, 0, 1, 1, request.parent, request.ask)


def best(scores: list[Score]) -> float:
    return max(score.val_accuracy for score in scores)


@pytest.mark.parametrize("name", MAKERS)
def test_it_scores_as_many_distinct_architectures_as_the_budget_says(name: str) -> None:
    scores = drive(MAKERS[name](0), Recorder(), workers=3)
    assert len({score.arch for score in scores}) == 30
    assert len({score.key for score in scores}) == len(scores)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("until", [0, 1, 5, 6, 7, 17, 29, 31])
def test_a_resumed_search_is_consistent_with_what_it_was_told(name: str, until: int) -> None:
    recorder = Recorder()
    scores = drive(MAKERS[name](0), recorder, workers=3, until=until)
    told = list(recorder.events)
    scores = drive(MAKERS[name](0), recorder, workers=3, seed=1, known=scores)
    assert recorder.events[: len(told)] == told
    assert len({score.arch for score in scores}) == 30
    assert len({score.key for score in scores}) == len(scores)


@pytest.mark.parametrize("name", MAKERS)
def test_one_worker_stopped_anywhere_finds_what_the_undisturbed_search_finds(name: str) -> None:
    whole = drive(MAKERS[name](3), Recorder())
    for until in (1, 8, 20, 33):
        recorder = Recorder()
        scores = drive(MAKERS[name](3), recorder, until=until)
        again = drive(MAKERS[name](3), recorder, known=scores)
        assert {score.key for score in again} == {score.key for score in whole}


@pytest.mark.parametrize("name", SYNCHRONOUS)
def test_synchronous_algorithms_do_not_depend_on_workers_and_their_speed(name: str) -> None:
    alone = {score.key for score in drive(MAKERS[name](0), Recorder())}
    for workers, seed in ((2, 1), (4, 2), (7, 3)):
        assert {score.key for score in drive(MAKERS[name](0), Recorder(), workers=workers, seed=seed)} == alone


@pytest.mark.parametrize("name", ["evolution", "generations", "local", "tpe"])
def test_it_climbs_better_than_random_search(name: str) -> None:
    """A paired comparison over seeds on the hill."""
    seeds = range(6 if name == "tpe" else 12)
    found = [best(drive(MAKERS[name](seed), Recorder(), budget=60)) for seed in seeds]
    chance = [best(drive(MAKERS["random"](seed), Recorder(), budget=60)) for seed in seeds]
    assert np.mean(np.array(found) > np.array(chance)) >= 0.75
    assert np.mean(found) > np.mean(chance)


def test_children_are_mutations_of_their_parents() -> None:
    scores = drive(MAKERS["evolution"](0), Recorder(), budget=40)
    assert all(score.parent == "" for score in scores[:6])
    assert all(score.parent in {other.arch for other in scores} for score in scores[6:])


def test_parents_come_from_the_last_that_were_told() -> None:
    recorder = Recorder()
    drive(MAKERS["evolution"](0), recorder, budget=40)
    order = [outcome.proposal.arch.digest for outcome in recorder.outcomes]
    for index, outcome in enumerate(recorder.outcomes[6:], start=6):
        assert outcome.proposal.parent in order[index - 6 : index]


def test_a_failed_architecture_is_nobodys_parent() -> None:
    """Of the first population all but one fail; a tournament over all of it has one winner."""
    algorithm = evolution.Evolution(Evolution(population=6, sample=6), CONV, STEPS, 0)
    study = Study(algorithm, IDENTITY, recorder := Recorder(), Terms(7, 1))
    while (request := study.ask()) is not None:
        row = score_of(request, value_of(request))
        study.tell(row if request.ask == 2 else replace(row, status="nan", val_accuracy=float("nan")))
    assert recorder.outcomes[6].proposal.parent == recorder.outcomes[2].proposal.arch.digest


def test_local_search_tries_neighbours_of_the_best_start() -> None:
    recorder = Recorder()
    drive(MAKERS["local"](0), recorder, budget=12)
    starts, first = recorder.outcomes[:4], recorder.outcomes[4].proposal
    assert first.parent == max(starts, key=lambda o: o.value).proposal.arch.digest


def test_local_search_begins_anew_where_no_neighbour_is_better() -> None:
    space = make_space(ConvSpace(widths=((8, 10), (8, 10), (8, 12))), IMAGE, 10)
    algorithm = local_search.LocalSearch(LocalSearch(starts=1), space, STEPS, 0)
    scores = drive(algorithm, Recorder(), budget=16, value=lambda request: 0.5)
    assert len({score.arch for score in scores}) == 16
    assert sum(score.parent == "" for score in scores) >= 2


def test_evolution_reaches_all_of_a_small_space_of_cells() -> None:
    """Mutations that lead to known or isomorphic cells are walked through."""
    algorithm = evolution.Evolution(Evolution(population=3, sample=2), CELLS, STEPS, 0)
    scores = drive(algorithm, Recorder(), budget=60, value=lambda request: 0.5)
    assert len({score.arch for score in scores}) == 60


def test_rungs_end_with_all_steps() -> None:
    assert halving.rungs(1, 3, 27) == [1, 3, 9, 27]
    assert halving.rungs(4, 3, 32) == [4, 12, 32]
    assert halving.rungs(8, 2, 8) == halving.rungs(9, 2, 8) == [8]


@pytest.mark.parametrize("name", ["asha", "halving"])
def test_halving_teaches_few_to_the_end_and_the_best_of_them(name: str) -> None:
    scores = drive(MAKERS[name](0), Recorder(), budget=27)
    per_rung = [sum(score.fidelity == steps for score in scores) for steps in (1, 3, 9, 27)]
    assert per_rung[0] == 27
    assert per_rung[3] >= 1
    assert all(more > fewer for more, fewer in pairwise(per_rung))
    steps = sum(score.fidelity for score in scores)
    assert steps < 27 * 27 / 4


def test_synchronous_halving_promotes_the_best_third_exactly() -> None:
    scores = drive(MAKERS["halving"](0), Recorder(), budget=27, workers=4)
    lowest = sorted((s for s in scores if s.fidelity == 1), key=lambda s: (-s.val_accuracy, s.arch))
    assert {s.arch for s in scores if s.fidelity == 3} == {s.arch for s in lowest[:9]}
    assert [sum(score.fidelity == steps for score in scores) for steps in (1, 3, 9, 27)] == [27, 9, 3, 1]


@pytest.mark.parametrize("seed", range(3))
def test_synchronous_halving_goes_rung_by_rung_and_in_parallel_within_one(seed: int) -> None:
    """Accuracies that say nothing of those after more steps: the best third of a rung is known at its end alone."""
    recorder, alone = Recorder(), Recorder()
    drive(MAKERS["halving"](0), recorder, budget=27, workers=9, seed=seed, value=chance)
    drive(MAKERS["halving"](0), alone, budget=27, value=chance)
    rungs = {event.proposal.ask: event.proposal.fidelity for event in recorder.events if isinstance(event, Asked)}
    under_way, most = set[int](), dict.fromkeys((1, 3, 9, 27), 0)
    for event in recorder.events:
        if isinstance(event, Told):
            under_way.remove(event.ask)
            continue
        under_way.add(event.proposal.ask)
        assert {rungs[ask] for ask in under_way} == {event.proposal.fidelity}
        most[event.proposal.fidelity] = max(most[event.proposal.fidelity], len(under_way))
    assert most == {1: 9, 3: 9, 9: 3, 27: 1}
    assert keys_of(recorder) == keys_of(alone)
    for lower, upper in pairwise((1, 3, 9, 27)):
        told = {o.proposal.arch.digest: o.value for o in recorder.outcomes if o.proposal.fidelity == lower}
        best_third = sorted(told, key=lambda arch: (-told[arch], arch))[: len(told) // 3]
        assert [arch for arch, steps in keys_of(recorder) if steps == upper] == best_third


def chance(request: Request) -> float:
    return float(np.random.default_rng(int(request.arch.digest[:12], 16) + request.fidelity).random())


def keys_of(recorder: Recorder) -> list[tuple[str, int]]:
    asked = [event.proposal for event in recorder.events if isinstance(event, Asked)]
    return [(proposal.arch.digest, proposal.fidelity) for proposal in asked]


def test_a_list_is_scored_in_order_and_equal_networks_once(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    specs = [{"widths": [8, 8, 8]}, {"widths": [9, 8, 8]}, {"widths": [8, 8, 8]}]
    whole = Architecture("conv", {"widths": [10, 8, 8]})
    path.write_text("\n".join(map(json.dumps, specs)) + "\n\n" + whole.to_json() + "\n")
    algorithm = fixed_list.FixedList(fixed_list.read_list(path, CONV), STEPS)
    recorder = Recorder()
    drive(algorithm, recorder)
    assert [o.proposal.arch.spec["widths"][0] for o in recorder.outcomes] == [8, 9, 10]


def test_a_bad_line_of_a_list_is_named_and_an_empty_list_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    for text, message in (("{", "line 1: not JSON"), ('{"widths": [8, 8, 99]}', r"line 1: conv: widths\[2\]")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            fixed_list.read_list(path, CONV)
    with pytest.raises(ConfigError, match="Cannot read the list"):
        fixed_list.read_list(tmp_path / "none", CONV)
    for nothing in ("", "\n  \n"):
        path.write_text(nothing)
        with pytest.raises(ConfigError, match=r"list\.jsonl is empty\.\n.*space is conv"):
            fixed_list.read_list(path, CONV)


def test_nsga2_takes_no_failed_network_for_one_of_the_front() -> None:
    """The smallest of all fails."""
    algorithm = MAKERS["nsga2"](0)
    asked = [proposal for number in range(12) if (proposal := algorithm.ask(number, fresh=True))]
    smallest = min(asked, key=lambda proposal: CONV.params(proposal.arch))
    for proposal in asked:
        row = score_of(Request(proposal.arch, STEPS), 0.5)
        algorithm.tell(Outcome(proposal, (replace(row, status="nan") if proposal is smallest else row,)))
    front = [values for trial in algorithm._study.best_trials if (values := trial.values)]  # type: ignore[attr-defined]
    assert front and all(np.isfinite(values).all() for values in front)
    assert min(values[1] for values in front) > CONV.params(smallest.arch)


def test_nsga2_finds_smaller_networks_than_accuracy_alone_does() -> None:
    """On a hill that rises with the widths."""

    def rising(request: Request) -> float:
        return float(sum(request.arch.spec["widths"]) / 100)

    def mean_size(name: str) -> float:
        recorder = Recorder()
        drive(MAKERS[name](0), recorder, budget=90, value=rising)
        return float(np.mean([CONV.params(outcome.proposal.arch) for outcome in recorder.outcomes[-30:]]))

    assert mean_size("nsga2") < mean_size("evolution")


def test_every_space_is_sampled_through_optuna() -> None:
    sections = (ChainSpace(), ConvSpace(), NaoCellSpace(), NasBench201Space())
    for section in sections:
        space = make_space(section, IMAGE, 10)
        scores = drive(optuna_search.tpe(Tpe(startup=4), space, STEPS, 0), Recorder(), budget=8, value=lambda _: 0.5)
        assert len({score.arch for score in scores}) == 8
