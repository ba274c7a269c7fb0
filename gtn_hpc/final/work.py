"""What a worker of the final stage does: train a winner, write the row to its own journal, and only then report it."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gtn_hpc.config import Config
from gtn_hpc.final.winner import Winner
from gtn_hpc.scores.journal import Journal
from gtn_hpc.scores.rows import FinalRow


@dataclass(frozen=True)
class Finishing:
    """Trains winners; checkpoints go below `checkpoints`, rows to a journal of this worker in `journals`."""

    config: Config
    checkpoints: Path
    journals: Path
    job: str
    report: Callable[[Winner, int, float], None] = lambda *_: None
    stop: Callable[[], object] = lambda: False

    @contextmanager
    def open(self, rank: int) -> Iterator[Callable[[Winner], FinalRow]]:
        """Loads the images; a row is on disk before it is given back."""
        import torch

        from gtn_hpc.cluster.device import choose
        from gtn_hpc.cluster.environment import detect
        from gtn_hpc.data import load
        from gtn_hpc.final.finisher import Finisher
        from gtn_hpc.models.precision import use_precision

        config = self.config
        torch.set_num_threads(config.run.threads)
        device, dtype = choose(config.run.device, detect()), use_precision(config.run.precision).dtype
        splits = load(config.data, seed=config.run.seed, device=device, dtype=dtype)
        finisher = Finisher(config, splits, self.checkpoints, self.stop, self.report)
        with Journal(self.journals, self.job, rank) as journal:

            def finish(winner: Winner) -> FinalRow:
                row = replace(finisher.finish(winner), rank=rank, host=socket.gethostname(), job=self.job)
                journal.append([row])
                return row

            yield finish
