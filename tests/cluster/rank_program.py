"""One rank of a real group of processes: does what its first argument names and writes what it saw, as JSON."""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import torch

from gtn_hpc.cluster import mpi
from gtn_hpc.cluster.communicator import Communicator
from gtn_hpc.cluster.connect import connect
from gtn_hpc.cluster.reduction import REDUCTIONS, ByStep
from gtn_hpc.core import streams
from gtn_hpc.core.errors import ClusterError

REPLICAS = 8
LIKE = {
    "by step": torch.zeros(4, 200_000),
    "shared": torch.zeros(1_200_000),
    "double": torch.zeros(3, dtype=torch.float64),
    "steps": torch.zeros(4),
    "loss": torch.zeros(()),
}
BY_STEP = ByStep({"by step", "steps"}, 4)


def gradient(replica: int) -> dict[str, torch.Tensor]:
    generator = streams.torch_generator(1, "gradient", replica)
    return {name: torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype) for name, tensor in LIKE.items()}


def mean(
    communicator: Communicator, name: str, *, replicas: int = REPLICAS, overlapped: bool = False
) -> dict[str, torch.Tensor]:
    """With `overlapped` each gradient comes step by step, what is not final yet still being wrong."""
    reduction = REDUCTIONS[name](communicator, LIKE, replicas, BY_STEP)
    for replica in communicator.replicas(replicas):
        final = gradient(replica)
        made = {key: tensor.clone() + 1 for key, tensor in final.items()}
        for step in (3, 2, 1, 0) if overlapped else ():
            for key in BY_STEP.names:
                made[key][step] = final[key][step]
            reduction.passed(4 - step, made)
        reduction.add(final)
    return reduction.mean()


def digest(tensors: dict[str, torch.Tensor]) -> str:
    return hashlib.sha256(b"".join(tensors[name].numpy().tobytes() for name in LIKE)).hexdigest()


def exchanges(communicator: Communicator) -> dict[str, object]:
    fast = mean(communicator, "fast")
    ordered = mean(communicator, "ordered")
    weights = [torch.full((2, 3), float(communicator.rank)), torch.arange(4).reshape(2, 2).t() + communicator.rank]
    communicator.broadcast(weights, source=communicator.world - 1)
    communicator.barrier("half way")
    return {
        "replicas": list(communicator.replicas(REPLICAS)),
        "ordered": digest(ordered),
        "ordered_overlapped": digest(mean(communicator, "ordered", overlapped=True)),
        "fast_error": max(float((fast[name] - ordered[name]).abs().max()) for name in LIKE),
        "fast_overlapped": digest(mean(communicator, "fast", overlapped=True)) == digest(fast),
        "one_replica": digest(mean(communicator, "fast", replicas=1)) == digest(gradient(0)),
        "shapes": [list(fast[name].shape) for name in LIKE],
        "broadcast": [weights[0].tolist(), weights[1].tolist()],
        "any": [communicator.any(communicator.rank == 0), communicator.any(False)],
        "gathered": communicator.all_gather({"rank": communicator.rank}),
    }


def fail(communicator: Communicator, how: signal.Signals) -> dict[str, object]:
    """The last but one rank stops before a sum, or dies before a border; says what the others learn of it, twice."""
    communicator.any(False)
    if communicator.rank == communicator.world - 2:
        os.kill(os.getpid(), how)
    errors = []
    for _ in range(2):
        try:
            if how == signal.SIGSTOP:
                communicator.any(False)
            else:
                communicator.barrier("the border of step 3", timeout=5)
        except ClusterError as error:
            errors.append(str(error))
    return {"errors": errors}


def main(what: str, directory: str, timeout: float) -> int:
    connection = connect("cpu", timeout=timeout, meeting=120)
    communicator = connection.communicator
    seen = exchanges(communicator) if what == "exchange" else fail(communicator, signal.Signals[what])
    path = Path(directory) / f"rank{communicator.rank}.json"
    path.write_text(json.dumps({"launcher": connection.environment.launcher, "world": communicator.world, **seen}))
    if what != "exchange":
        mpi.abort(1)
        os._exit(0)
    communicator.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
