"""One rank that teaches with both reductions and, where there are three, is stopped in a further run."""

from pathlib import Path

from scripted import script
from survival_runs import tiny

from gtn_hpc.cluster.connect import connect
from gtn_hpc.cluster.environment import RankEnvironment
from gtn_hpc.core.errors import Requeue
from gtn_hpc.meta.stage import train

FAST = {"run__name": "fast", "meta__reduction": "fast", "engine__name": "trajectory"}
"""Sends what is done while the rest is still being differentiated."""


def main(root: Path, place: RankEnvironment) -> None:
    with (connection := connect("cpu", environment=place, timeout=120, meeting=120)).communicator:
        train(tiny(root, **FAST), connection)
        train(tiny(root, run__name="ordered"), connection)
        if place.world != 3:
            return
        script({"do": "term", "iteration": 9, "replica": 1})
        try:
            train(tiny(root, run__name="stopped"), connection)
        except Requeue as error:
            (root / f"said-{place.rank}").write_text(str(error))
