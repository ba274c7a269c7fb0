"""Memory that is freed and taken again comes from the heap, not from the kernel."""

import sys

import pytest

PROGRAM = """
import ctypes, resource
from gtn_hpc.core.allocator import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        place = libc.malloc(48 << 20)
        ctypes.memset(place, 1, 48 << 20)
        libc.free(place)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(), keep_freed_memory(), faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_what_is_freed_is_not_faulted_in_again(launch):
    before, told, after = launch([sys.executable, "-c", PROGRAM]).stdout.split()
    assert told == "True"
    assert int(after) < int(before) / 5
