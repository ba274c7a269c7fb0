"""NSGA-II and TPE through Optuna."""

import math
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.study import StudyDirection

from gtn_hpc.config.searching import Nsga2 as Nsga2Section
from gtn_hpc.config.searching import Tpe as TpeSection
from gtn_hpc.core.records import Architecture
from gtn_hpc.core.streams import derive
from gtn_hpc.search.algorithm import Algorithm, Outcome, Proposal
from gtn_hpc.search.novelty import DRAWS, SpaceExhausted
from gtn_hpc.spaces import Space

FAILED = -1.0
"""Told of an architecture without a score: worse than any accuracy; its size is told as infinite, or else a small one
that failed would be beaten by none."""


class Draws:
    """What `Space.sample` draws from instead of a generator: each draw is a parameter of the trial, named by its place.

    Optuna's parameters depend on those before, as the draws of a sample do: the space itself defines them.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial, self._number = trial, count()

    def integers(self, low: int, high: int | None = None, size: int | None = None) -> Any:
        """As `numpy.random.Generator.integers`."""
        first, end = (0, low) if high is None else (low, high)
        drawn = [self._draw(first, end) for _ in range(1 if size is None else size)]
        return drawn[0] if size is None else np.array(drawn)

    def _draw(self, low: int, end: int) -> int:
        """The name holds the range: places whose ranges differ by what was drawn before are different parameters."""
        return self._trial.suggest_int(f"{next(self._number)}:{low}:{end}", low, end - 1)


class OptunaSearch(Algorithm):
    """A sampler of Optuna over the draws of a space, seeded anew for each proposal; networks that were proposed
    before are told their value again without being asked for.

    One objective: accuracy. Three: accuracy up, parameters and FLOPs down.
    """

    def __init__(self, sampler: Callable[[int], BaseSampler], objectives: int, space: Space, steps: int, seed: int):
        self.space, self.steps, self.seed, self._sampler = space, steps, seed, sampler
        directions = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE, StudyDirection.MINIMIZE][:objectives]
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(sampler=sampler(seed), directions=directions)
        self._trials: dict[str, list[optuna.Trial]] = {}
        self._values: dict[str, list[float]] = {}

    def ask(self, number: int, *, fresh: bool) -> Proposal | None:
        if not fresh:
            return None
        for draw in range(DRAWS):
            self._study.sampler = self._sampler(derive(self.seed, "search/optuna", number, draw) % 2**32)
            trial = self._study.ask()
            arch = self.space.canonical(self.space.sample(Draws(trial)))  # type: ignore[arg-type]
            if arch.digest not in self._trials:
                self._trials[arch.digest] = [trial]
                return Proposal(number, arch, self.steps)
            self._repeat(trial, arch)
        raise SpaceExhausted(self.space.name, len(self._trials))

    def _repeat(self, trial: optuna.Trial, arch: Architecture) -> None:
        """Of a network whose value is not known yet the trial waits with the first one."""
        if arch.digest in self._values:
            self._study.tell(trial, self._values[arch.digest])
        else:
            self._trials[arch.digest].append(trial)

    def tell(self, outcome: Outcome) -> None:
        arch = outcome.proposal.arch
        ended = outcome.value > -math.inf
        sizes = [float(self.space.params(arch)), float(self.space.flops(arch))] if ended else [math.inf, math.inf]
        self._values[arch.digest] = [outcome.value if ended else FAILED, *sizes][: len(self._study.directions)]
        for trial in self._trials[arch.digest]:
            self._study.tell(trial, self._values[arch.digest])


def nsga2(section: Nsga2Section, space: Space, steps: int, seed: int) -> OptunaSearch:
    """Deb et al. 2002: a front of accuracy, parameters and FLOPs."""
    return OptunaSearch(lambda own: NSGAIISampler(population_size=section.population, seed=own), 3, space, steps, seed)


def tpe(section: TpeSection, space: Space, steps: int, seed: int) -> OptunaSearch:
    """Bergstra et al. 2011: a tree of Parzen estimators."""
    return OptunaSearch(lambda own: TPESampler(n_startup_trials=section.startup, seed=own), 1, space, steps, seed)
