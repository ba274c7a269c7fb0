"""A flag that signals set and loops ask at the border of a step."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from gtn_hpc.core.errors import Requeue

SIGNALS = (signal.SIGTERM, signal.SIGUSR2)


class StopFlag:
    """While entered, TERM and USR2 only set the flag; what handled them before does so again afterwards.

    TERM is what schedulers, torchrun and submitit send, USR2 what mpiexec forwards (USR1 is NCCL's). INT raises as it
    always does: who presses Ctrl-C wants to stop now. Where that was swallowed, as destructors and callbacks swallow
    what is raised in them, whoever asks for the flag next meets it. Python handles signals in the main thread alone, so
    elsewhere only `request` and the deadline (Unix time) set the flag. `then` is called once, when it is set.
    """

    def __init__(self, *, deadline: float | None = None, then: Callable[[], None] = lambda: None) -> None:
        self._then = then
        self._before: dict[signal.Signals, Any] = {}
        self._reason: str | None = None
        self._at_once = self._interrupted = False
        self._alarm = None if deadline is None else threading.Timer(max(deadline - time.time(), 0.0), self._ring)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._interrupt)
        if self._alarm is not None:
            self._alarm.daemon = True
            self._alarm.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before, self._interrupted = {}, False

    def __bool__(self) -> bool:
        """Whether it is set. Raises KeyboardInterrupt where Ctrl-C was pressed."""
        if self._interrupted:
            raise KeyboardInterrupt
        return self._reason is not None

    @property
    def reason(self) -> str | None:
        """The name of the first signal, or what was first requested; None while nobody asked."""
        return self._reason

    def request(self, reason: str) -> None:
        """Asks for the stop from within, for instance because a deadline is near."""
        if self._reason is None:
            self._reason = reason
            self._then()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within, the flag raises Requeue as soon as it is set: for work that is simply done again."""
        self._at_once = True
        try:
            self._raise_if_set()
            yield
        finally:
            self._at_once = False

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.request(signal.Signals(number).name)
        self._raise_if_set()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True
        signal.default_int_handler(number, frame)

    def _ring(self) -> None:
        """Goes through a signal, which alone reaches a main thread that waits."""
        self.request("the deadline")
        if self._before:
            signal.pthread_kill(threading.main_thread().ident or 0, SIGNALS[0])

    def _raise_if_set(self) -> None:
        if self._at_once and self:
            raise Requeue(f"Stopped by {self._reason}.", remedy="Start the same command again: it goes on from there.")
