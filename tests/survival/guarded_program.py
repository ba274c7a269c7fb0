"""One rank that meets what can go wrong in the meta-gradient, one run after the other, and tells what it saw."""

import json
import signal
import sys
from pathlib import Path

from scripted import script
from survival_runs import tiny

from gtn_hpc.cluster.connect import connect
from gtn_hpc.core.errors import GtnError
from gtn_hpc.meta import loop, setup
from gtn_hpc.meta.stage import train

RUNS = {
    "clean": ({}, {}),
    "refused": ({"do": "nan", "iteration": 3, "replica": 1}, {}),
    "back": ({"do": "nan", "iteration": 6, "until": 9, "replica": 1, "generation": 0}, {"meta__max_refused": 3}),
    "given_up": ({"do": "nan", "iteration": 6, "until": 9, "replica": 1}, {"meta__max_refused": 3}),
    "drifted": ({"do": "drift", "iteration": 6, "replica": 1}, {"meta__compare_every": 4}),
    "hung": ({"do": "stop", "iteration": 6, "replica": 1}, {}),
}
SMALL = {"meta__replicas": 2, "meta__iterations": 10, "meta__max_returns": 2}


def main(root: Path) -> None:
    connection = connect("cpu", timeout=20, meeting=120)
    told = {}
    for name, (fault, changes) in RUNS.items():
        loop.make_task = setup.make_task
        script(fault)
        try:
            told[name] = train(tiny(root, run__name=name, **SMALL, **changes), connection).frozen.digest()
        except GtnError as error:
            told[name] = str(error)
        (root / f"told-{connection.communicator.rank}.json").write_text(json.dumps(told))
    sys.stdout.flush()
    signal.raise_signal(signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
