"""The mean over replicas of named tensors: fast, or in replica order, so the same bits for any number of ranks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from gtn_hpc.cluster.communicator import Communicator, Pending

BUCKET_BYTES = 4 * 2**20


class ByStep(NamedTuple):
    """Tensors `names` of which the t-th of `steps` equal parts belongs to inner step t alone, on all ranks alike."""

    names: Collection[str]
    steps: int


EVERYTHING = ByStep((), 1)
"""All tensors belong to all steps."""


class Piece(NamedTuple):
    """Elements `first` to `end` of the flattened tensor `name`."""

    name: str
    first: int
    end: int

    def of(self, tensors: Mapping[str, Tensor]) -> Tensor:
        return tensors[self.name].detach().flatten()[self.first : self.end]


class Bucket(NamedTuple):
    """What is sent at once; final when the reverse loop has passed the last `steps` steps, at its end where None."""

    pieces: Sequence[Piece]
    steps: int | None


class Reduction(ABC):
    """Takes the gradients of this rank's replicas in their order and gives the mean over all replicas of all ranks.

    All ranks make it with equal `like` (tensors like a gradient's: name, shape, dtype, device), `replicas` and
    `by_step`.
    """

    @abstractmethod
    def add(self, gradient: Mapping[str, Tensor]) -> None:
        """The whole gradient of this rank's next replica."""

    @abstractmethod
    def passed(self, steps: int, gradient: Mapping[str, Tensor]) -> None:
        """That replica's gradient while it is made: the parts of its last `steps` steps are final. May be left out."""

    @abstractmethod
    def mean(self) -> dict[str, Tensor]:
        """Collective. The mean gradient, shaped as `like`, once every replica was added."""


class FastReduction(Reduction):
    """Sums on the rank, then one all-reduce a bucket; those of the last steps start while earlier ones are computed.

    Buckets are the same, and start in the same order, on every rank and whether or not `passed` is called: so are the
    bits. These depend on the number of ranks in the last places. Memory: one gradient.
    """

    def __init__(
        self, communicator: Communicator, like: Mapping[str, Tensor], replicas: int, by_step: ByStep = EVERYTHING
    ) -> None:
        self._communicator = communicator
        self._replicas, self._left = replicas, len(communicator.replicas(replicas))
        self._like = like
        self._buckets = list(layout(like, by_step))
        self._flats = [torch.cat([torch.zeros_like(p.of(like)) for p in bucket.pieces]) for bucket in self._buckets]
        self._pending: list[Pending] = []

    def add(self, gradient: Mapping[str, Tensor]) -> None:
        for index in range(len(self._pending), len(self._buckets)):
            self._add(index, gradient)
        self._left -= 1

    def passed(self, steps: int, gradient: Mapping[str, Tensor]) -> None:
        if self._left > 1:
            return
        for index in range(len(self._pending), len(self._buckets)):
            needed = self._buckets[index].steps
            if needed is None or needed > steps:
                return
            self._add(index, gradient)
            self._start(index)

    def mean(self) -> dict[str, Tensor]:
        for index in range(len(self._pending), len(self._buckets)):
            self._start(index)
        for pending, flat in zip(self._pending, self._flats, strict=True):
            pending.wait()
            flat /= self._replicas
        return _joined(self._buckets, self._flats, self._like)

    def _add(self, index: int, gradient: Mapping[str, Tensor]) -> None:
        for piece, total in _views(self._buckets[index], self._flats[index]):
            total += piece.of(gradient)

    def _start(self, index: int) -> None:
        self._pending.append(self._communicator.start_sum(self._flats[index]))


class OrderedReduction(Reduction):
    """Gathers the gradients of all replicas and sums them in replica order: the same bits for any number of ranks.

    Memory: the gradients of this rank's replicas, and one bucket of those of all replicas.
    """

    def __init__(
        self,
        communicator: Communicator,
        like: Mapping[str, Tensor],
        replicas: int,
        by_step: ByStep = EVERYTHING,  # noqa: ARG002
    ) -> None:
        self._communicator = communicator
        self._replicas = replicas
        self._like = like
        self._buckets = list(layout(like, EVERYTHING))
        self._gradients: list[Mapping[str, Tensor]] = []

    def add(self, gradient: Mapping[str, Tensor]) -> None:
        self._gradients.append(gradient)

    def passed(self, steps: int, gradient: Mapping[str, Tensor]) -> None:
        """Nothing is sent before the end."""

    def mean(self) -> dict[str, Tensor]:
        return _joined(self._buckets, [self._mean_of(bucket) for bucket in self._buckets], self._like)

    def _mean_of(self, bucket: Bucket) -> Tensor:
        """Replica r is at [r % world, r // world] of what was gathered; zeros fill the places of ranks with fewer."""
        world = self._communicator.world
        own = [torch.cat([piece.of(gradient) for piece in bucket.pieces]) for gradient in self._gradients]
        nothing = torch.cat([torch.zeros_like(piece.of(self._like)) for piece in bucket.pieces])
        places = -(-self._replicas // world)
        sent = torch.stack([*own, *[nothing] * (places - len(own))])
        gathered = self._communicator.gather(sent.flatten()).reshape(world, places, -1)
        total = nothing
        for replica in range(self._replicas):
            total = total + gathered[replica % world, replica // world]
        return total / self._replicas


REDUCTIONS: Mapping[str, Callable[[Communicator, Mapping[str, Tensor], int, ByStep], Reduction]] = {
    "fast": FastReduction,
    "ordered": OrderedReduction,
}
"""By the names of `meta.reduction`."""


def layout(like: Mapping[str, Tensor], by_step: ByStep, limit: int = BUCKET_BYTES) -> Iterator[Bucket]:
    """Buckets of about `limit` bytes, in the order in which they become final.

    First those of the last steps, and so on down to step 1. Step 0, final only at the end, goes with the rest.
    """
    each = {name: like[name].numel() // by_step.steps for name in like if name in by_step.names}
    size = sum(each[name] * like[name].element_size() for name in each)
    chunk, end = max(1, limit // max(size, 1)), by_step.steps
    while each and end > 1:
        first = max(1, end - chunk)
        pieces = [Piece(name, first * count, end * count) for name, count in each.items()]
        yield from (Bucket(found, by_step.steps - first) for found in _filled(pieces, like, limit))
        end = first
    left = {name: tensor.numel() for name, tensor in like.items()} | {name: count * end for name, count in each.items()}
    rest = [Piece(name, 0, count) for name, count in left.items()]
    yield from (Bucket(found, None) for found in _filled(rest, like, limit))


def _filled(pieces: Iterable[Piece], like: Mapping[str, Tensor], limit: int) -> Iterator[list[Piece]]:
    """`pieces` in order, cut where `limit` bytes would be passed or the dtype or device changes."""
    bucket: list[Piece] = []
    size = 0
    for piece in pieces:
        tensor = like[piece.name]
        added = (piece.end - piece.first) * tensor.element_size()
        last = like[bucket[-1].name] if bucket else tensor
        full = size + added > limit or (last.dtype, last.device) != (tensor.dtype, tensor.device)
        if bucket and full:
            yield bucket
            bucket, size = [], 0
        bucket.append(piece)
        size += added
    if bucket:
        yield bucket


def _views(bucket: Bucket, flat: Tensor) -> Iterator[tuple[Piece, Tensor]]:
    sizes = [piece.end - piece.first for piece in bucket.pieces]
    return zip(bucket.pieces, flat.split(sizes), strict=True)


def _joined(buckets: Sequence[Bucket], flats: Sequence[Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The flat buckets as tensors shaped as `like`; copies only what was sent in several pieces."""
    found: dict[str, list[tuple[int, Tensor]]] = {name: [] for name in like}
    for bucket, flat in zip(buckets, flats, strict=True):
        for piece, view in _views(bucket, flat):
            found[piece.name].append((piece.first, view))
    return {name: _whole(pieces).view(like[name].shape) for name, pieces in found.items()}


def _whole(pieces: list[tuple[int, Tensor]]) -> Tensor:
    if len(pieces) == 1:
        return pieces[0][1]
    return torch.cat([tensor for _, tensor in sorted(pieces, key=lambda piece: piece[0])])


def has_norm(tensors: Iterable[Tensor]) -> bool:
    """Whether their Euclidean norm, by which a gradient is clipped, is a number: no NaN, no infinity, no overflow."""
    held = [tensor for tensor in tensors if tensor.numel()]
    return not held or bool(get_total_norm(held).isfinite())
