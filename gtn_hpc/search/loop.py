"""THE search loop."""

from concurrent.futures import FIRST_COMPLETED, Future, wait

from gtn_hpc.core.records import Score
from gtn_hpc.farm import Pool
from gtn_hpc.search.study import Study
from gtn_hpc.training.request import Request


def search(study: Study, pool: Pool[Request, Score]) -> None:
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
