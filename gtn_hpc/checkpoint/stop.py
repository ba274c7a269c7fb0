"""A flag that signals set and loops ask at the border of a step."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGTERM, signal.SIGUSR2)


class StopFlag:
    """While entered, TERM and USR2 only set the flag; what handled them before does so again afterwards.

    TERM is what schedulers, torchrun and submitit send, USR2 what mpiexec forwards (USR1 is NCCL's). INT stays as it
    is: who presses Ctrl-C wants to stop now. Python handles signals in the main thread alone, so elsewhere only
    `request` sets the flag.
    """

    def __init__(self, signals: tuple[signal.Signals, ...] = SIGNALS) -> None:
        self._signals = signals
        self._before: dict[signal.Signals, Any] = {}
        self._reason: str | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in self._signals}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def __bool__(self) -> bool:
        return self._reason is not None

    @property
    def reason(self) -> str | None:
        """The name of the first signal, or what was first requested; None while nobody asked."""
        return self._reason

    def request(self, reason: str) -> None:
        """Asks for the stop from within, for instance because a deadline is near."""
        if self._reason is None:
            self._reason = reason

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.request(signal.Signals(number).name)
