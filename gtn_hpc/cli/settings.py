"""`gtn config`."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.options import Json
from gtn_hpc.core.errors import UsageError, nearest

if TYPE_CHECKING:
    from gtn_hpc.config import Key

WIDE = 110
"""Columns of a terminal that has room for keys, types, defaults and meanings side by side."""


def config(
    section: Annotated[
        str | None, typer.Argument(metavar="[KEY]", help="Only the keys that begin so.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List every key of the configuration: type, default, meaning.

    Keys with a star may differ between two starts of one run.

    Example: gtn config meta
    """
    from gtn_hpc.config import reference

    keys = _below(reference(), section)
    if as_json:
        return console.emit({"keys": [asdict(key) for key in keys]})
    rows = [(key.name + (" *" if key.operational else ""), key.type, key.default, key.description) for key in keys]
    if console.width() >= WIDE:
        return console.table("", ("key", "type", "default", "meaning"), rows)
    for name, kind, default, meaning in rows:
        console.say(f"{name}: {kind}, default {default}\n{console.indented(meaning)}")
    return None


def _below(keys: "list[Key]", section: str | None) -> "list[Key]":
    if section is None:
        return keys
    chosen = [key for key in keys if key.name == section or key.name.startswith((f"{section}.", f"{section}["))]
    if not chosen:
        names = {name for key in keys for name in (key.name, key.name.split(".")[0].split("[")[0])}
        top = {name for name in names if "." not in name}
        raise UsageError(f"There is no key '{section}'.", remedy=nearest(section, names if "." in section else top))
    return chosen
