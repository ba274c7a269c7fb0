"""`gtn` with a scripted fault: the variable FAULT says what happens where, as JSON.

    {"do": "kill", "iteration": 7, "replica": 1, "once": "/path/of/a/mark"}

`do`: kill, stop, term (a signal to the rank that has this replica, or any where none is named), orphan (SIGKILL to its
launcher), run (its `command`), nan (its real batch), drift (its rank's teacher).
`rename`: n instead of iteration and replica kills the process at the n-th checkpoint, written but not yet renamed.
`once`: the fault happens only while this file is not there, and makes it. `until`: nan at all iterations from
`iteration` to before this one. `generation`: nan only among these random streams.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "term": signal.SIGTERM}


def script(fault: dict[str, Any]) -> None:
    """Has the fault happen in this process."""
    if "rename" in fault:
        sys.addaudithook(_before_renames(fault))
    elif fault:
        _in_replicas(fault)


def _before_renames(fault: dict[str, Any]) -> Callable[[str, tuple[Any, ...]], None]:
    left = [fault["rename"]]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and Path(str(arguments[0])).name.startswith(".step-"):
            left[0] -= 1
            if left[0] == 0 and _first(fault):
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def _in_replicas(fault: dict[str, Any]) -> None:
    from gtn_hpc.meta import loop, setup

    def make_task(room: Any, iteration: int, replica: int, generation: int = 0) -> Any:
        task = setup.make_task(room, iteration, replica, generation)
        return _struck(fault, room, task, iteration) if _here(fault, iteration, replica, generation) else task

    loop.make_task = make_task


def _here(fault: dict[str, Any], iteration: int, replica: int, generation: int) -> bool:
    first = fault["iteration"]
    when = range(first, fault.get("until", first + 1))
    return iteration in when and replica == fault.get("replica", replica) and generation <= fault.get("generation", 99)


def _struck(fault: dict[str, Any], room: Any, task: Any, iteration: int) -> Any:
    if not _first(fault):
        return task
    if fault["do"] == "nan":
        last, batch = max(task.real.items())
        return replace(task, real={**task.real, last: batch._replace(x=batch.x * float("nan"))})
    if fault["do"] == "drift":
        next(room.teacher.parameters()).data.view(-1)[0] += 1e-9
    elif fault["do"] == "run":
        subprocess.run(fault["command"], check=True)
    elif fault["do"] == "orphan":
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()
    else:
        os.kill(os.getpid(), SIGNALS[fault["do"]])
    return task


def _first(fault: dict[str, Any]) -> bool:
    if "once" not in fault:
        return True
    try:
        Path(fault["once"]).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


if __name__ == "__main__":
    from gtn_hpc.cli import main

    script(json.loads(os.environ.get("FAULT", "{}")))
    sys.exit(main())
