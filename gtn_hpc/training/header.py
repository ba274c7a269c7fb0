"""What the manager must know of a curriculum, read without torch."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from gtn_hpc.config import parse
from gtn_hpc.config.curriculum import digest_head, require_file, stated_cycle, stated_inner
from gtn_hpc.config.teaching import Inner
from gtn_hpc.core.errors import ConfigError
from gtn_hpc.core.records import ImageShape
from gtn_hpc.curriculum.parts import DIMS, SCHEMA, Units, read_values, require_form, stated_units
from gtn_hpc.storage import StoredFile, open_file


@dataclass(frozen=True)
class Header:
    """Size of the images, number of classes K and of steps T, digest, and the inner optimiser it was made for.

    `units` are those that the file states, `split` tells the images that it was taught on; both are empty where the
    file does not say.
    """

    image: ImageShape
    classes: int
    steps: int
    digest: str
    inner: Inner
    units: Units = ((), ())
    split: str = ""


def read_header(path: Path, inner: Inner) -> Header:
    """Of the curriculum file at `path`; one that does not name its optimiser is used with `inner`.

    Raises:
        StorageError: missing, damaged, or not a curriculum. Values are checked where the file states no digest.
    """
    require_file(path)
    with open_file(path, SCHEMA) as file:
        require_form(file)
        x, y = (file.shapes("/")[name][0] for name in ("x", "y"))
        return Header(
            image=ImageShape(*x[2:]),
            classes=y[2],
            steps=x[0],
            digest=str(file.attributes.get("digest") or _digest(file)),
            inner=stated_inner(path, file.attributes) or inner,
            units=stated_units(path, file.attributes, x[2]),
            split=_split(file.config),
        )


def _split(config: str) -> str:
    """Of the configuration that made a curriculum; of another release's nothing is known."""
    try:
        maker = parse(config) if config.strip() else None
    except ConfigError:
        return ""
    return "" if maker is None else maker.data.training_split(maker.run.seed)


def _digest(file: StoredFile) -> str:
    """As `Frozen.digest`."""
    values = read_values(file)
    x, y = values["x"], values["y"]
    cycle = stated_cycle(file.path, file.attributes, len(x))
    found = hashlib.sha256(digest_head(file.attributes.get("order"), cycle, x.shape, y.shape))
    for name in DIMS:
        found.update(values[name].tobytes())
    return found.hexdigest()
