"""Standard output and error of a program whose work goes on without a reader."""

import io
import os
import sys
from typing import Any, TextIO


def outlast_readers() -> None:
    """What is written to a closed stream, or to a pipe whose reader has gone, goes nowhere and is no error.

    Meant for the start of a process: it opens the null device in place of those of the descriptors 0, 1 and 2 that are
    closed, which the next files would get.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(opened, True)
    os.close(opened)
    sys.stdout, sys.stderr = _lasting(sys.stdout, 1), _lasting(sys.stderr, 2)


class _Lasting(io.FileIO):
    """Turns to the null device when the reader has gone."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def _lasting(stream: TextIO | None, descriptor: int) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream or open(descriptor, "w", closefd=False)
    stream.flush()
    raw = _Lasting(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
