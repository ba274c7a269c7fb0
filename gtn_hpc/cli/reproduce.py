"""`gtn reproduce`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.options import RUNS, Json, Root
from gtn_hpc.cli.stores import file_of

if TYPE_CHECKING:
    from gtn_hpc.search.reproduce import Again


def reproduce(
    source: Annotated[
        str,
        typer.Argument(metavar="RUN|FILE.h5", help="A run, or a scores.h5 in its run directory.", show_default=False),
    ],
    arch: Annotated[str, typer.Option(help="The first digits of an architecture's digest.")],
    root: Root = RUNS,
    as_json: Json = False,
) -> None:
    """Score an architecture again from the files alone, and compare: equal on one type of processor and torch build.

    Rows that ended as timeout, oom, crashed or error are left out. Exit code 1 where a number differs.

    Example: gtn reproduce digits --arch 7052
    """
    from gtn_hpc.search.reproduce import reproduce as score_again

    path = file_of(source, root)
    found = score_again(path, arch)
    if as_json:
        console.emit({"path": path, "rows": [_plain(again) for again in found]})
    else:
        _show(found)
    if not all(again.equal or again.now is None for again in found):
        raise typer.Exit(1)


def _show(found: "list[Again]") -> None:
    rows = [(a.fidelity, a.replica, a.recorded, a.now.val_accuracy if a.now else "", _verdict(a)) for a in found]
    console.table(f"Architecture {found[0].arch}", ("steps", "replica", "recorded", "now", ""), rows)
    if not all(again.same_key for again in found):
        console.say("The files no longer say what these rows were made with: curriculum or settings have changed.")
    if found[0].surroundings:
        console.say(f"Recorded with another {', '.join(found[0].surroundings)}.")


def _verdict(again: "Again") -> str:
    if again.now is None:
        return f"{again.status}: left out"
    if again.equal:
        return "equal"
    if again.now.status != again.status:
        return f"{again.status} before, {again.now.status} now"
    return (
        f"accuracy {again.now.val_accuracy - again.recorded:+.3g}, loss {again.now.val_loss - again.recorded_loss:+.3g}"
    )


def _plain(again: "Again") -> dict[str, Any]:
    return {
        "key": again.key,
        "arch": again.arch,
        "fidelity": again.fidelity,
        "replica": again.replica,
        "status": again.status,
        "status_now": again.now and again.now.status,
        "recorded": again.recorded,
        "now": again.now and again.now.val_accuracy,
        "recorded_loss": again.recorded_loss,
        "loss_now": again.now and again.now.val_loss,
        "equal": again.equal if again.now else None,
        "same_key": again.same_key,
        "surroundings": list(again.surroundings),
    }
