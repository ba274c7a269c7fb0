"""How long evaluations take: as a run has recorded them, from a file, or as one says."""

import math
import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np

from gtn_hpc.core.errors import GtnError, UsageError
from gtn_hpc.core.records import Score
from gtn_hpc.core.rundir import RunDirectory, find
from gtn_hpc.core.streams import numpy_rng
from gtn_hpc.scores.replay import read_journals

GIVEN = re.compile(r"(\d+(?:\.\d+)?)(?:~(\d+(?:\.\d+)?))?")
ONE_A_LINE = "One duration in seconds a line, each above 0."
DRAWS = 10_000
"""Durations that stand for a distribution."""


@dataclass(frozen=True)
class Recorded:
    """Seconds of evaluations in the order in which they began; `between` are seconds that a worker needs from one to
    the next (median), `workers` worked, and from the first beginning to the last end it took `span` seconds."""

    durations: tuple[float, ...]
    source: str
    between: float = 0.0
    workers: int = 0
    span: float = 0.0

    def drawn(self, evaluations: int, seed: int) -> list[float]:
        """As many as asked for, each with what comes between: those known first, further ones drawn from them."""
        known = np.asarray(self.durations[:evaluations])
        further = numpy_rng(seed, "plan/durations").choice(np.asarray(self.durations), evaluations - len(known))
        return [float(seconds) + self.between for seconds in (*known, *further)]


def of_run(run: RunDirectory) -> Recorded:
    """What the journals of `run` hold.

    Raises:
        UsageError: nothing is scored there yet.
    """
    scores = {score.key: score for score in read_journals(run.journal).scores}.values()
    if not scores:
        raise UsageError(
            f"The run '{run.name}' has scored nothing yet.",
            remedy="Give the seconds of an evaluation: --durations 36~0.5 (mean and relative spread), a file or a run.",
        )
    began = sorted(scores, key=_began)
    span = max(score.time for score in scores) - _began(began[0])
    gaps = list(_gaps(scores))
    between = max(0.0, statistics.median(gaps)) if gaps else 0.0
    workers = len({_worker(score) for score in scores})
    source = f"{len(scores)} evaluations of the run '{run.name}'"
    return Recorded(tuple(score.seconds for score in began), source, between, workers, span)


def _began(score: Score) -> float:
    return score.time - score.seconds


def _worker(score: Score) -> tuple[str, str, int]:
    return score.job, score.host, score.rank


def _gaps(scores: Iterable[Score]) -> Iterator[float]:
    """Seconds between the end of one evaluation and the beginning of the worker's next."""
    for _, own in groupby(sorted(scores, key=lambda score: (_worker(score), score.time)), key=_worker):
        yield from (_began(after) - before.time for before, after in pairwise(own))


def recorded(named: str, root: Path) -> Recorded:
    """Durations by what is named: a run (path, or name under `root`), a file with a number a line, `36`, or `36~0.5`:
    a log-normal distribution of that mean and relative standard deviation.

    Raises:
        UsageError: there is nothing of that name, no duration in it, or one that is not above 0.
    """
    if match := GIVEN.fullmatch(named):
        return _given(float(match[1]), float(match[2] or 0))
    if Path(named).is_file():
        return Recorded(tuple(_numbers(Path(named))), f"the file {named}")
    try:
        run = find(named, root)
    except GtnError as error:
        raise UsageError(
            f"'{named}' is neither a run, nor a file, nor seconds.", remedy="Seconds: 36, or 36~0.5 with a spread."
        ) from error
    return of_run(run)


def _given(mean: float, spread: float) -> Recorded:
    if not mean:
        raise UsageError(f"--durations: {mean:g} s is no duration.", remedy="Give seconds above 0: 36, or 36~0.5.")
    sigma = math.sqrt(math.log1p(spread**2))
    drawn = numpy_rng(0, "plan/given").lognormal(math.log(mean) - sigma**2 / 2, sigma, DRAWS if sigma else 1)
    return Recorded(tuple(map(float, drawn)), f"{mean:g} s, relative spread {spread:g}")


def _numbers(path: Path) -> Sequence[float]:
    """A heading, or what is no duration, is an error that names its line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read {path} as text: {error}.", remedy=ONE_A_LINE) from error
    found = [_seconds(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise UsageError(f"{path} holds no duration.", remedy=ONE_A_LINE)
    return found


def _seconds(line: str, where: str) -> float:
    try:
        found = float(line)
    except ValueError as error:
        raise UsageError(f"{where}: '{line.strip()}' is no number.", remedy=ONE_A_LINE) from error
    if not 0 < found < math.inf:
        raise UsageError(f"{where}: {line.strip()} s is no duration.", remedy=ONE_A_LINE)
    return found
