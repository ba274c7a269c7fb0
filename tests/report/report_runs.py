"""Run directories for tests of the report, written by the real writers, without torch."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from gtn_hpc import storage
from gtn_hpc.config import Config, dump, parse
from gtn_hpc.config.claim import claim
from gtn_hpc.core.events import EventLog
from gtn_hpc.core.records import Architecture, ImageShape, Score
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.core.streams import numpy_rng
from gtn_hpc.scores import ArchitectureRow, CertificateRow, FinalRow, Journal, fold, init_key, key
from gtn_hpc.spaces import Space, make_space
from gtn_hpc.storage import Column, Schema

TEXT = """
data: {name: digits}
search: {budget: 60, certificate: {fraction: 0.5, steps: 1200}}
final: {top_k: 3, epochs: 20}
"""
BEGAN = 1_760_000_000.0


@dataclass(frozen=True)
class Sizes:
    architectures: int = 60
    certified: int = 30
    failed: int = 3
    workers: int = 2
    replicas: int = 1
    winners: int = 3
    constant: bool = False
    space: str = "{name: nao_cell, cells: 1, filters: 8}"


def configured(directory: Path, name: str = "digits", *overrides: str) -> Config:
    return parse(f"run: {{name: {name}, root: {directory}}}\n{TEXT}", overrides)


def whole_run(directory: Path, name: str = "digits", sizes: Sizes = Sizes(), *overrides: str) -> RunDirectory:
    """A run with every stage done."""
    config = configured(directory, name, f"search.space={sizes.space}", *overrides)
    run = claim(config, "final")
    write_events(run)
    write_curriculum(run.curriculum, config)
    write_scores(run, config, sizes)
    return run


def write_events(run: RunDirectory, iterations: int = 400) -> None:
    rng = numpy_rng(0, "events")
    with EventLog(run.events / "train.jsonl") as log:
        for done in range(10, iterations + 1, 10):
            loss = 2.3 * np.exp(-done / 120) + 0.35 + 0.08 * rng.random()
            log.write("iterated", iteration=done - 1, iterations=iterations, loss=loss, gradient_norm=1.0, lr=0.01,
                      steps=8, seconds=0.4)  # fmt: skip
            if done % 100 == 0:
                log.write("evaluated", iteration=done, accuracy=0.9 - np.exp(-done / 150), sd=0.03, learners=4)


def write_curriculum(path: Path, config: Config, *, steps: int = 8, batch: int = 40, evaluated: bool = True) -> None:
    """Digits as a curriculum, and learning curves of twelve learners."""
    rng = numpy_rng(config.run.seed, "curriculum")
    images, labels = load_digits(return_X_y=True)
    chosen = np.concatenate([np.flatnonzero(labels == k)[: steps * batch // 10] for k in range(10)])
    order = chosen.reshape(10, steps, -1).transpose(1, 0, 2).reshape(steps, batch)
    x = ((images[order] - 4.9) / 6.0).reshape(steps, batch, 1, 8, 8) + 0.5 * rng.normal(size=(steps, batch, 1, 8, 8))
    root = {
        "x": Column(x.astype(np.float32), dims=("step", "image", "channel", "height", "width")),
        "y": Column(np.eye(10, dtype=np.float32)[labels[order]], dims=("step", "image", "class")),
        "lr": Column(np.linspace(0.3, 0.05, steps), dims=("step",)),
        "momentum": Column(np.full(steps, 0.7), dims=("step",)),
    }
    rise = 1 - np.exp(-np.arange(1, steps + 1) / 3)
    accuracy = {
        name: Column(np.clip(0.1 + height * rise + 0.03 * rng.normal(size=(12, steps)), 0, 1), dims=("learner", "step"))
        for name, height in (("teacher", 0.86), ("real_data", 0.72))
    }
    attributes = {"order": "fixed", "digest": "c" * 64, "data": "digits", "mean": [4.9], "std": [6.0], "arm": "full",
                  "evaluation_split": "validation"}  # fmt: skip
    groups = {"/": root} | ({"evaluation": accuracy} if evaluated else {})
    storage.write(path, groups, attributes, schema=Schema("curriculum", 1), config=dump(config))


def sampled(space: Space, count: int) -> list[Architecture]:
    """Distinct canonical architectures."""
    rng, found = numpy_rng(0, "sampled"), {}
    while len(found) < count:
        arch = space.canonical(space.sample(rng))
        found[arch.digest] = arch
    return list(found.values())


def write_scores(run: RunDirectory, config: Config, sizes: Sizes) -> None:
    space = make_space(config.search.space, ImageShape(1, 8, 8), 10)
    architectures = sampled(space, sizes.architectures)
    rng = numpy_rng(config.run.seed, "scores")
    quality = np.clip(0.78 + 0.05 * rng.normal(size=len(architectures)), 0, 1)
    noise = 0.0 if sizes.constant else 0.02
    quality = np.full_like(quality, 0.75) if sizes.constant else quality
    params = rng.integers(20_000, 400_000, size=len(architectures))
    with Journal(run.journal, "fixture") as journal:
        journal.append([
            ArchitectureRow.of(arch, params=int(size), flops=int(size) * 60)
            for arch, size in zip(architectures, params, strict=True)
        ])  # fmt: skip
        journal.append([
            _score(arch, index, replica, float(quality[index] + noise * rng.normal()), int(params[index]), sizes)
            for index, arch in enumerate(architectures)
            for replica in range(sizes.replicas)
        ])  # fmt: skip
        certified = range(sizes.failed, sizes.failed + sizes.certified)
        journal.append([
            _truth(architectures[index], index, float(0.1 + quality[index] + noise * rng.normal()), int(params[index]))
            for index in certified
        ])  # fmt: skip
        winners = [architectures[index] for index in np.argsort(-quality)[: sizes.winners]]
        journal.append([_final(arch, place) for place, arch in enumerate(winners)])
    fold(run)


def _score(arch: Architecture, index: int, replica: int, accuracy: float, params: int, sizes: Sizes) -> Score:
    failed = index < sizes.failed
    status = ("nan", "timeout", "crashed")[index % 3] if failed else "ok"
    return Score(
        key=key(arch.digest, "c", {}, replica, 8), arch=arch.digest, fidelity=8, replica=replica,
        val_accuracy=float("nan") if failed else accuracy, val_loss=float("nan") if failed else 1 - accuracy,
        status=status, seconds=1.5 + index % 3, peak_bytes=1 << 28, params=params, flops=params * 60, ask=index,
        tell=index, rank=index % sizes.workers, host="node1", job="local",
        time=BEGAN + 3 * (index // sizes.workers) + 3, detail=f"Traceback {index} <b>" if failed else "",
    )  # fmt: skip


def _truth(arch: Architecture, index: int, accuracy: float, params: int) -> CertificateRow:
    return CertificateRow(
        key=key(arch.digest, "truth", {}, 0, 1200), arch=arch.digest, source="truth", replica=0, steps=1200,
        val_accuracy=accuracy, val_loss=1 - accuracy, status="ok", seconds=9.0, params=params, flops=params * 60,
        host="node1", job="local", time=BEGAN + 200 + 9 * index, curve=_curve(index, accuracy),
        extra={"curve_seconds": 0.6},
    )  # fmt: skip


def _curve(index: int, accuracy: float) -> dict[int, float]:
    """What ends at `accuracy` and tells less of it the fewer steps there were."""
    rng = numpy_rng(0, "learning", index)
    before = {steps: accuracy - 0.3 / steps + 0.4 / steps * float(rng.normal()) for steps in (2, 8, 40)}
    return before | {1200: accuracy}


def _final(arch: Architecture, place: int) -> FinalRow:
    curve = {epoch: 0.95 - 0.3 / epoch - 0.01 * place for epoch in range(1, 21)}
    return FinalRow(
        key=init_key(arch.digest, "final", {}, 0), arch=arch.digest, replica=0, epochs=20, best_epoch=20,
        val_accuracy=curve[20], val_loss=0.2, test_accuracy=0.93 - 0.01 * place, test_loss=0.22, status="ok",
        seconds=60.0, params=120_000, flops=7_200_000, recipe="sgd cosine lr=0.025", data="digits", host="node1",
        job="local-final", time=BEGAN + 700 + 60 * place, curve=curve,
    )  # fmt: skip


if __name__ == "__main__":
    import sys

    began = time.time()
    print(whole_run(Path(sys.argv[1])).path, time.time() - began)
