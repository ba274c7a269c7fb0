"""`gtn` whose meta-training waits, before its last meta-iterations, for the file that the first argument names."""

import sys
import time
from pathlib import Path
from typing import Any

from gtn_hpc.cli import main
from gtn_hpc.meta import loop, setup

LAST = 4
"""Meta-iterations that are left, so that there is something to stop afterwards."""


def make_task(room: Any, iteration: int, replica: int, generation: int = 0) -> Any:
    while iteration + LAST >= room.config.meta.iterations and not Path(sys.argv[1]).exists():
        time.sleep(0.01)
    return setup.make_task(room, iteration, replica, generation)


loop.make_task = make_task
sys.exit(main(sys.argv[2:]))
