"""`gtn bench eval`: architectures scored a minute, the evaluator's ways beside a plain PyTorch loop."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from gtn_hpc.bench.plain_training import train_plainly
from gtn_hpc.cluster.device import choose, enter
from gtn_hpc.cluster.environment import ALONE
from gtn_hpc.config import Config, parse
from gtn_hpc.core.environment import describe
from gtn_hpc.core.errors import UsageError, nearest
from gtn_hpc.core.records import Architecture
from gtn_hpc.core.streams import numpy_rng, torch_generator
from gtn_hpc.curriculum.file import Description, write
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.data import load
from gtn_hpc.data.catalogue import find
from gtn_hpc.training.evaluator import Evaluator
from gtn_hpc.training.header import read_header
from gtn_hpc.training.request import Request
from gtn_hpc.training.run import Measurement
from gtn_hpc.training.setting import Setting
from gtn_hpc.training.steppers import make_stepper

Row = dict[str, Any]
Way = Callable[[Request], Measurement]

RIVALS = {"plain": torch.contiguous_format, "plain-channels-last": torch.channels_last}
OURS = ("lean", "traced", "compiled", "graphs", "reference")
DEFAULT = (*RIVALS, "lean", "traced", "reference")
"""Without `compiled`, which takes half a minute an architecture, and `graphs`, which is lean without a GPU."""

SPACES = ("nao_cell", "nasbench201")

CHECKED_STEPS = 8
TOLERANCE = 1e-6
"""In float64, after as many steps, validation losses in nats may differ by no more than this."""


@dataclass(frozen=True)
class Size:
    """Of one evaluation: N = `cells`, F = `filters`, images [channels, side, side], T steps of `batch`."""

    space: str = "nao_cell"
    cells: int = 1
    filters: int = 8
    side: int = 16
    channels: int = 1
    steps: int = 32
    batch: int = 64

    def __str__(self) -> str:
        network = f"{self.space} N={self.cells} F={self.filters}"
        return f"{network}, {self.channels}x{self.side}x{self.side}, T={self.steps}, batch {self.batch}"


def run(
    size: Size = Size(),
    paths: Sequence[str] = DEFAULT,
    *,
    architectures: int = 6,
    repeats: int = 3,
    device: str = "cpu",
    precision: str = "float32",
    say: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Scores random architectures by every path in turn and reports the median over `repeats` of each, one thread.

    Every architecture is new to every path in its first repeat; traces are forgotten after each evaluation, so making
    them is part of the time. Images are digits, enlarged. Returns the report of design.md.

    Raises:
        UsageError: a path or the space is unknown.
        ClusterError: there is no such device.
    """
    if size.space not in SPACES:
        raise UsageError(f"No space of cells is called '{size.space}'.", remedy=nearest(size.space, SPACES))
    for path in paths:
        if path not in (*RIVALS, *OURS):
            raise UsageError(f"No path is called '{path}'.", remedy=nearest(path, (*RIVALS, *OURS)))
    device = str(enter(choose(device, ALONE)))
    overrides = [f"run.device={device}", f"run.precision={precision}"]
    with TemporaryDirectory(prefix="gtn-bench-") as place:
        made = Workshop(Path(place), size, device, overrides)
        archs = made.architectures(architectures)
        errors = {path: made.error(path, archs[:2]) for path in paths}
        found: dict[str, list[list[float]]] = {path: [[] for _ in archs] for path in paths}
        scores: dict[str, list[Measurement]] = {path: [] for path in paths}
        for repeat in range(repeats):
            for number, arch in enumerate(archs):
                for path in paths:
                    seconds, score = made.measure(path, arch)
                    found[path][number].append(seconds)
                    scores[path].append(score)
                say(f"repeat {repeat + 1} of {repeats}, architecture {number + 1} of {len(archs)}")
    rows = [_row(path, found, scores, errors[path]) for path in paths]
    return {"bench": "eval", "workload": str(size), "device": _name(device), "environment": describe(), "rows": rows}


