"""The score of an architecture: a fresh network taught by the curriculum, judged on the validation split."""

import time
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from gtn_hpc.config import Config
from gtn_hpc.core.errors import DeviceLost, NonFiniteError, StorageError
from gtn_hpc.core.records import Score
from gtn_hpc.core.streams import derive, torch_generator
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.inner.engine import Episode
from gtn_hpc.inner.optimisers import SGD
from gtn_hpc.inner.step import Learner
from gtn_hpc.inner.trajectory import out_of_memory
from gtn_hpc.models.layers import initialise
from gtn_hpc.models.lean import LeanNetwork
from gtn_hpc.models.networks import build_network
from gtn_hpc.models.norm import RUNNING, use_running_statistics
from gtn_hpc.scores.rows import DETAIL_LENGTH
from gtn_hpc.training.controls import control
from gtn_hpc.training.memory import peak_memory
from gtn_hpc.training.proxies import proxies
from gtn_hpc.training.request import REAL, Request, Source
from gtn_hpc.training.room import Room, furnish
from gtn_hpc.training.run import Measurement, Progress, train
from gtn_hpc.training.setting import Setting
from gtn_hpc.training.states import States
from gtn_hpc.training.streams import RealBatches, constant, cosine

DIVERGED = 1e3
"""Validation loss in nats from which on a learner counts as diverged (guessing has ln K)."""


UNKNOWN = Measurement(float("nan"), float("nan"))


@dataclass(frozen=True)
class Verdict:
    """How a training ended and, where that is `ok`, what it reached."""

    status: str
    last: Measurement = UNKNOWN
    curve: Mapping[int, float] = field(default_factory=dict)
    extra: Mapping[str, float] = field(default_factory=dict)
    detail: str = ""


def require_device(device: torch.device) -> None:
    """After a failed kernel all that a process asks of a GPU fails.

    Raises:
        DeviceLost: such a kernel ran.
    """
    if device.type != "cuda":
        return
    try:
        torch.cuda.synchronize(device)
    except RuntimeError as error:
        raise DeviceLost(
            f"{device} gives this process nothing more: {str(error).splitlines()[0]}",
            remedy="Start again: it goes on where it was. Where it ends there again, take the GPU's node out.",
        ) from error


def nothing() -> None:
    """What happens before most trainings."""


