"""What a check says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """`found` in a sentence; a `remedy` where it is not ok. Warnings cost something, failures stop a run."""

    check: str
    status: Status
    found: str
    remedy: str = ""


Check = Callable[[], Finding]


def guarded(name: str, check: Check) -> Finding:
    """What `check` finds; an error that it did not foresee is a failure."""
    try:
        return check()
    except Exception as error:
        return Finding(name, "fail", f"{type(error).__name__}: {error}", "The check itself failed: tell its authors.")
