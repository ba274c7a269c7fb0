"""The loop that one would write: a module, torch.optim.SGD, zero_grad, backward, step."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gtn_hpc.core.streams import torch_generator
from gtn_hpc.models.layers import initialise
from gtn_hpc.models.networks import build_network
from gtn_hpc.models.norm import BatchNorm
from gtn_hpc.models.precision import autocast, widened
from gtn_hpc.training.evaluator import Evaluator
from gtn_hpc.training.request import Request
from gtn_hpc.training.run import Measurement

CHUNK = 256
"""Images evaluated at once, as in `training.run`."""


class LastBatchNorm(nn.BatchNorm2d):
    """torch's, with the statistics of the last batch in evaluation: those our scores are defined with."""

    def __init__(self, features: int) -> None:
        super().__init__(features, momentum=1.0)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.unbiased = x.numel() // x.shape[1]
            return super().forward(x)
        assert self.running_var is not None
        variance = self.running_var * ((self.unbiased - 1) / self.unbiased)
        return F.batch_norm(x, self.running_mean, variance, self.weight, self.bias, False, 0.0, self.eps)


def train_plainly(evaluator: Evaluator, request: Request, memory_format: torch.memory_format) -> Measurement:
    """Trains and judges the learner of `request` from the same initial weights on the same batches."""
    room, config, stream = evaluator.room, evaluator.config, evaluator.setting.identity.stream(request)
    module: nn.Module = build_network(config.search.space, request.arch, room.splits.shape, room.splits.classes)
    initialise(module.to(room.dtype), torch_generator(config.run.seed, "architecture", stream))
    _use_torch_norm(module)
    module.to(device=room.device, dtype=room.dtype, memory_format=memory_format)  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(module.parameters(), lr=1.0, momentum=0.5)
    lr, momentum = (values.tolist() for values in room.taught.schedule.table())
    module.train()
    for t in range(request.fidelity):
        optimiser.param_groups[0].update(lr=lr[t], momentum=momentum[t])
        x = room.taught.x[t].contiguous(memory_format=memory_format)
        optimiser.zero_grad()
        with autocast(evaluator.room.device, evaluator.room.autocast):
            loss = F.cross_entropy(module(x), room.taught.y[t])
        loss.backward()
        optimiser.step()
    return _judge(module.eval(), evaluator, memory_format)


@torch.inference_mode()
def _judge(module: nn.Module, evaluator: Evaluator, memory_format: torch.memory_format) -> Measurement:
    images, correct, loss = evaluator.room.splits.validation, 0.0, 0.0
    for x, y in images.epoch(CHUNK):
        with autocast(evaluator.room.device, evaluator.room.autocast):
            logits = module(x.contiguous(memory_format=memory_format))
        logits = widened(logits, evaluator.room.autocast)
        correct += float((logits.argmax(dim=1) == y).sum())
        loss += float(F.cross_entropy(logits, y, reduction="sum"))
    return Measurement(correct / len(images), loss / len(images))


def _use_torch_norm(module: nn.Module) -> None:
    for name, layer in module.named_children():
        if isinstance(layer, BatchNorm):
            setattr(module, name, LastBatchNorm(layer.mean.numel()))
        else:
            _use_torch_norm(layer)
