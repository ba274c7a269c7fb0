"""Ranks that exchange tensors over gloo (CPU) and NCCL (GPU)."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]

from gtn_hpc.cluster.communicator import Communicator, Pending
from gtn_hpc.core.errors import ClusterError

Value = TypeVar("Value")

DIAGNOSIS = 3.0
"""Seconds that the store gets to answer when an exchange has failed."""


class TorchCommunicator(Communicator):
    """Ranks that meet in `store` within `meeting` seconds; later, any exchange fails after `timeout` seconds.

    Before an exchange each rank notes its number in the store, so that those who wait can name those who never came.
    After a failure there is no further exchange: each raises that failure again. All exchanges of tensors are asked for
    as asynchronous ones: over NCCL only those have a wait that ends by the timeout.
    """

    def __init__(
        self, store: Store, rank: int, world: int, *, timeout: float, meeting: float | None = None, nccl: bool = False
    ) -> None:
        self.rank = rank
        self.world = world
        self._store = store
        self._timeout = timeout
        self._exchanges = 0
        self._barriers = 0
        self._failed: ClusterError | None = None
        self.barrier("all ranks to start", meeting)
        with self._exchange("the connections of all ranks"):
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if nccl else "gloo",
                store=PrefixStore("group", store),
                rank=rank,
                world_size=world,
                timeout=timedelta(seconds=timeout),
            )

    def start_sum(self, flat: Tensor) -> Pending:
        with self._exchange("a sum"):
            return _Sum(dist.all_reduce(flat, async_op=True), self)

    def gather(self, flat: Tensor) -> Tensor:
        gathered = flat.new_empty((self.world, flat.numel()))
        with self._exchange("a gathering of tensors"):
            dist.all_gather(list(gathered), flat, async_op=True).wait()
        return gathered

    @torch.no_grad()
    def broadcast(self, tensors: Sequence[Tensor], source: int = 0) -> None:
        with self._exchange("a broadcast"):
            for tensor in tensors:
                sent = tensor.contiguous()
                dist.broadcast(sent, src=source, async_op=True).wait()
                if sent is not tensor:
                    tensor.copy_(sent)

    def all_gather(self, value: Value) -> list[Value]:
        values: list[Any] = [None] * self.world
        with self._exchange("a gathering of values"):
            dist.all_gather_object(values, value)
        return values

    def barrier(self, name: str, timeout: float | None = None) -> None:
        self._refuse_after_failure()
        self._barriers += 1
        here = [f"barrier/{self._barriers}/{rank}" for rank in range(self.world)]
        seconds = self._timeout if timeout is None else timeout
        self._store.set(here[self.rank], name)
        try:
            self._ask(lambda: self._store.wait(here, timedelta(seconds=seconds)), seconds + DIAGNOSIS)
        except (RuntimeError, TimeoutError) as error:
            absent = self._found_out(lambda: [rank for rank, key in enumerate(here) if not self._store.check([key])])
            raise self._fail(f"'{name}' after {seconds:g} s", absent, error) from error

    def close(self) -> None:
        """Rank 0, in which the store may live, stays until the others have left."""
        self.barrier("the end")
        if self.rank == 0:
            with self.explaining("the others to leave"):
                self._store.wait([f"left/{rank}" for rank in range(1, self.world)], timedelta(seconds=self._timeout))
        else:
            self._store.set(f"left/{self.rank}", "")
        dist.destroy_process_group()

    @contextmanager
    def _exchange(self, what: str) -> Iterator[None]:
        self._refuse_after_failure()
        self._exchanges += 1
        self._store.set(f"at/{self.rank}", str(self._exchanges))
        with self.explaining(what):
            yield

    @contextmanager
    def explaining(self, what: str) -> Iterator[None]:
        """Turns the transport's errors into one that names the ranks that did not come to `what`."""
        try:
            yield
        except RuntimeError as error:
            behind = self._found_out(lambda: [r for r in range(self.world) if self._seen(r) < self._exchanges])
            raise self._fail(what, behind, error) from error

    def _refuse_after_failure(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _seen(self, rank: int) -> int:
        key = f"at/{rank}"
        return int(self._store.get(key)) if self._store.check([key]) else 0

    def _ask(self, question: Callable[[], Value], seconds: float) -> Value:
        """Asks the store from a thread that may be left behind: a store that hangs would hold us for ever."""
        answer: Future[Value] = Future()

        def ask() -> None:
            try:
                answer.set_result(question())
            except RuntimeError as error:
                answer.set_exception(error)

        threading.Thread(target=ask, daemon=True).start()
        return answer.result(timeout=seconds)

    def _found_out(self, question: Callable[[], list[int]]) -> list[int] | None:
        """The ranks that the store knows to be missing; None where it does not answer any more.

        Rank 0, which may hold the store, waits for the others to have asked as well.
        """
        try:
            missing = self._ask(question, DIAGNOSIS)
        except (RuntimeError, TimeoutError):
            return None
        self._store.set(f"told/{self.rank}", "")
        if self.rank == 0:
            others = [f"told/{rank}" for rank in range(self.world) if rank not in missing]
            with suppress(RuntimeError):
                self._store.wait(others, timedelta(seconds=DIAGNOSIS))
        return missing

    def _fail(self, what: str, missing: Sequence[int] | None, error: Exception) -> ClusterError:
        if missing is None:
            who = "rank 0 (or the launcher), which keeps the meeting place, does not answer"
        elif missing:
            who = f"rank {', '.join(map(str, missing))} did not come"
        else:
            who = "a rank is gone or hangs within it"
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        self._failed = ClusterError(
            f"Rank {self.rank} waited in vain for {what}: {who}. ({reason})",
            remedy="Look at the log of that rank and its host; a new start goes on from the last checkpoint.",
        )
        return self._failed


class _Sum:
    def __init__(self, work: Any, communicator: TorchCommunicator) -> None:
        self._work = work
        self._communicator = communicator

    def wait(self) -> None:
        with self._communicator.explaining("a sum"):
            self._work.wait()
