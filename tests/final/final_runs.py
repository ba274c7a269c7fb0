"""Runs whose search is over: journals with architectures and scores, written by the real writers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from gtn_hpc.config import Config, parse
from gtn_hpc.config.claim import claim
from gtn_hpc.core.records import ImageShape, Score
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores.journal import Journal
from gtn_hpc.scores.rows import ArchitectureRow
from gtn_hpc.spaces import make_space

TEXT = """
run: {name: stage}
data: {train: 200}
search: {space: {name: conv, widths: [[4, 9], [4, 9], [4, 9]]}}
final: {top_k: 2, epochs: 3, checkpoint_every: 1, recipe: {lr: 0.1, batch: 64}}
"""


def scored(root: Path, accuracies: Sequence[float], *overrides: str) -> tuple[Config, RunDirectory, list[str]]:
    """A run whose search found these accuracies, and the digests of its architectures."""
    torch.set_num_threads(1)
    config = parse(TEXT, [f"run.root={root}", *overrides])
    run = claim(config, "search")
    space, rng = make_space(config.search.space, ImageShape(1, 8, 8), 10), np.random.default_rng(0)
    archs = [space.canonical(space.sample(rng)) for _ in accuracies]
    with Journal(run.journal) as journal:
        for arch, accuracy in zip(archs, accuracies, strict=True):
            journal.append([ArchitectureRow.of(arch, params=1, flops=1)])
            journal.append([Score(arch.digest, arch.digest, 8, 0, accuracy, 1.0, "ok", 0.0, 0, 1, 1)])
    return config, run, [arch.digest for arch in archs]
