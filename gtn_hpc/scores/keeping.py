"""What of `scores.h5` no journal gives, and keeping such a file before it is written anew."""

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gtn_hpc.core.errors import StorageError
from gtn_hpc.scores import files
from gtn_hpc.scores.tables import Tables

PRECIOUS = ("scores", "final", "certificate", "curves")
"""Tables of results: what they hold cannot be had again without computing it again."""


def lost(product: Tables, truth: Tables) -> dict[str, int]:
    """How many rows of results, by table, have keys in `product` that are not in `truth`; without tables that have
    none."""
    counts = {name: int(np.isin(product[name]["key"], truth[name]["key"], invert=True).sum()) for name in PRECIOUS}
    return {name: count for name, count in counts.items() if count}


def told(counts: Mapping[str, int]) -> str:
    """Of `lost`, for people."""
    by_table = ", ".join(f"{count} in {name}" for name, count in counts.items())
    return f"{sum(counts.values())} rows that no journal has ({by_table})"


def keep_where_lost(path: Path, truth: Tables) -> list[str]:
    """Keeps the file at `path` beside itself where it holds results that are not in `truth`; what to tell of it.

    What cannot be read holds nothing that could be kept. Cost: reading the file, if there is one.
    """
    try:
        counts = lost(files.load(path, PRECIOUS), truth) if path.is_file() else {}
    except StorageError:
        return []
    if not counts:
        return []
    beside = keep(path)
    return [
        f"{path} held {told(counts)}; it is made anew from the journals, and the old file is kept as {beside}. "
        f"Bring the journals back, or join both: gtn scores merge {path.parent} {beside} -o FILE.h5"
    ]


def keep(path: Path) -> Path:
    """Gives the file a second name beside it, with date and time, which nothing else had; returns that."""
    stamp = f"{path.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    number = 0
    while True:
        beside = path.with_name(f"{stamp}{f'-{number}' if number else ''}{path.suffix}")
        try:
            _second(path, beside)
            return beside
        except FileExistsError:
            number += 1
        except OSError as error:
            raise StorageError(
                f"{path} holds rows that no journal has, and cannot be kept as {beside}: {error.strerror}.",
                remedy="Look for free space and write permission, or move the file away yourself.",
            ) from error


def _second(path: Path, beside: Path) -> None:
    try:
        os.link(path, beside)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with open(path, "rb") as source, open(beside, "xb") as target:
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
