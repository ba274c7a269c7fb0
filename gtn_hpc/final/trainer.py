"""One architecture trained on real data by the NAO protocol (Luo et al. 2018), with the best epoch by validation.

Rate and drop-path change from epoch to epoch, where NAO changes drop-path from step to step.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gtn_hpc.config.searching import Recipe
from gtn_hpc.core.errors import NonFiniteError
from gtn_hpc.core.records import Batch
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.data import ImageSet
from gtn_hpc.inner.optimisers import SGD
from gtn_hpc.inner.step import Learner, LearnerState
from gtn_hpc.models.networks import Network, Outputs
from gtn_hpc.models.precision import autocast
from gtn_hpc.training import updates
from gtn_hpc.training.run import Measurement, measure
from gtn_hpc.training.streams import half_cosine

TOGETHER = 64
"""Steps of which a GPU is asked together whether their gradients were finite, for it is waited for."""


def require_finite(norms: Sequence[Tensor], epoch: int) -> None:
    """Raises NonFiniteError for the first of the gradients' `norms` that is not."""
    for norm in torch.stack(list(norms)).tolist() if norms else []:
        if not math.isfinite(norm):
            raise NonFiniteError(f"The gradient's norm is {norm} in epoch {epoch + 1}.")


@dataclass
class Training:
    """State between two epochs: network, optimiser, and the best weights so far by validation."""

    network: Network
    optimiser: updates.SGD
    curve: list[float] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        return len(self.curve)

    @property
    def best_accuracy(self) -> float:
        return self.curve[self.best_epoch - 1] if self.curve else -math.inf

    def tensors(self) -> dict[str, Any]:
        state = {"network": self.network.state_dict(), "optimiser": self.optimiser.state(), "best": self.best}
        return copy.deepcopy(state)

    def restore(self, tensors: dict[str, Any], curve: list[float], best_epoch: int) -> None:
        self.network.load_state_dict(tensors["network"])
        self.optimiser.restore(tensors["optimiser"])
        self.best, self.curve, self.best_epoch = tensors["best"], curve, best_epoch


@dataclass(frozen=True)
class Trainer:
    """Trains by `recipe` for `epochs`; all randomness is a function of (seed, stream, epoch).

    The probability of drop-path rises evenly to that of the recipe, which the last epoch has.
    """

    recipe: Recipe
    epochs: int
    seed: int
    stream: str
    autocast: torch.dtype | None = None

    def begin(self, network: Network) -> Training:
        recipe = self.recipe
        return Training(network, updates.SGD(list(network.parameters()), recipe.momentum, recipe.weight_decay))

    def run(
        self, training: Training, images: ImageSet, validation: ImageSet, after_epoch: Callable[[Training], object]
    ) -> None:
        """Goes on from where `training` stands to the last epoch, or to the first after which `after_epoch` says so.

        Cut in pieces it gives the same bits.

        Raises:
            NonFiniteError: the loss on validation is not finite.
        """
        while training.epoch < self.epochs:
            self._epoch(training, images)
            accuracy = self.judge(training.network, validation).accuracy
            if accuracy > training.best_accuracy:
                training.best_epoch = training.epoch + 1
                training.best = {k: v.detach().clone() for k, v in training.network.state_dict().items()}
            training.curve.append(accuracy)
            if after_epoch(training):
                return

    def judge(self, network: Network, images: ImageSet) -> Measurement:
        """Accuracy and loss of the network as it stands."""
        params: dict[str, Tensor] = dict(network.named_parameters())
        state = LearnerState(params, dict(network.named_buffers()), {})
        return measure(Learner(network, SGD(), autocast=self.autocast), state, images)

    def _epoch(self, training: Training, images: ImageSet) -> None:
        network, epoch = training.network, training.epoch
        lr = self.recipe.lr * half_cosine(epoch, self.epochs)
        order, device = torch_generator(self.seed, "final/order", self.stream, epoch), images.images.device
        norms: list[Tensor] = []
        with self._dropping(network, epoch, device):
            for batch in images.epoch(self.recipe.batch, order, self.recipe.augment):
                if len(batch.y) > 1:  # batch norm has no statistics of a single image
                    norms.append(self._step(training, batch, lr))
                if len(norms) == (TOGETHER if device.type == "cuda" else 1):
                    require_finite(norms, epoch)
                    norms.clear()
        require_finite(norms, epoch)

    def _step(self, training: Training, batch: Batch, lr: float) -> Tensor:
        """The gradient's norm before it was clipped."""
        training.network.train()
        training.network.zero_grad(set_to_none=True)
        with autocast(batch.x.device, self.autocast):
            loss = self._loss(training.network(batch.x), batch.y)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(training.network.parameters(), self.recipe.clip)
        training.optimiser.step(lr)
        return norm

    def _loss(self, found: Tensor | Outputs, labels: Tensor) -> Tensor:
        if isinstance(found, Outputs):
            return F.cross_entropy(found.logits, labels) + self.recipe.auxiliary * F.cross_entropy(
                found.auxiliary, labels
            )
        return F.cross_entropy(found, labels)

    @contextmanager
    def _dropping(self, network: Network, epoch: int, device: torch.device) -> Iterator[None]:
        network.drop_path = self.recipe.drop_path * (epoch + 1) / self.epochs
        network.generator = torch_generator(self.seed, "final/drop", self.stream, epoch, device=device)
        try:
            yield
        finally:
            network.generator = None