@dataclass(frozen=True)
class Evaluator:
    """Scores requests. It can be sent to another process, which then loads images and curriculum of its own."""

    setting: Setting
    device: str = "cpu"
    before: Callable[[], None] = nothing
    """Called when a training begins; what it raises counts as raised by the training."""

    @property
    def config(self) -> Config:
        return self.setting.config

    @cached_property
    def room(self) -> Room:
        """Loaded at first use; see `furnish` for the errors."""
        return furnish(self.setting, torch.device(self.device))

    @cached_property
    def _controls(self) -> dict[Source, Frozen]:
        return {}

    def _lessons(self, source: Source) -> Frozen:
        """The curriculum, or what a control puts in its place."""
        if source == "curriculum":
            return self.room.taught
        if source not in self._controls:
            self._controls[source] = control(source, self.room)
        return self._controls[source]

    def prepare(self) -> None:
        """Loads what all evaluations share now rather than at the first one."""
        self.room  # noqa: B018

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    def evaluate(self, request: Request) -> Score:
        """One row. Whatever happens inside the training is a status of the row, never an exception, but for what would
        befall the architectures after it too.

        Raises:
            StorageError: the disk does not take a learner.
            DeviceLost: the training left this process without its GPU.

        Where memory ends it is tried once more, then with smaller chunks. Cost: `fidelity` training steps and a pass
        over the validation split after each step of `search.score_at` (of a truth also `search.certificate.score_at`);
        what passes before the last took is the row's `curve_seconds`, what zero-cost proxies took its `proxy_seconds`.
        """
        room, started = self.room, time.perf_counter()
        with peak_memory(room.device) as peak:
            verdict = self._attempt(request)
            while verdict.status == "oom" and request.again is not None:
                request = request.again
                verdict = self._attempt(request)
        return replace(
            self.setting.blank(request),
            val_accuracy=verdict.last.accuracy,
            val_loss=verdict.last.loss,
            status=verdict.status,
            seconds=time.perf_counter() - started,
            peak_bytes=peak.bytes,
            curve=verdict.curve,
            extra=verdict.extra,
            detail=verdict.detail,
        )

    def _attempt(self, request: Request) -> Verdict:
        try:
            return self._train(request)
        except NonFiniteError as error:
            return Verdict("nan", detail=error.what)
        except (torch.OutOfMemoryError, MemoryError) as error:
            return Verdict("oom", detail=str(error)[-DETAIL_LENGTH:])
        except (StorageError, DeviceLost):
            raise
        except Exception as error:
            detail = traceback.format_exc()[-DETAIL_LENGTH:]
            require_device(self.room.device)
            return Verdict("oom" if out_of_memory(error) else "error", detail=detail)

    def _train(self, request: Request) -> Verdict:
        self.before()
        learner = self._learner(request)
        episode = self._episode(request)
        extra = self._proxies(request, learner, episode)
        progress = self._run(learner, episode, request, self._points(request))
        if progress.measuring:
            extra["curve_seconds"] = progress.measuring
        self._keep(request, progress)
        curve = {step: found.accuracy for step, found in sorted(progress.curve.items())}
        last = progress.curve[request.fidelity]
        if last.loss > DIVERGED:
            return Verdict("diverged", curve=curve, extra=extra, detail=f"validation loss {last.loss:g}")
        return Verdict("ok", last, curve, extra)

    def _points(self, request: Request) -> set[int]:
        """Numbers of steps after which accuracy is measured; the end is always one."""
        section = self.config.search
        asked = {*section.score_at, *(section.certificate.score_at if request.source == "real" else ())}
        return {step for step in asked if step < request.fidelity} | {request.fidelity}

    def _run(self, learner: Learner, episode: Episode, request: Request, at: Collection[int]) -> Progress:
        """From the saved state of a shorter training of this learner, where there is one."""
        start = Progress(0, learner.initial_state())
        if self._states is not None and request.source == "curriculum":
            start = self._states.load(self.setting.identity.learner(request), request.fidelity, start.state) or start
        images, begin = self.room.splits.validation, self.room.begin
        return train(learner, start, episode, images, until=request.fidelity, at=at, begin=begin, chunk=request.chunk)

    @property
    def _states(self) -> States | None:
        return None if self.setting.states is None else States(self.setting.states)

    def _keep(self, request: Request, progress: Progress) -> None:
        """A learner that has seen the whole curriculum is not needed again."""
        if self._states is None or request.source != "curriculum":
            return
        learner = self.setting.identity.learner(request)
        if progress.steps < self.setting.last_step:
            self._states.save(learner, progress)
        else:
            self._states.forget(learner)

    def _learner(self, request: Request) -> Learner:
        room, stream = self.room, self.setting.identity.stream(request)
        module = build_network(self.config.search.space, request.arch, room.splits.shape, room.splits.classes)
        initialise(module.to(room.dtype), torch_generator(self.config.run.seed, "architecture", stream))
        use_running_statistics(module, RUNNING if request.source in REAL else None)
        optimiser = SGD() if request.source in REAL else room.optimiser
        dropout = derive(self.config.run.seed, "architecture/dropout", stream)
        placed = module.to(room.device)
        arranged = placed if self.config.search.fast == "reference" else LeanNetwork(placed)
        return Learner(arranged, optimiser, dropout, room.autocast)

    def _episode(self, request: Request) -> Episode:
        seed, stream = self.config.run.seed, self.setting.identity.stream(request)
        if request.source not in REAL:
            return self._lessons(request.source).episode(torch_generator(seed, "architecture/order", stream))
        recipe, like = self.config.final.recipe, self.room.taught.x
        return RealBatches(
            self.room.splits.train,
            recipe.batch,
            request.fidelity,
            derive(seed, "architecture/real", stream),
            cosine(recipe.lr, request.fidelity, like),
            constant(recipe.momentum, like),
            recipe.augment,
        )

    def _proxies(self, request: Request, learner: Learner, episode: Episode) -> dict[str, float]:
        """Those of `search.proxies` and the seconds that they took; of an estimate alone, beside which they stand."""
        names, began = self.config.search.proxies, time.perf_counter()
        if not names or request.source != "curriculum":
            return {}
        found = proxies(names, learner.module, episode.batch(0).x)
        return found | {"proxy_seconds": time.perf_counter() - began}
