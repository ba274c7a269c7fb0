"""The C allocator of this process."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's mallopt."""

LARGEST = (1 << 30, 32 << 20)
"""Bytes of a piece that still comes from the heap: what is asked for, and the most that older glibc grants."""


def keep_freed_memory() -> bool:
    """Lets glibc keep what is freed, until the process ends; returns whether there was a glibc to tell.

    Activations of some tens of megabytes are otherwise given back to the kernel and faulted in again at each layer: of
    a judgement of wide learners that was half of the time. What a process holds at most stays the same; what it holds
    afterwards does not.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or not any(mallopt(M_MMAP_THRESHOLD, size) for size in LARGEST):
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, 2 * LARGEST[0] - 1))
