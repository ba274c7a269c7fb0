"""`gtn top`."""

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.options import RUNS, Json, Root, Run
from gtn_hpc.cli.scored import time_left
from gtn_hpc.cli.standing import Watcher
from gtn_hpc.core.rundir import find
from gtn_hpc.core.status import RUNNING

PERIOD = 2.0
"""Seconds between two looks."""

GOES_ON = "the same command goes on from what was saved"


def top(
    run: Run,
    once: Annotated[bool, typer.Option("--once", help="Look once and end, also without a terminal.")] = False,
    root: Root = RUNS,
    as_json: Json = False,
) -> None:
    """Watch how far a run is, from any machine that sees its files; Ctrl-C ends it.

    Example: gtn top digits --once
    """
    watcher = Watcher(find(run, root))
    if as_json:
        console.emit(watcher.look())
    elif once or not (console.out().is_terminal and sys.stdout.isatty()):
        console.say("\n".join(lines(watcher.look())))
    else:
        _follow(watcher)


def _follow(watcher: Watcher) -> None:
    from rich.live import Live
    from rich.text import Text

    with Live(console=console.out(), auto_refresh=False) as live, suppress(KeyboardInterrupt):
        while True:
            live.update(Text("\n".join(lines(watcher.look()))), refresh=True)
            time.sleep(PERIOD)


def lines(found: dict[str, Any]) -> Iterator[str]:
    """What was found, a stage a line."""
    yield found["run"] + ("   stopped: wants a requeue" if found["wants_requeue"] else "")
    if train := found.get("train"):
        yield "train    " + _train(train)
    if search := found.get("search"):
        yield "search   " + _search(search)
    if final := found.get("final"):
        yield ", ".join([f"final    {final['trained']} trained on real data", *_ended(final)])
    if len(found) == 2:
        yield "nothing has begun"


def _ended(found: dict[str, Any]) -> list[str]:
    """How a stage has ended that is not done."""
    status = found.get("status")
    if status == "failed":
        return [f"failed: {found['reason'].splitlines()[0]}"]
    return [f"{status}: {GOES_ON}"] if status in ("interrupted", "stopped") else []


def _reached(found: dict[str, Any]) -> str:
    if "mean_return" in found:
        return f"fresh policies reach a return of {found['mean_return']:.1f}"
    return f"fresh learners reach {100 * found['accuracy']:.1f} %"


def _train(train: dict[str, Any]) -> str:
    done = f"{train['iteration']} of {train['iterations']} meta-iterations" if "iterations" in train else "begun"
    parts = [done]
    if train.get("status") == "done":
        return f"{done}, done: {_reached(train)}"
    if ended := _ended(train):
        return ", ".join([done, *ended])
    if train.get("loss") is not None:
        parts.append(f"loss {train['loss']:.3f}")
    if judged := train.get("evaluated"):
        parts.append(f"{_reached(judged)} after {judged['iteration']}")
    if "seconds_left" in train:
        parts.append(f"{console.duration(train['seconds_left'])} left")
    if train.get("updated"):
        parts.append(f"{console.duration(time.time() - train['updated'])} since the last sign")
    return ", ".join(parts)


def _search(search: dict[str, Any]) -> str:
    bad = {name: count for name, count in search["statuses"].items() if name != "ok"}
    planned = "" if search["planned"] is None else f" of {search['planned']}"
    parts = [f"{search['architectures']} architectures, {search['rows']}{planned} evaluations"]
    if search["best"] is not None:
        parts.append(f"best {100 * search['best']:.1f} % ({search['best_arch'][:8]})")
    parts += [f"{count} {name}" for name, count in sorted(bad.items())]
    if search["per_minute"] is not None:
        parts.append(f"{search['per_minute']:.1f} a minute")
    to_come = sum(search["certificate_left"].values()) if search.get("status", RUNNING) == RUNNING else 0
    if "seconds_left" in search or to_come:
        span = search.get("seconds_left_interval")
        parts.append(time_left(search) + (f" ({_span(span)})" if span else ""))
    if slowest := search.get("slowest_rank"):
        parts.append(
            f"slowest rank {slowest['rank']} on {slowest['host']}: {slowest['mean_seconds']:.1f} s each, "
            f"the others {slowest['median_of_others']:.1f} s"
        )
    parts.append(f"{search['certificate']} trained for the certificate" + (f", {to_come} to come" if to_come else ""))
    return ", ".join([*parts, *_ended(search)])


def _span(interval: list[float | None]) -> str:
    low, high = interval
    to = "unknown" if high is None else console.duration(high)
    return f"{console.duration(low or 0.0)} to {to}"
