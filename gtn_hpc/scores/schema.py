"""The tables of `scores.h5`: columns, units, what identifies a row and what must agree; how older versions are read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gtn_hpc.scores.rows import SCALARS
from gtn_hpc.storage import Schema

VERSION = 1
SCHEMA = Schema("scores", VERSION)


@dataclass(frozen=True)
class Table:
    """Columns by name and type; rows with an equal `identity` are one row, whose `values` must agree."""

    name: str
    columns: Mapping[str, type]
    identity: tuple[str, ...]
    values: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The column that names a row; curves have several points under one."""
        return "key" if "key" in self.columns else "arch"


def _columns(kind: str) -> dict[str, type]:
    return {name: hint for name, hint in SCALARS[kind].items() if name != "detail"}


VALUES = ("val_accuracy", "val_loss", "status")
KIND_TABLE = {
    "score": "scores",
    "architecture": "architectures",
    "final": "final",
    "certificate": "certificate",
    "ask": "asks",
    "tell": "tells",
}
"""The table that rows of a kind go to."""

TABLES = {
    table.name: table
    for table in (
        Table("scores", _columns("score"), ("key",), VALUES),
        Table("architectures", _columns("architecture"), ("arch",), ("space", "spec")),
        Table("final", _columns("final"), ("key",), (*VALUES, "test_accuracy", "test_loss")),
        Table("certificate", _columns("certificate"), ("key",), VALUES),
        Table("asks", _columns("ask"), ("manager", "order", "arch", "fidelity")),
        Table("tells", _columns("tell"), ("manager", "order", "arch", "fidelity")),
        Table(
            "curves",
            {"table": str, "key": str, "step": int, "val_accuracy": float},
            ("table", "key", "step"),
            ("val_accuracy",),
        ),
        Table(
            "failures", {"table": str, "key": str, "status": str, "detail": str}, ("table", "key", "status", "detail")
        ),
        Table(
            "conflicts",
            {"table": str, "key": str, "step": int, "values": str},
            ("table", "key", "step", "values"),
        ),
    )
}

DESCRIPTIONS: dict[str, tuple[str, str]] = {
    "key": ("", "hash of architecture, curriculum, evaluation settings, replica and fidelity"),
    "arch": ("", "digest of the canonical architecture"),
    "space": ("", "space of the architecture"),
    "spec": ("", "specification of the architecture (JSON)"),
    "fidelity": ("steps", "inner steps"),
    "steps": ("steps", "training steps of the source"),
    "step": ("steps", "inner steps (final: epochs) after which the accuracy was measured"),
    "replica": ("1", "number of the fresh initialisation"),
    "epochs": ("epochs", "passes over the training split"),
    "best_epoch": ("epochs", "epoch chosen by validation accuracy"),
    "val_accuracy": ("1", "fraction of the validation split classified rightly"),
    "val_loss": ("nat", "mean cross-entropy on the validation split"),
    "test_accuracy": ("1", "fraction of the test split classified rightly"),
    "test_loss": ("nat", "mean cross-entropy on the test split"),
    "value": ("1", "score told to the algorithm"),
    "status": ("", "how the evaluation ended: ok, nan, diverged, oom, timeout, crashed or error"),
    "seconds": ("s", "wall-clock time of the evaluation"),
    "curve_seconds": ("s", "part of the seconds that measurements before the last step took"),
    "proxy_seconds": ("s", "part of the seconds that zero-cost proxies took"),
    "peak_bytes": ("byte", "largest memory of the evaluation"),
    "params": ("1", "trainable parameters"),
    "flops": ("1", "floating-point operations of the forward pass of one image"),
    "parent": ("", "digest of the architecture that this one was made from"),
    "ask": ("1", "order in which the algorithm asked for it, -1 where nobody asked"),
    "tell": ("1", "order in which the algorithm was told, -1 where it was not"),
    "order": ("1", "order of the message"),
    "manager": ("", "which manager, where several share a study"),
    "rank": ("1", "rank of the process that evaluated"),
    "host": ("", "machine of the process that evaluated"),
    "job": ("", "job of the process that evaluated"),
    "time": ("seconds since 1970-01-01", "when the row was made"),
    "recipe": ("", "how it was trained on real data"),
    "data": ("", "image set it was trained on"),
    "source": ("", "what was measured: truth, or the control's name"),
    "table": ("", "table of the row"),
    "values": ("", "values that were not kept (JSON)"),
    "detail": ("", "end of the traceback"),
}
"""Unit and description by column; the description of a further number is its own name."""

DEFAULTS: dict[type, Any] = {str: b"", int: -1, float: float("nan")}
"""What stands in for a value that an older file or another source does not have."""

Names = dict[str, Any]


def _from_0(kind: str, names: Names) -> Names:
    """Version 0 called the validation accuracy `accuracy` and its loss `loss`, and knew one replica only."""
    renamed = {"accuracy": "val_accuracy", "loss": "val_loss"}
    upgraded = {renamed.get(name, name): value for name, value in names.items()}
    return {"replica": 0, **upgraded} if kind in ("score", "scores") else upgraded


UPGRADES: dict[int, Callable[[str, Names], Names]] = {0: _from_0}
"""By version: from names and values (a journal's row, or a table's columns) to those of the next version.

A single value stands for a whole column.
"""


def upgrade_names(kind: str, version: int, names: Names) -> Names:
    """Brings a row or a table of an older `version` up to this one; what is missing then takes its default."""
    for step in range(version, VERSION):
        names = UPGRADES[step](kind, names)
    return names
