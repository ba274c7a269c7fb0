"""Successive halving against its rule written plainly: sort all that was told, promote the best that were not yet."""

import math
import random
from dataclasses import replace

import pytest
from test_algorithms import CONV, STEPS, score_of

from gtn_hpc.config.searching import SuccessiveHalving
from gtn_hpc.search import halving
from gtn_hpc.search.algorithm import Outcome, Proposal
from gtn_hpc.training.request import Request


class Plain:
    """The rule in words, without anything kept in order: sorts all that was told at each question."""

    def __init__(self, eta: int, rungs: list[int], asynchronous: bool) -> None:
        self.eta, self.rungs, self.asynchronous = eta, rungs, asynchronous
        self.told: list[dict[str, float]] = [{} for _ in rungs]
        self.promoted: list[set[str]] = [set() for _ in rungs]
        self.asked = [0 for _ in rungs]

    def promotion(self) -> tuple[str, int] | None:
        lower = list(range(len(self.rungs) - 1))
        if self.asynchronous:
            lower.reverse()
        for rung in lower:
            told = self.told[rung]
            if not self.asynchronous and self.asked[rung] != len(told):
                return None
            for arch in sorted(told, key=lambda arch: (-told[arch], arch))[: len(told) // self.eta]:
                if arch not in self.promoted[rung] and told[arch] > -math.inf:
                    self.promoted[rung].add(arch)
                    return arch, self.rungs[rung + 1]
        return None


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("seed", range(15))
def test_halving_promotes_whom_the_rule_promotes_in_any_order_of_tells(seed: int, asynchronous: bool) -> None:
    """With equal values, failures, and values that are told again."""
    rng, eta = random.Random(seed), 2 + seed % 3
    section = SuccessiveHalving(first=1, eta=eta, asynchronous=asynchronous)
    algorithm = halving.SuccessiveHalving(section, CONV, STEPS, seed)
    plain, running, told = Plain(eta, algorithm.rungs, asynchronous), list[Proposal](), list[Proposal]()
    for number in range(400):
        for _ in range(rng.randrange(3)):
            if told and rng.random() < 0.1:
                running.append(rng.choice(told))
            if running:
                told.append(running.pop(rng.randrange(len(running))))
                value = -math.inf if rng.random() < 0.2 else rng.randrange(12) / 12
                plain.told[plain.rungs.index(told[-1].fidelity)][told[-1].arch.digest] = value
                algorithm.tell(outcome_of(told[-1], value))
        fresh = len(plain.told[0]) < 100 and number < 250
        expected = None if fresh and not asynchronous else plain.promotion()
        proposal = algorithm.ask(number, fresh=fresh)
        if expected is None:
            assert proposal is None or (fresh and proposal.fidelity == 1 and not proposal.parent)
        else:
            assert proposal is not None and (proposal.parent, proposal.fidelity) == expected
        if proposal is not None:
            plain.asked[plain.rungs.index(proposal.fidelity)] += 1
            running.append(proposal)
    assert min(len(promoted) for promoted in plain.promoted[:2]) > 2


def outcome_of(proposal: Proposal, value: float) -> Outcome:
    row = score_of(Request(proposal.arch, proposal.fidelity, ask=proposal.ask), value)
    return Outcome(proposal, (row if value > -math.inf else replace(row, status="nan", val_accuracy=math.nan),))


class Compared(float):
    """A value that counts how often it was compared or negated."""

    count = 0

    def __lt__(self, other: float) -> bool:
        Compared.count += 1
        return float(self) < float(other)

    def __neg__(self) -> "Compared":
        Compared.count += 1
        return Compared(-float(self))


def test_a_question_of_a_rung_of_thousands_compares_few() -> None:
    rung, rng = halving.Rung(), random.Random(0)
    for number in range(3000):
        rung.tell(f"{number:04d}", Compared(rng.random()))
    while rung.promote(3) is not None:
        pass
    Compared.count = 0
    for number in range(3000, 3030):
        rung.tell(f"{number:04d}", Compared(rng.random()))
        rung.promote(3)
    assert 0 < Compared.count < 30 * 60
