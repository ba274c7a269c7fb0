"""The most memory that a stretch of work held."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

PROCESS = Path("/proc/self")


@dataclass
class Peak:
    """Bytes, known once the `with` block has ended."""

    bytes: int = 0


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """On a GPU the most that torch had allocated; on a CPU the process's largest resident size within the block.

    Where the kernel does not let a process forget its old peak, the peak of its whole life.
    """
    peak = Peak()
    _forget(device)
    try:
        yield peak
    finally:
        peak.bytes = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _resident_peak()


def _forget(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        (PROCESS / "clear_refs").write_text("5")
    except OSError:
        return


def _resident_peak() -> int:
    try:
        lines = (PROCESS / "status").read_text().splitlines()
    except OSError:
        lines = []
    found = [line for line in lines if line.startswith("VmHWM:")]
    kilobytes = int(found[0].split()[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 1024 * kilobytes
