"""Every error that a user can meet.

GtnError                 exit 1   a message that says what, where, the valid values and the remedy
├── UsageError           exit 2   the command line is wrong
│   └── ConfigError      exit 2   the configuration is wrong, or asks for what its files do not have
├── DataError            exit 1   an image set is missing, damaged or does not fit
├── ArchitectureError    exit 1   an architecture specification is not valid in its space
├── StorageError         exit 1   a file of ours is missing, damaged or of another schema
│   └── CheckpointError  exit 1   a checkpoint is missing, damaged or of another model
├── RunError             exit 1   a run directory cannot be used
├── ClusterError         exit 1   processes cannot find or follow each other
│   └── DeviceLost       exit 1   a GPU gives this process nothing more
├── NonFiniteError       exit 1   a NaN or an infinity where a number is needed
├── OutOfMemory          exit 1   a device or a limit had no memory left
└── Requeue              exit 75  stopped by a signal or a deadline; state.json says wants_requeue
"""

import difflib
from collections.abc import Iterable


class GtnError(Exception):
    """A problem that the user can mend: `what` went wrong, and the `remedy` in one sentence."""

    exit_code = 1

    def __init__(self, what: str, *, remedy: str | None = None) -> None:
        super().__init__(what if remedy is None else f"{what}\n  {remedy}")
        self.what = what
        self.remedy = remedy


class UsageError(GtnError):
    exit_code = 2


class ConfigError(UsageError):
    pass


class DataError(GtnError):
    pass


class ArchitectureError(GtnError):
    pass


class StorageError(GtnError):
    pass


class CheckpointError(StorageError):
    pass


class RunError(GtnError):
    pass


class ClusterError(GtnError):
    pass


class DeviceLost(ClusterError):
    pass


class NonFiniteError(GtnError):
    pass


class OutOfMemory(GtnError):
    pass


class Requeue(GtnError):
    exit_code = 75


def headline(error: BaseException) -> str:
    """What went wrong, of an error that nobody foresaw in one line."""
    if isinstance(error, GtnError):
        return error.what
    first = str(error).strip().splitlines()[:1]
    return f"Unexpected {type(error).__name__}: {first[0][:300] if first else 'no message'}"


def nearest(name: str, valid: Iterable[str]) -> str:
    """A sentence that lists the `valid` names and, where one is close to `name`, suggests it."""
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, n=1)
    guess = f"Did you mean '{close[0]}'? " if close else ""
    return f"{guess}Valid: {', '.join(valid)}."
