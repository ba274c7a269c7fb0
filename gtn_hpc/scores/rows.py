"""The rows of journals: one frozen record a kind. `Score` is in `core.records`; here are the others.

In all of them: accuracies are fractions, losses cross-entropies in nats, NaN where there is none; `seconds` and `time`
(Unix) are seconds; `extra` holds further numbers, which become columns of their name; `detail` is the end of a
traceback.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, get_type_hints

from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.records import Architecture, Score, canonical_json

DETAIL_LENGTH = 2000
"""Characters kept of a traceback's end."""


@dataclass(frozen=True)
class ArchitectureRow:
    """A canonical architecture: digest, space, specification (JSON), parameters and FLOPs of one image's forward."""

    arch: str
    space: str
    spec: str
    params: int
    flops: int

    @classmethod
    def of(cls, architecture: Architecture, *, params: int, flops: int) -> Self:
        return cls(architecture.digest, architecture.space, canonical_json(architecture.spec), params, flops)


@dataclass(frozen=True)
class FinalRow:
    """One training of a chosen architecture on real data; `recipe` names how, `data` on what; `curve` maps epochs."""

    key: str
    arch: str
    replica: int
    epochs: int
    best_epoch: int
    val_accuracy: float
    val_loss: float
    test_accuracy: float
    test_loss: float
    status: str
    seconds: float
    peak_bytes: int = 0
    params: int = 0
    flops: int = 0
    recipe: str = ""
    data: str = ""
    rank: int = 0
    host: str = ""
    job: str = ""
    time: float = 0.0
    curve: Mapping[int, float] = field(default_factory=dict, hash=False)
    extra: Mapping[str, float] = field(default_factory=dict, hash=False)
    detail: str = ""


@dataclass(frozen=True)
class CertificateRow:
    """A value that a teacher's estimates are compared with. `source` is `truth` (real data to the end) or a control
    (`real_steps`, `real_seconds`, `real_subset`, `untrained`, ...); `steps` are steps of that source."""

    key: str
    arch: str
    source: str
    replica: int
    steps: int
    val_accuracy: float
    val_loss: float
    status: str
    seconds: float
    peak_bytes: int = 0
    params: int = 0
    flops: int = 0
    rank: int = 0
    host: str = ""
    job: str = ""
    time: float = 0.0
    curve: Mapping[int, float] = field(default_factory=dict, hash=False)
    extra: Mapping[str, float] = field(default_factory=dict, hash=False)
    detail: str = ""


@dataclass(frozen=True)
class Ask:
    """The algorithm asked for `arch` at `fidelity`, as its `order`-th question, made from `parent` (digest or '')."""

    order: int
    arch: str
    fidelity: int
    parent: str = ""
    manager: str = ""
    time: float = 0.0
    extra: Mapping[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Tell:
    """The answer `value` to the question `ask`, told as the `order`-th one; further objectives in `extra`."""

    order: int
    ask: int
    arch: str
    fidelity: int
    value: float
    status: str = "ok"
    manager: str = ""
    time: float = 0.0
    extra: Mapping[str, float] = field(default_factory=dict, hash=False)


Row = Score | ArchitectureRow | FinalRow | CertificateRow | Ask | Tell

KINDS: dict[str, type[Any]] = {
    "score": Score,
    "architecture": ArchitectureRow,
    "final": FinalRow,
    "certificate": CertificateRow,
    "ask": Ask,
    "tell": Tell,
}
NAMES = {kind: name for name, kind in KINDS.items()}


def _scalars(kind: type[Any]) -> dict[str, type]:
    return {name: hint for name, hint in get_type_hints(kind).items() if hint in (str, int, float)}


SCALARS: dict[str, dict[str, type]] = {name: _scalars(kind) for name, kind in KINDS.items()}
"""Name and type of the fields of each kind that are single values, in order."""


def _float(value: float) -> float | str | None:
    value = float(value)
    if math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)


def _text(value: str) -> str:
    if value.isascii() and "\0" not in value:
        return value
    return value.replace("\0", "").encode("utf-8", "replace").decode()


PLAIN: dict[type, Any] = {float: _float, int: int, str: _text}


MAKERS = {name: [(field, PLAIN[kind]) for field, kind in scalars.items()] for name, scalars in SCALARS.items()}
"""By kind, each field and what makes its value plain."""


def to_plain(row: Row) -> dict[str, Any]:
    """JSON-able fields and the `kind`; NaN becomes null, infinities the strings inf and -inf, empty mappings go."""
    name = NAMES[type(row)]
    plain = {field: make(getattr(row, field)) for field, make in MAKERS[name]}
    if "detail" in plain:
        plain["detail"] = plain["detail"][-DETAIL_LENGTH:]
    for mapping in ("curve", "extra"):
        if values := getattr(row, mapping, None):
            plain[mapping] = {str(point): _float(value) for point, value in values.items()}
    if "extra" in plain:
        _require_free_names(name, plain["extra"])
    return {"kind": name, **plain}


def _require_free_names(kind: str, extra: Mapping[str, Any]) -> None:
    wrong = [name for name in extra if name in SCALARS[kind] or not name.isidentifier()]
    if wrong:
        raise StorageError(
            f"Further numbers of a {kind} cannot be named {', '.join(map(repr, wrong))}.",
            remedy=f"Use identifiers other than the columns {', '.join(SCALARS[kind])}.",
        )


def _to_float(value: float | str | None) -> float:
    return math.nan if value is None else float(value)


def from_plain(plain: Mapping[str, Any]) -> Row:
    """The record of `to_plain`; fields that are not there take their defaults."""
    kind = KINDS[plain["kind"]]
    scalars = SCALARS[plain["kind"]]
    known = {name.name for name in dataclasses.fields(kind)}
    values = {name: value for name, value in plain.items() if name in known}
    values.update({name: _to_float(values[name]) for name, hint in scalars.items() if hint is float and name in values})
    if "curve" in values:
        values["curve"] = {int(point): _to_float(value) for point, value in values["curve"].items()}
    if "extra" in values:
        values["extra"] = {name: _to_float(value) for name, value in values["extra"].items()}
    row: Row = kind(**values)
    return row
