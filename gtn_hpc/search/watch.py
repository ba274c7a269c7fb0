"""Who is told what while a search runs."""

from collections.abc import Callable
from dataclasses import dataclass

from gtn_hpc.core.records import Score
from gtn_hpc.search.algorithm import Outcome


@dataclass(frozen=True)
class Watch:
    """Called with each outcome of the study, each row on real data, each row of a static shard; nothing by default.

    `stop` is asked before every new evaluation.
    """

    outcome: Callable[[Outcome], None] = lambda _: None
    truth: Callable[[Score], None] = lambda _: None
    stop: Callable[[], object] = lambda: False
    row: Callable[[Score], None] = lambda _: None


SILENT = Watch()
"""Nobody is told anything."""
