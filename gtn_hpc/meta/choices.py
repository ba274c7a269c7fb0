"""What the engine logs of its choices, told to those who watch a run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from gtn_hpc.meta.events import Noted, Observer


class _Teller(logging.Handler):
    """Each text once: an engine meets many learners for which it chooses alike."""

    def __init__(self, observe: Observer) -> None:
        super().__init__(logging.INFO)
        self._observe, self._told = observe, set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._told:
            self._told.add(text)
            self._observe(Noted(text))


@contextmanager
def choices_told(observe: Observer) -> Iterator[None]:
    """Within, `observe` hears why an adjoint is not the fastest one, and what a memory budget pays for."""
    logger = logging.getLogger("gtn_hpc.inner")
    teller, level = _Teller(observe), logger.level
    logger.addHandler(teller)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(teller)
        logger.setLevel(level)
