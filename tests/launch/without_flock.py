"""flock(2) refused by the kernel, as on file systems mounted without locks: a seccomp filter of this process."""

import ctypes
import errno
import platform
import struct

FLOCK = {"x86_64": 73, "aarch64": 32}[platform.machine()]
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.ENOLCK
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def refuse_flock():
    """Load the number of the system call; flock fails with ENOLCK, all others pass."""
    steps = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, FLOCK), (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, FILTER, ctypes.byref(Program(len(steps), code))) == 0, ctypes.get_errno()
