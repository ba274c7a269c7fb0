"""Who is told what while a search runs."""

from collections.abc import Callable
from dataclasses import dataclass

from gtn_hpc.core.records import Score
from gtn_hpc.search.algorithm import Outcome
from gtn_hpc.search.certificate import Certificate


@dataclass(frozen=True)
class Watch:
    """Called with the number of outcomes that earlier starts found, each outcome of the study, each certificate as it
    grows, each row of a static shard, what is wrong with the teacher's ranking or scores.h5, and before all of them the
    best value that earlier starts found, if any; nothing by default.

    `stop` is asked before every new evaluation.
    """

    begun: Callable[[int], None] = lambda _: None
    outcome: Callable[[Outcome], None] = lambda _: None
    certificate: Callable[[Certificate], None] = lambda _: None
    stop: Callable[[], object] = lambda: False
    warning: Callable[[str], None] = lambda _: None
    row: Callable[[Score], None] = lambda _: None
    best: Callable[[float], None] = lambda _: None


SILENT = Watch()
"""Nobody is told anything."""
