"""The mean over replicas of lists of tensors: fast, or in replica order, so the same bits for any number of ranks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from gtn_hpc.cluster.communicator import Communicator, Pending

BUCKET_BYTES = 4 * 2**20


class Reduction(ABC):
    """Takes the gradients of this rank's replicas in their order and gives the mean over all replicas of all ranks.

    All ranks make it with equal `like` (one tensor a gradient tensor: shape, dtype, device) and equal `replicas`.
    """

    @abstractmethod
    def add(self, gradient: Sequence[Tensor]) -> None:
        """The whole gradient of this rank's next replica."""

    @abstractmethod
    def add_part(self, index: int, tensor: Tensor) -> None:
        """Tensor `index` of this rank's *last* replica, as soon as it is final; then all its other tensors likewise."""

    @abstractmethod
    def mean(self) -> list[Tensor]:
        """Collective. The mean gradient, shaped as `like`, once every replica was added."""


class FastReduction(Reduction):
    """Sums on the rank, then one all-reduce a bucket, which starts while later parts are still being computed.

    Buckets hold tensors in the order in which they become final, and start in that order on every rank. The result
    depends on the number of ranks in the last bits. Memory: one gradient.
    """

    def __init__(self, communicator: Communicator, like: Sequence[Tensor], replicas: int) -> None:
        self._communicator = communicator
        self._replicas = replicas
        self._like = like
        self._buckets = list(buckets(like))
        self._flats = [
            torch.cat([torch.zeros_like(like[index]).flatten() for index in bucket]) for bucket in self._buckets
        ]
        self._sums = _views(self._buckets, self._flats, like)
        self._final = [False] * len(like)
        self._pending: list[Pending] = []

    def add(self, gradient: Sequence[Tensor]) -> None:
        for total, tensor in zip(self._sums, gradient, strict=True):
            total += tensor.detach()

    def add_part(self, index: int, tensor: Tensor) -> None:
        self._sums[index] += tensor.detach()
        self._final[index] = True
        self._start_ready()

    def mean(self) -> list[Tensor]:
        self._final = [True] * len(self._final)
        self._start_ready()
        for pending, flat in zip(self._pending, self._flats, strict=True):
            pending.wait()
            flat /= self._replicas
        return self._sums

    def _start_ready(self) -> None:
        started = len(self._pending)
        for bucket, flat in zip(self._buckets[started:], self._flats[started:], strict=True):
            if not all(self._final[index] for index in bucket):
                return
            self._pending.append(self._communicator.start_sum(flat))


class OrderedReduction(Reduction):
    """Gathers the gradients of all replicas and sums them in replica order: the same bits for any number of ranks.

    Memory: the gradients of this rank's replicas, and one bucket of those of all replicas.
    """

    def __init__(self, communicator: Communicator, like: Sequence[Tensor], replicas: int) -> None:
        self._communicator = communicator
        self._replicas = replicas
        self._like = like
        self._gradients: list[list[Tensor]] = []
        self._parts: dict[int, Tensor] = {}

    def add(self, gradient: Sequence[Tensor]) -> None:
        self._gradients.append([tensor.detach() for tensor in gradient])

    def add_part(self, index: int, tensor: Tensor) -> None:
        self._parts[index] = tensor.detach()

    def mean(self) -> list[Tensor]:
        if self._parts:
            self._gradients.append([self._parts[index] for index in range(len(self._like))])
        chosen = list(buckets(self._like))
        return _views(chosen, [self._mean_of(bucket) for bucket in chosen], self._like)

    def _mean_of(self, bucket: Sequence[int]) -> Tensor:
        """Replica r is at [r % world, r // world] of what was gathered; zeros fill the places of ranks with fewer."""
        world = self._communicator.world
        own = [torch.cat([gradient[index].flatten() for index in bucket]) for gradient in self._gradients]
        nothing = torch.cat([torch.zeros_like(self._like[index]).flatten() for index in bucket])
        places = -(-self._replicas // world)
        sent = torch.stack([*own, *[nothing] * (places - len(own))])
        gathered = self._communicator.gather(sent.flatten()).reshape(world, places, -1)
        total = nothing
        for replica in range(self._replicas):
            total = total + gathered[replica % world, replica // world]
        return total / self._replicas


REDUCTIONS: Mapping[str, Callable[[Communicator, Sequence[Tensor], int], Reduction]] = {
    "fast": FastReduction,
    "ordered": OrderedReduction,
}
"""By the names of `meta.reduction`."""


def buckets(like: Sequence[Tensor], limit: int = BUCKET_BYTES) -> Iterator[list[int]]:
    """Indices of `like` in order, cut where a bucket would pass `limit` bytes or the dtype or device changes."""
    bucket: list[int] = []
    size = 0
    for index, tensor in enumerate(like):
        last = like[bucket[-1]] if bucket else tensor
        full = size + tensor.nbytes > limit or (last.dtype, last.device) != (tensor.dtype, tensor.device)
        if bucket and full:
            yield bucket
            bucket, size = [], 0
        bucket.append(index)
        size += tensor.nbytes
    if bucket:
        yield bucket


def _views(chosen: Sequence[Sequence[int]], flats: Sequence[Tensor], like: Sequence[Tensor]) -> list[Tensor]:
    """The flat buckets as tensors shaped as `like`, without a copy."""
    found: list[Tensor] = []
    for bucket, flat in zip(chosen, flats, strict=True):
        parts = flat.split([like[index].numel() for index in bucket])
        found += [part.view(like[index].shape) for index, part in zip(bucket, parts, strict=True)]
    return found
