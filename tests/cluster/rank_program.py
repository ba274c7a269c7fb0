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
from gtn_hpc.cluster.reduction import REDUCTIONS
from gtn_hpc.core import streams
from gtn_hpc.core.errors import ClusterError, NonFiniteError

REPLICAS = 8
LIKE = [torch.zeros(5, 7), torch.zeros(1_200_000), torch.zeros(3, dtype=torch.float64), torch.zeros(())]


def gradient(replica: int) -> list[torch.Tensor]:
    generator = streams.torch_generator(1, "gradient", replica)
    return [torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype) for tensor in LIKE]


def mean(
    communicator: Communicator, name: str, *, replicas: int = REPLICAS, in_parts: bool = False
) -> list[torch.Tensor]:
    reduction = REDUCTIONS[name](communicator, LIKE, replicas)
    own = list(communicator.replicas(replicas))
    for replica in own[:-1] if in_parts else own:
        reduction.add(gradient(replica))
    if in_parts and own:
        for index in (3, 0, 1, 2):
            reduction.add_part(index, gradient(own[-1])[index])
    return reduction.mean()


def digest(tensors: list[torch.Tensor]) -> str:
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors)).hexdigest()


def exchanges(communicator: Communicator) -> dict[str, object]:
    fast = mean(communicator, "fast")
    ordered = mean(communicator, "ordered")
    weights = [torch.full((2, 3), float(communicator.rank)), torch.arange(4).reshape(2, 2).t() + communicator.rank]
    communicator.broadcast(weights, source=communicator.world - 1)
    communicator.barrier("half way")
    values = {"x": torch.tensor([1.0, float("nan") if communicator.rank == communicator.world - 1 else 2.0])}
    try:
        communicator.require_finite(values)
        refused = ""
    except NonFiniteError as error:
        refused = str(error)
    communicator.require_finite({"x": torch.ones(3)})
    return {
        "replicas": list(communicator.replicas(REPLICAS)),
        "ordered": digest(ordered),
        "ordered_in_parts": digest(mean(communicator, "ordered", in_parts=True)),
        "fast_error": max(float((a - b).abs().max()) for a, b in zip(fast, ordered, strict=True)),
        "fast_in_parts": digest(mean(communicator, "fast", in_parts=True)) == digest(fast),
        "one_replica": digest(mean(communicator, "fast", replicas=1)) == digest(gradient(0)),
        "shapes": [list(tensor.shape) for tensor in fast],
        "broadcast": [weights[0].tolist(), weights[1].tolist()],
        "any": [communicator.any(communicator.rank == 0), communicator.any(False)],
        "gathered": communicator.all_gather({"rank": communicator.rank}),
        "refused": refused,
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
                communicator.barrier("the border of step 3", timeout=1)
        except ClusterError as error:
            errors.append(str(error))
    return {"errors": errors}


def main(what: str, directory: str, timeout: float) -> int:
    connection = connect("cpu", timeout=timeout, meeting=60)
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