def _row(
    path: str, found: Mapping[str, list[list[float]]], scores: Mapping[str, list[Measurement]], error: float
) -> Row:
    seconds = [median(times) for times in found[path]]
    row: Row = {
        "path": path,
        "archs_per_min": round(60 * len(seconds) / sum(seconds), 2),
        "seconds_per_arch": round(median(seconds), 4),
        "float64_loss_difference": float(f"{error:.1e}"),
        "same_scores": error <= TOLERANCE,
    }
    if "plain" in found:
        ratios = [
            plain / ours
            for a, b in zip(found["plain"], found[path], strict=True)
            for plain, ours in zip(a, b, strict=True)
        ]
        away = [abs(a.accuracy - b.accuracy) for a, b in zip(scores["plain"], scores[path], strict=True)]
        row |= {"speed_vs_plain": round(median(ratios), 3), "speed_range": [round(f(ratios), 3) for f in (min, max)]}
        row["accuracy_difference"] = round(max(away), 4)
    return row


class Workshop:
    """Image set, curriculum and one evaluator a path, in a directory."""

    def __init__(self, place: Path, size: Size, device: str, overrides: Sequence[str]) -> None:
        self._place, self._size, self._device, self._overrides = place, size, device, overrides
        _draw_images(place / "images.npz", size)
        config = self._config("reference", overrides)
        inner = config.inner.model_dump(mode="json")
        curriculum = _teach(config, size)
        write(place / "curriculum.h5", curriculum, Description("digits", (), (), inner, (), "real"), config="")
        self._evaluators: dict[tuple[str, ...], Evaluator] = {}

    def architectures(self, count: int) -> list[Architecture]:
        space, rng = self._evaluator("reference").setting.space, numpy_rng(0, "bench.eval")
        return [space.canonical(space.sample(rng)) for _ in range(count)]

    def measure(self, path: str, arch: Architecture) -> tuple[float, Measurement]:
        """Seconds of one evaluation, and its score."""
        way = self._way(path)
        gc.collect()
        started = time.perf_counter()
        score = way(Request(arch, self._size.steps))
        return time.perf_counter() - started, score

    def error(self, path: str, archs: Sequence[Architecture]) -> float:
        """How far validation losses are from the plain loop's in double precision, in nats."""
        ways = [self._way(name, "run.precision=float64") for name in ("plain", path)]
        requests = [Request(arch, min(CHECKED_STEPS, self._size.steps)) for arch in archs]
        return max(abs(ways[0](request).loss - ways[1](request).loss) for request in requests)

    def _way(self, path: str, *more: str) -> Way:
        if path in RIVALS:
            evaluator = self._evaluator("reference", *more)
            return lambda request: train_plainly(evaluator, request, RIVALS[path])
        evaluator = self._evaluator(path, *more)

        def score(request: Request) -> Measurement:
            forget = make_stepper(path, evaluator.room.device)
            evaluator.__dict__["room"] = replace(evaluator.room, begin=forget)
            row = evaluator.evaluate(request)
            if row.status != "ok":
                raise RuntimeError(f"{path}: {row.status}: {row.detail}")
            return Measurement(row.val_accuracy, row.val_loss)

        return score

    def _evaluator(self, *key: str) -> Evaluator:
        if key not in self._evaluators:
            config, path = self._config(key[0], [*self._overrides, *key[1:]]), self._place / "curriculum.h5"
            self._evaluators[key] = Evaluator(Setting(config, path, read_header(path, config.inner)), self._device)
        return self._evaluators[key]

    def _config(self, fast: str, overrides: Sequence[str]) -> Config:
        space = f"{{name: {self._size.space}, cells: {self._size.cells}, filters: {self._size.filters}}}"
        data = f"data: {{name: {self._place}/images.npz}}"
        text = f"run: {{name: bench}}\n{data}\nsearch: {{space: {space}, fast: {fast}}}"
        return parse(text, overrides)


def _draw_images(path: Path, size: Size) -> None:
    """Digits, enlarged to the nearest pixel."""
    digits = find(parse("run: {name: bench}").data).train
    pick = np.arange(size.side) * 8 // size.side
    images = digits.images[:, 0][:, pick][:, :, pick]
    np.savez(path, images=np.repeat(images[..., None], size.channels, axis=3), labels=digits.labels)


def _teach(config: Config, size: Size) -> Frozen:
    """Batches of training images, a rate that falls and a momentum that rises, as learned ones do."""
    splits = load(config.data, seed=0)
    generator = torch_generator(0, "bench.eval")
    batches = [splits.train.sample(size.batch, generator) for _ in range(size.steps)]
    y = torch.stack([F.one_hot(batch.y, splits.classes).float() for batch in batches])
    lr, momentum = torch.linspace(0.05, 0.02, size.steps), torch.linspace(0.5, 0.8, size.steps)
    return Frozen(torch.stack([batch.x for batch in batches]), y, lr, momentum, "fixed")


def _name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"
