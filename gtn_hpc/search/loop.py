"""THE search loop."""

from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Protocol

from gtn_hpc.core.records import Score
from gtn_hpc.farm import Pool
from gtn_hpc.training.request import Request


class Asking(Protocol):
    """What asks for evaluations and is told of them."""

    @property
    def patient(self) -> bool:
        """Whether evaluations may be asked for before a worker is free."""
        ...

    def ask(self) -> Request | None: ...

    def tell(self, score: Score) -> None: ...


def search(study: Asking, pool: Pool[Request, Score]) -> None:
    """While a worker is free ask and submit; wait for the first that is done; tell; until nothing is asked for."""
    running: set[Future[Score]] = set()
    while True:
        while (
            len(running) < pool.workers + (pool.ahead if study.patient else 0) and (request := study.ask()) is not None
        ):
            running.add(pool.submit(request))
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            study.tell(future.result())
