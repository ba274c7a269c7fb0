"""What the manager must know of a curriculum, read without torch."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gtn_hpc.config.curriculum import digest_head, stated_cycle, stated_inner
from gtn_hpc.config.teaching import Inner
from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.records import ImageShape
from gtn_hpc.storage import Schema, StoredFile, open_file

SCHEMA = Schema("curriculum", 1)


@dataclass(frozen=True)
class Header:
    """Size of the images, number of classes K and of steps T, digest, and the inner optimiser it was made for."""

    image: ImageShape
    classes: int
    steps: int
    digest: str
    inner: Inner


def read_header(path: Path, inner: Inner) -> Header:
    """Of the curriculum file at `path`; one that does not name its optimiser is used with `inner`.

    Raises:
        StorageError: missing, damaged, or not a curriculum.
    """
    with open_file(path, SCHEMA) as file:
        first = file.read("/", ["x", "y"], slice(0, 1))
        if first["x"].ndim != 5 or first["y"].ndim != 3:
            raise StorageError(f"{path}: x and y are not [T,B,C,H,W] and [T,B,K].", remedy="Export it again.")
        return Header(
            image=ImageShape(*first["x"].shape[2:]),
            classes=first["y"].shape[2],
            steps=file.rows("/"),
            digest=str(file.attributes.get("digest") or _digest(file)),
            inner=stated_inner(path, file.attributes) or inner,
        )


def _digest(file: StoredFile) -> str:
    """As `Frozen.digest`."""
    values = file.read("/", ["x", "y", "lr", "momentum"])
    x, y = values["x"], values["y"]
    cycle = stated_cycle(file.path, file.attributes, len(x))
    found = hashlib.sha256(digest_head(file.attributes.get("order"), cycle, x.shape, y.shape))
    for name in ("x", "y", "lr", "momentum"):
        found.update(np.ascontiguousarray(values[name].astype(np.float32)).tobytes())
    return found.hexdigest()
