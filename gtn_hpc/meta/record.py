"""Observers that write: the event log and TensorBoard."""

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from gtn_hpc.core.events import EventLog
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.meta.events import Evaluated, Event, Iterated, Judging, Played, Refused, Resumed, WentBack
from gtn_hpc.meta.room import AnyRoom


class EventRecorder:
    """Appends events to the file `path`; of meta-iterations every `meta.log_every`-th and the last."""

    def __init__(self, path: Path, log_every: int) -> None:
        self.log, self.log_every = EventLog(path), log_every

    def __call__(self, event: Event) -> None:
        if isinstance(event, Judging) or (isinstance(event, Iterated) and not _due(event, self.log_every)):
            return
        self.log.write(type(event).__name__.lower(), **asdict(event))


class RankRecorder:
    """Appends what went wrong and why to `events/train.r<rank>.jsonl`, for ranks other than the first."""

    def __init__(self, directory: Path, rank: int) -> None:
        self.log = EventLog(directory / f"train.r{rank}.jsonl")

    def __call__(self, event: Event) -> None:
        if isinstance(event, Refused | WentBack | Resumed):
            self.log.write(type(event).__name__.lower(), **asdict(event))


class TensorBoard:
    """Scalars of each logged meta-iteration, and a grid of synthetic images, one row a step, now and then."""

    def __init__(self, directory: Path, room: AnyRoom) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(directory))
        self.room = room

    def __call__(self, event: Event) -> None:
        meta = self.room.config.meta
        if isinstance(event, Evaluated):
            self._scalars(event.iteration, {"evaluate/accuracy": event.accuracy, "evaluate/sd": event.sd})
        if isinstance(event, Played):
            self._scalars(event.iteration, {"evaluate/mean_return": event.mean_return, "evaluate/sd": event.sd})
        if not isinstance(event, Iterated):
            return
        if _due(event, meta.log_every):
            told = {"loss": event.loss, "gradient_norm": event.gradient_norm, "lr": event.lr, "seconds": event.seconds}
            self._scalars(event.iteration, {f"meta/{name}": value for name, value in told.items()})
            self._schedule(event.iteration)
        if _due(event, meta.images_every) and self.room.config.rl is None:
            self.writer.add_image("synthetic", self._grid(), event.iteration)

    def close(self) -> None:
        self.writer.close()

    def _scalars(self, iteration: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, iteration)

    @torch.no_grad()
    def _schedule(self, iteration: int) -> None:
        lr, momentum = self.room.teacher.schedule.table()
        self._scalars(iteration, {"inner/lr_mean": float(lr.mean()), "inner/momentum_mean": float(momentum.mean())})

    @torch.no_grad()
    def _grid(self, rows: int = 8, columns: int = 20) -> Tensor:
        """[C, H', W'] in [0, 1]: the first images of steps spread evenly over the curriculum."""
        episode = self.room.teacher.episode(torch_generator(self.room.config.run.seed, "tensorboard"))
        steps = torch.linspace(0, episode.steps - 1, min(rows, episode.steps)).round().long().tolist()
        images = torch.stack([episode.batch(t).x[:columns] for t in steps])
        pixels = (images - images.min()) / (images.max() - images.min()).clamp(min=1e-6)
        return pixels.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)


def _due(event: Iterated, every: int) -> bool:
    return (event.iteration + 1) % every == 0 or event.iteration + 1 == event.iterations
