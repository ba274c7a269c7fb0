"""Do all ways to the meta-gradient agree, part by part, with each other and with finite differences?"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from gtn_hpc import checkpoint
from gtn_hpc.cluster.device import choose, enter
from gtn_hpc.cluster.environment import ALONE
from gtn_hpc.config import Config, parse
from gtn_hpc.config.claim import differences
from gtn_hpc.core.errors import CheckpointError, UsageError
from gtn_hpc.core.records import Batch, Hyper
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.inner.auto import make_adjoint
from gtn_hpc.inner.build import make_engine
from gtn_hpc.inner.engine import Engine, Episode, MetaGradient, Task
from gtn_hpc.inner.finite import central_difference
from gtn_hpc.inner.higher_engine import Higher
from gtn_hpc.inner.keeping import EVERYTHING, GENERATOR
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.inner.showing import Together, show
from gtn_hpc.inner.trajectory import Trajectory
from gtn_hpc.inner.unrolled import Unrolled
from gtn_hpc.meta.place import Place
from gtn_hpc.meta.room import AnyRoom
from gtn_hpc.meta.setup import make_task, prepare
from gtn_hpc.models.precision import PRECISIONS

TOLERANCE = 1e-8
"""Largest relative error between two exact ways, in float64."""

NUMERIC_TOLERANCE = 1e-4
"""Largest relative error of finite differences: training jumps where a leaky ReLU or a pool switches."""

FLOOR = 1e-6
"""A part's gradient counts as at least this share of the whole gradient's norm, when errors are made relative."""

STEPS = 3
"""Inner steps that are checked, those of a random teacher of a curriculum so short, unless a replica is replayed."""

REPLAYED = ("run", "data", "learners", "teacher", "inner", "meta", "rl")
"""Sections of the configuration that a replica follows from."""


@dataclass(frozen=True)
class Checked:
    """One way and one part: its relative error against the graph of all steps, and the part's `norm` by that graph.

    A tolerance of None is for what is told and not judged: the rounding of `run.precision`, and a gradient that is not
    `finite` by the graph of all steps itself, against which there is no error.
    """

    way: str
    part: str
    norm: float
    error: float
    tolerance: float | None
    finite: bool = True

    @property
    def ok(self) -> bool | None:
        """Whether the error is within its tolerance; None where nothing is judged."""
        return None if self.tolerance is None else self.error <= self.tolerance


def check_gradients(config: Config, *, replay: Path | None = None) -> list[Checked]:
    """A row for every way and part, in float64 on a CPU; and the rounding of the run's own precision and engine.

    A part whose gradient by the graph of all steps is not finite, or too large for `run.precision`, has one row alone.

    Checked is replica 0 of meta-iteration 0, with a random teacher of three inner steps (more where three would not
    show every class), or with `replay` the first replica of a refused meta-iteration, with the teacher of that moment
    and all its steps. Costs some dozen
    meta-gradients and 16 trainings a part. The adjoint `compiled` is left out: it is the traced one after half a minute
    of compiling.

    Raises:
        CheckpointError: `replay` is no directory of a refused meta-iteration.
        ClusterError: `run.device` is a GPU that is not there among others.
        UsageError: `replay` was written under another configuration.
    """
    cpu = torch.device("cpu")
    room = prepare(config, cpu)
    if replay is None and (shorter := _shortened(config, room.classes)) != config:
        room = prepare(shorter, cpu)
    room.teacher.double()
    task = in_float64(make_task(room, 0, 0) if replay is None else _replayed(room, replay))
    teacher: Tensors = dict(room.teacher.named_parameters())
    expected = Unrolled()(task, teacher, wrt_initial=True)
    overflown = list(_overflown(expected, torch.finfo(PRECISIONS[config.run.precision].dtype).max))
    expected = _without(expected, {row.part for row in overflown})
    if not _parts(expected):
        return overflown
    rows = [row for name, make in WAYS.items() for row in _compare(name, make(), task, teacher, expected)]
    rows += _numeric(task, teacher, expected, config.run.seed)
    return overflown + rows + _rounding(room, replay, expected)


WAYS: dict[str, Callable[[], Engine]] = {
    "higher": Higher,
    "trajectory/auto": lambda: Trajectory(make_adjoint("auto")),
    "trajectory/reverse": lambda: Trajectory(make_adjoint("reverse")),
    "trajectory/reverse, tapes kept": lambda: Trajectory(make_adjoint("reverse"), keep=EVERYTHING),
    "trajectory/traced": lambda: Trajectory(make_adjoint("traced")),
    "trajectory/kit": lambda: Trajectory(make_adjoint("kit")),
    "trajectory/kit, generator kept": lambda: Trajectory(make_adjoint("kit"), keep=GENERATOR),
    "trajectory/kit, states on the host": lambda: Trajectory(make_adjoint("kit"), offload="host"),
    "trajectory/kit, recomputed": lambda: Trajectory(make_adjoint("kit"), offload="recompute"),
}


def _overflown(expected: MetaGradient, largest: float) -> Iterator[Checked]:
    """Where a way went wrong cannot be told from a gradient that no number of the run can hold."""
    for part, exact in _parts(expected).items():
        norm = float(exact.norm())
        if not norm <= largest:
            yield Checked("graph of all steps", part, norm, math.nan, None, finite=False)


def _without(found: MetaGradient, parts: Set[str]) -> MetaGradient:
    gradient = {k: g for k, g in found.gradient.items() if _part_of(k) not in parts}
    initial = {k: g for k, g in found.initial.items() if _part_of(INITIAL + k) not in parts}
    return replace(found, gradient=gradient, initial=initial)


def _rounding(room: AnyRoom, replay: Path | None, exact: MetaGradient) -> list[Checked]:
    """What `run.precision` costs, on the device of the run: TF32 differs from float32 on a GPU alone."""
    config = room.config
    if config.run.precision == "float64":
        return []
    device = enter(choose(config.run.device if torch.cuda.is_available() else "cpu", ALONE))
    room = prepare(config, device)
    task = make_task(room, 0, 0) if replay is None else _replayed(room, replay)
    whole = config.engine.model_copy(update={"window": None})  # a window leaves steps out, which is no rounding
    found = make_engine(whole)(task, dict(room.teacher.named_parameters()), wrt_initial=True)
    name = f"rounding of {config.run.precision} on {device.type}"
    return [replace(row, tolerance=None) for row in _errors(name, found, exact)]


def _compare(name: str, engine: Engine, task: Task, teacher: Tensors, expected: MetaGradient) -> Iterator[Checked]:
    return _errors(name, engine(task, teacher, wrt_initial=True), expected)


def _errors(name: str, gradient: MetaGradient, expected: MetaGradient) -> Iterator[Checked]:
    found, wanted = _parts(gradient), _parts(expected)
    floor = FLOOR * float(_vector(wanted.values()).norm())
    for part, exact in wanted.items():
        norm = float(exact.norm())
        error = float((found[part].to(exact) - exact).norm()) / max(norm, floor)
        yield Checked(name, part, norm, error, TOLERANCE)


def _numeric(task: Task, teacher: Tensors, expected: MetaGradient, seed: int) -> Iterator[Checked]:
    """Along one random direction of each part."""
    draws, values = torch_generator(seed, "check-grad"), expected.gradient | _initial(expected)
    whole = float(_vector(values.values()).norm())
    for part in _parts(expected):
        names = [k for k in values if _part_of(k) == part]
        direction = {k: torch.randn(values[k].shape, generator=draws, dtype=values[k].dtype) for k in names}
        length = float(_vector(direction.values()).norm())
        exact = sum(float((values[k] * direction[k]).sum()) for k in names) / length
        along = {k.removeprefix(INITIAL): d for k, d in direction.items()}
        numeric = central_difference(task, teacher, along)
        size = max(abs(exact), float(_vector(values[k] for k in names).norm()) / length, FLOOR * whole)
        norm = float(_vector(values[k] for k in names).norm())
        yield Checked("finite differences", part, norm, abs(numeric - exact) / size, NUMERIC_TOLERANCE)


INITIAL = "initial parameters."


def _initial(found: MetaGradient) -> Tensors:
    return {INITIAL + k: g for k, g in found.initial.items()}


def _parts(found: MetaGradient) -> dict[str, Tensor]:
    """The gradient as a vector for each part of the teacher: generator, latents, labels, rate, momentum, start."""
    values = found.gradient | _initial(found)
    return {part: _vector(g for k, g in values.items() if _part_of(k) == part) for part in map(_part_of, values)}


def _part_of(name: str) -> str:
    first, _, rest = name.partition(".")
    return {"log_lr": "learning rate", "logit_momentum": "momentum"}.get(rest, first) if first == "schedule" else first


def _vector(values: Iterable[Tensor]) -> Tensor:
    return torch.cat([v.flatten() for v in values])


def _shortened(config: Config, classes: int) -> Config:
    curriculum = config.teacher.curriculum
    steps = min(curriculum.steps, max(STEPS, math.ceil(classes / curriculum.batch)))
    teacher = config.teacher.model_copy(update={"curriculum": curriculum.model_copy(update={"steps": steps})})
    return config.model_copy(update={"teacher": teacher})


@dataclass(frozen=True)
class Doubled:
    """An episode in float64."""

    episode: Episode

    @property
    def steps(self) -> int:
        return self.episode.steps

    @property
    def distinct(self) -> int:
        return self.episode.distinct if isinstance(self.episode, Together) else self.steps

    def batch(self, t: int) -> Batch:
        return _double(self.episode.batch(t))

    def hyper(self, t: int) -> Hyper:
        lr, momentum = self.episode.hyper(t)
        return Hyper(lr.double(), momentum.double())

    def together(self, steps: range) -> Sequence[tuple[Batch, Hyper]]:
        shown = show(self.episode, steps)
        return [(_double(s.batch), Hyper(s.hyper.lr.double(), s.hyper.momentum.double())) for s in shown]


def in_float64(task: Task) -> Task:
    """The same replica: its numbers are drawn in the precision of the run, and then made float64."""
    learner = replace(task.learner, module=task.learner.module.double(), autocast=None)
    real = {t: _double(batch) for t, batch in task.real.items()}
    return Task(learner, learner.initial_state(), Doubled(task.episode), real)


def _double(batch: Batch) -> Batch:
    return Batch(batch.x.double(), batch.y.double() if batch.y.is_floating_point() else batch.y)


def _require_own(config: Config, recorded: str, directory: Path) -> None:
    """Another seed or other widths would be another learner, and `directory` would be cleared of what it did."""
    changes = differences(parse(recorded, where=f"{directory}"), config, REPLAYED)
    if changes:
        raise UsageError(
            f"{directory} was written under another configuration:\n    " + "\n    ".join(changes),
            remedy=f"Give that of its run: gtn check-grad {directory.parent.parent} --replay {directory}",
        )


def _replayed(room: AnyRoom, directory: Path) -> Task:
    loaded = checkpoint.load(directory)
    if "replicas" not in loaded.meta:
        raise CheckpointError(
            f"{directory} is no record of a refused meta-iteration.",
            remedy="Give a directory refused/step-* of the run; the event log names it.",
        )
    _require_own(room.config, loaded.meta["config"], directory)
    room.teacher.load_state_dict(loaded.tensors["teacher"])
    place, replicas = Place(**loaded.meta["place"]), loaded.meta["replicas"]
    replica = replicas[0]["replica"] if replicas else 0
    return make_task(room, place.done, replica, place.generation)
