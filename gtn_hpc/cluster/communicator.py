"""What ranks say to each other, and the communicator of a process that is alone."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from gtn_hpc.core.errors import ClusterError
from gtn_hpc.core.records import digest

Value = TypeVar("Value")


class Pending(Protocol):
    """An exchange under way; after `wait` its tensor holds the result."""

    def wait(self) -> None: ...


class Communicator(ABC):
    """Rank `rank` of `world`. Every method but `replicas` is collective: all ranks call it, in the same order.

    Raises (any exchange):
        ClusterError: a rank did not arrive within the timeout, or is gone; ranks that are missing are named.
    """

    rank: int
    world: int

    @abstractmethod
    def start_sum(self, flat: Tensor) -> Pending:
        """Begins to replace `flat` [n] by its sum over the ranks, in an order of the transport's choosing."""

    @abstractmethod
    def gather(self, flat: Tensor) -> Tensor:
        """[n] of every rank -> [world, n] on every rank."""

    @abstractmethod
    def broadcast(self, tensors: Sequence[Tensor], source: int = 0) -> None:
        """Overwrites `tensors` by those of rank `source`."""

    @abstractmethod
    def all_gather(self, value: Value) -> list[Value]:
        """A small Python value of every rank, in order of rank."""

    @abstractmethod
    def barrier(self, name: str, timeout: float | None = None) -> None:
        """Returns once all ranks are here; past `timeout` seconds it names those that are not."""

    @abstractmethod
    def close(self) -> None:
        """Ends the connection; all ranks that are well call it."""

    def replicas(self, total: int) -> range:
        """The replicas of `total` that this rank runs: rank, rank + world, ..."""
        return range(self.rank, total, self.world)

    def any(self, flag: bool) -> bool:
        """True where the flag is up on at least one rank."""
        raised = torch.tensor([int(flag)], dtype=torch.int32)
        self.start_sum(raised).wait()
        return bool(raised.item())

    def require_equal(self, tensors: Mapping[str, Tensor], when: str) -> None:
        """Passes where all ranks hold the same bits; `when` stands in the error. Costs a hash of all bytes.

        Raises:
            ClusterError: on every rank, naming the first tensor that differs and the ranks where it does.
        """
        own = {name: _bits(tensor) for name, tensor in tensors.items()}
        if len(set(self.all_gather(digest(own)))) == 1:
            return
        told = self.all_gather(own)
        for name in own:
            odd = [rank for rank in range(self.world) if told[rank].get(name) != told[0].get(name)]
            if odd:
                raise ClusterError(
                    f"The ranks went apart {when}: '{name}' of rank {', '.join(map(str, odd))} is not that of rank 0.",
                    remedy="Do all hosts have the same program, libraries and processors? Start again: it goes on from "
                    "the last checkpoint.",
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()


def _bits(tensor: Tensor) -> str:
    content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
    return hashlib.sha256(content.numpy().tobytes()).hexdigest()


class SoloCommunicator(Communicator):
    """One process: every exchange is with itself."""

    rank = 0
    world = 1

    def start_sum(self, flat: Tensor) -> Pending:  # noqa: ARG002
        return _Done()

    def gather(self, flat: Tensor) -> Tensor:
        return flat[None]

    def broadcast(self, tensors: Sequence[Tensor], source: int = 0) -> None:
        pass

    def all_gather(self, value: Value) -> list[Value]:
        return [value]

    def barrier(self, name: str, timeout: float | None = None) -> None:
        pass

    def close(self) -> None:
        pass


class _Done:
    def wait(self) -> None:
        pass
