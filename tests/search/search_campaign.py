"""A small search on digits, as a program that tests start, kill and start again: DIRECTORY [key=value ...]."""

import sys
from collections.abc import Sequence
from pathlib import Path

from gtn_hpc.cluster.environment import detect
from gtn_hpc.config import Config, dump, parse
from gtn_hpc.config.claim import claim
from gtn_hpc.core.errors import GtnError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores.replay import JournalReader, read_more
from gtn_hpc.search.pools import assist
from gtn_hpc.search.shards import search_shard
from gtn_hpc.search.shared import search_shared
from gtn_hpc.search.stage import SearchReport, run_search

TEXT = """
run: {name: campaign}
search:
  space: {name: conv, widths: [[4, 9], [4, 9], [4, 9]]}
  budget: 5
  replicas: 2
  isolate: false
  score_at: [1, 2]
  certificate: {fraction: 0.2, minimum: 2, steps: 6}
final: {top_k: 2, epochs: 2, checkpoint_every: 1, recipe: {lr: 0.1, batch: 64}}
"""


class Followed:
    """How many scores and certificates the journals of a run hold; each look reads what is new alone."""

    def __init__(self, journal: Path) -> None:
        self._reader, self.scores, self.certificates = JournalReader(journal), 0, 0

    def look(self) -> "Followed":
        new = read_more(self._reader)
        self.scores += len(new.scores)
        self.certificates += len(new.certificates)
        return self

    @property
    def rows(self) -> int:
        return self.scores + self.certificates


PASS = 27
"""Batches of 32: as many as every split of the digits used here has training images for."""


def configured(directory: Path, *overrides: str) -> Config:
    return parse(TEXT, [f"run.root={directory}", *overrides])


def curriculum(
    path: Path, *, side: int = 8, optimiser: str = "sgd", lr: float = 0.1, steps: int = 3, split: Sequence[str] = ()
) -> Path:
    """A curriculum of real digits, enlarged to `side` pixels; `split` holds overrides of the splits and their seed.

    The only part that needs torch, which takes seconds.
    """
    import torch
    from torch.nn import functional as F

    from gtn_hpc.core.streams import torch_generator
    from gtn_hpc.curriculum.file import Description, write
    from gtn_hpc.curriculum.frozen import Frozen
    from gtn_hpc.data import load

    maker = parse(TEXT, split)
    splits = load(maker.data, seed=maker.run.seed)
    draws = torch_generator(0, "campaign")
    passes = [splits.train.sample(32 * min(PASS, steps - done), draws) for done in range(0, steps, PASS)]
    x = F.interpolate(torch.cat([batch.x for batch in passes]), (side, side)).reshape(steps, 32, 1, side, side)
    y = F.one_hot(torch.cat([batch.y for batch in passes]), 10).float().reshape(steps, 32, 10)
    frozen = Frozen(x, y, torch.full((steps,), lr), torch.full((steps,), 0.5), "fixed")
    inner = parse(TEXT, [f"inner.optimiser={optimiser}"]).inner.model_dump(mode="json")
    write(path, frozen, Description("digits", (), (), inner, ("linear",), "full"), config=dump(maker))
    return path


def begin(directory: Path, *overrides: str) -> tuple[Config, RunDirectory]:
    config = configured(directory, *overrides)
    return config, claim(config, "search")


def rank(directory: Path, *overrides: str) -> None:
    """Under mpiexec: the first rank searches, the others assist."""
    if detect().rank == 0:
        campaign(directory, *overrides)
    else:
        config = configured(directory, *overrides)
        assist(config, RunDirectory(directory / "campaign"), directory / "curriculum.h5")


def campaign(directory: Path, *overrides: str) -> SearchReport:
    config, run = begin(directory, *overrides)
    return run_search(config, run, directory / "curriculum.h5")


def share(directory: Path, *overrides: str) -> int:
    """One of several jobs on one run directory."""
    config, run = begin(directory, *overrides, "search.pool=shared")
    return search_shared(config, run, directory / "curriculum.h5")


def shard(directory: Path, *overrides: str) -> int:
    """One rank, or one job of an array, without a manager."""
    if detect().rank == 0:
        begin(directory, *overrides)
    config = configured(directory, *overrides)
    return search_shard(config, RunDirectory(directory / "campaign"), directory / "curriculum.h5")


PROGRAMS = {"shards": shard, "shared": share}

if __name__ == "__main__":
    try:
        place, options = Path(sys.argv[1]), sys.argv[2:]
        PROGRAMS.get(configured(place, *options).search.pool, rank)(place, *options)
    except GtnError as error:
        sys.exit(f"{type(error).__name__}: {error}")
