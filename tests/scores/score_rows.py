"""Rows for the tests of the store."""

import math

from gtn_hpc.core.records import Score
from gtn_hpc.scores import ArchitectureRow, Ask, CertificateRow, FinalRow, Tell


def score(key, accuracy=0.5, **more):
    values = {
        "key": key, "arch": f"arch-{key}", "fidelity": 8, "replica": 0, "val_accuracy": accuracy, "val_loss": 1.25,
        "status": "ok", "seconds": 0.5, "peak_bytes": 1000, "params": 10, "flops": 20, "host": "here", "job": "7",
    }  # fmt: skip
    return Score(**(values | more))


def failed(key, status="oom", **more):
    return score(key, math.nan, val_loss=math.nan, status=status, detail="Traceback: no memory", **more)


def one_of_each():
    return [
        score("k1", curve={4: 0.25, 8: 0.5}, extra={"synflow": 3.5}),
        failed("k2"),
        ArchitectureRow("arch-k1", "chain", '{"layers":[]}', 10, 20),
        FinalRow(
            "f1", "arch-k1", 0, 10, 7, 0.9, 0.3, 0.88, 0.35, "ok", 60.0, recipe="nao", data="digits", curve={1: 0.5}
        ),
        CertificateRow("c1", "arch-k1", "truth", 0, 500, 0.91, 0.2, "ok", 12.0),
        Ask(0, "arch-k1", 8, parent="arch-k0", time=1.0),
        Tell(0, 0, "arch-k1", 8, 0.5, time=2.0, extra={"size": 10.0}),
    ]
