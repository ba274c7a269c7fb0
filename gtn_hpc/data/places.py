"""Where image sets are searched, and the message when one is nowhere."""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from gtn_hpc.core.errors import DataError

VARIABLE = "GTN_DATA"


def cache() -> Path:
    """Where `gtn data fetch` puts what it downloads: the first place of GTN_DATA, else the user's cache."""
    named = _named_places()
    if named:
        return named[0]
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gtn_hpc" / "data"


class Missing(DataError):
    """The set is whole at none of the places of search; a damaged one is another error."""


def candidates(root: str | None, below: Iterable[str]) -> list[Path]:
    """Paths to try, in order: only `root` and what lies `below` it if it is given, else below each usual place."""
    if root is not None:
        place = Path(root).expanduser()
        return [place, *(place / name for name in below)]
    places = dict.fromkeys([*_named_places(), cache()])
    return [place / name for place in places for name in below]


def missing(name: str, wanted: str, looked: Iterable[Path], get: Iterable[str]) -> Missing:
    """Says what was looked for, where, and how to `get` it besides downloading."""
    where = "".join(f"\n    {path}" for path in looked)
    ways = "".join(f"\n    {way}" for way in (f"gtn data fetch {name}   (where there is internet)", *get))
    return Missing(
        f"{name} is not here: looked for {wanted} in{where}",
        remedy=f"Get it with{ways}\n  or say where it is: data.root, or the environment variable {VARIABLE}.",
    )


def incomplete(name: str, what: str, root: str | None) -> Missing:
    """Says `what` is missing of a set of which a part is there, looked for at `root` or at the usual places."""
    place = "" if root is None else f" --root {shlex.quote(root)}"
    return Missing(
        f"{name} is not whole: {what}",
        remedy=f"Complete it with\n    gtn data fetch {name}{place}   (where there is internet)\n"
        f"  or say where a whole one is: data.root, or the environment variable {VARIABLE}.",
    )


def _named_places() -> list[Path]:
    return [Path(place).expanduser() for place in os.environ.get(VARIABLE, "").split(os.pathsep) if place]
