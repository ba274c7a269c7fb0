"""A checksum of the whole file behind its end, where HDF5 does not look.

fletcher32 guards the values but not the metadata of a file; a flipped bit there can crash or mislead the library. The
seal is compared before the library sees the file. Cost: one pass over the file, at about 2 GB/s, once a process.
"""

import functools
import os
import zlib
from pathlib import Path

from gtn_hpc.core.errors import StorageError

MARK = b"GTNSEAL:"
LENGTH = len(MARK) + 8 + 1
BLOCK = 1 << 20


def attach(path: Path) -> None:
    """Appends the seal to a finished file."""
    checksum = _checksum(path, path.stat().st_size)
    with open(path, "ab") as file:
        file.write(MARK + f"{checksum:08x}\n".encode())


def check(path: Path) -> bool:
    """True where the file carries a seal that fits, False where it carries none.

    Raises StorageError where the seal does not fit: the file changed since it was written.
    """
    status = os.stat(path)
    return _check(path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _check(path: Path, _device: int, _inode: int, size: int, _changed: int) -> bool:
    with open(path, "rb") as file:
        file.seek(max(0, size - LENGTH))
        trailer = file.read(LENGTH)
    if not trailer.startswith(MARK):
        return False
    if trailer != MARK + f"{_checksum(path, size - LENGTH):08x}\n".encode():
        raise StorageError(
            f"{path} is damaged: its checksum does not fit its content.",
            remedy="Restore the file from a copy, or write it again from its source.",
        )
    return True


def _checksum(path: Path, size: int) -> int:
    checksum = 0
    with open(path, "rb") as file:
        while size > 0 and (block := file.read(min(BLOCK, size))):
            checksum = zlib.crc32(block, checksum)
            size -= len(block)
    return checksum
