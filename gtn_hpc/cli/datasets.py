"""`gtn data`."""

from pathlib import Path
from typing import Annotated

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.options import Json

group = typer.Typer(help="Prepare and describe image sets.", no_args_is_help=True)

Place = Annotated[
    Path | None,
    typer.Option("--root", help="Directory or file, where it is not at its usual place.", show_default=False),
]


@group.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="mnist, fashion_mnist or cifar10.", show_default=False)],
    root: Place = None,
    as_json: Json = False,
) -> None:
    """Make sure that an image set is here, on a node with internet: compute nodes never download.

    Example: gtn data fetch cifar10 --root /scratch/data
    """
    from gtn_hpc.data import fetch as fetch_set

    found = fetch_set(name, None if root is None else str(root))
    if as_json:
        console.emit({"name": name, "found": found})
    else:
        console.say(f"{name}: {found}")


@group.command()
def info(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME|PATH", help="A named set, or a file or folder of your own.", show_default=False),
    ],
    root: Place = None,
    as_json: Json = False,
) -> None:
    """Say what an image set holds: size, classes, splits, and where it was found.

    Example: gtn data info my-images.npz
    """
    from gtn_hpc.config.teaching import Data
    from gtn_hpc.data import describe

    found = describe(Data(name=name, root=None if root is None else str(root)))
    if as_json:
        console.emit(found)
        return
    shape = found["shape"]
    console.say(
        f"{found['name']}: {len(found['classes'])} classes, {shape['channels']} channels, "
        f"{shape['height']} x {shape['width']} pixels; read from {found['found']}"
    )
    splits = found["splits"]
    rows = [
        (name, *(part["per_class"][index] for part in splits.values())) for index, name in enumerate(found["classes"])
    ]
    rows.append(("all", *(part["images"] for part in splits.values())))
    console.table("Images", ("class", *splits), rows)
    for split, part in splits.items():
        lacking = [name for name, count in zip(found["classes"], part["per_class"], strict=True) if not count]
        if lacking:
            console.note(
                f"{split} has no image of {len(lacking)} of {len(found['classes'])} classes, such as {lacking[0]}: "
                "the hold-out is drawn at random. More data.validation or data.test, or another data.seed, may help."
            )
