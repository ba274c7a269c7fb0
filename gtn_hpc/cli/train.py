"""`gtn train`."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gtn_hpc.cli import console, judged
from gtn_hpc.cli.failing import crashes_go_to
from gtn_hpc.cli.meter import Meter
from gtn_hpc.cli.options import ConfigFile, Json, Overrides

if TYPE_CHECKING:
    from gtn_hpc.config import Config
    from gtn_hpc.meta.events import Event, Refused
    from gtn_hpc.meta.stage import Taught


def train(config: ConfigFile, overrides: Overrides = None, as_json: Json = False) -> None:
    """Meta-train a teacher, and write its curriculum.h5.

    Goes on by itself from the last checkpoint of the run. Alone, or in parallel under torchrun, srun or mpiexec.

    Example: gtn train configs/digits.yaml meta.iterations=500 run.name=short
    """
    from gtn_hpc.config import load

    settings = load(config, overrides or ())
    with crashes_go_to(settings.run.directory.path):
        taught = teach(settings)
    if taught.evaluation is None:
        return
    numbers = judged.summary(taught.evaluation)
    if as_json:
        places = {"run": taught.run.path, "curriculum": taught.run.curriculum, "digest": taught.frozen.digest()}
        console.emit(places | {"evaluation": numbers})
    else:
        judged.show(numbers)
        console.say(f"Curriculum: {taught.run.curriculum}")


def teach(settings: "Config") -> "Taught":
    """Meta-training under a meter; only the first of several ranks has an evaluation to tell."""
    from gtn_hpc.cluster.connect import connect
    from gtn_hpc.meta.stage import train as run_training

    connection = connect(settings.run.device, timeout=settings.run.timeout)
    first = connection.communicator.rank == 0
    with connection.communicator, Meter("teaching", settings.meta.iterations, shown=first) as meter:
        return run_training(settings, connection, [watching(meter)])


def _spread(sd: float) -> str:
    return "" if math.isnan(sd) else f" (sd {sd:.1f})"


def _run_of(refused: "Refused") -> Path:
    return Path(refused.replay).parent.parent


def watching(meter: Meter) -> "Callable[[Event], None]":
    """An observer of meta-training that moves the meter."""
    from gtn_hpc.meta.events import Evaluated, Iterated, Judging, Noted, Played, Refused, Resumed, WentBack

    def observe(event: "Event") -> None:
        match event:
            case Iterated():
                meter.reach(event.iteration + 1, f"loss {event.loss:.3f}")
            case Evaluated():
                found = f"{100 * event.accuracy:.1f} %{_spread(100 * event.sd)}"
                who = "1 fresh learner reaches" if event.learners == 1 else f"{event.learners} fresh learners reach"
                meter.note(f"after {event.iteration}: {who} {found}")
            case Played():
                found = f"{event.mean_return:.1f}{_spread(event.sd)}"
                who = "1 fresh policy reaches" if event.policies == 1 else f"{event.policies} fresh policies reach"
                meter.note(f"after {event.iteration}: {who} a return of {found}")
            case Refused():
                where = ", ".join(f"{one.replica} of rank {one.rank}" for one in event.replicas) or "the sum of all"
                meter.note(
                    f"meta-iteration {event.iteration + 1}: the gradient of replica {where} is not finite; nothing was "
                    f"updated. To see why: gtn check-grad {_run_of(event)} --replay {event.replay}"
                )
            case WentBack():
                meter.note(f"training diverged; back to meta-iteration {event.iteration}, with fresh random streams")
            case Resumed():
                meter.note(f"resumed after {event.iteration} meta-iterations")
            case Judging():
                meter.turn_to("judging", event.total)
                meter.reach(event.done)
            case Noted():
                meter.note(event.message)

    return observe
