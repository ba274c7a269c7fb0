"""A line of a journal: `{"crc":"<8 hex digits>","row":{...}}`, JSON with the CRC32 of the row's text."""

import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gtn_hpc.core.errors import StorageError
from gtn_hpc.scores.schema import VERSION, upgrade_names

BODY = len('{"crc":"01234567","row":')
END = b"}"
CHECKSUM = np.isin(np.arange(BODY), np.arange(8, 16))
"""Which bytes of a line's start are the hex digits."""
FRAME = np.frombuffer(b'{"crc":"","row":', np.uint8)
HEX = np.full(256, 1 << 40)
"""Values of the digits as they are written; anything else makes no checksum."""
HEX[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
PLACES = 16 ** np.arange(7, -1, -1)
RESYNC = re.compile(rb'(?=\{"crc":")')
BLOCK_BYTES = 1 << 23
ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Damage:
    """What a journal lost: `kind` is `torn` (an unfinished last line: its writer died, nothing had been acknowledged)
    or `damaged` (content changed after it was written); `line` counts from 1, `offset` and `length` are bytes."""

    file: str
    line: int
    offset: int
    length: int
    kind: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}, byte {self.offset}: {self.kind}, {self.length} bytes dropped"


@dataclass(frozen=True)
class Position:
    """How far a journal has been read: whole lines only."""

    offset: int = 0
    lines: int = 0


@dataclass(frozen=True)
class Block:
    """Some lines of one journal: the texts of their rows, what was damaged, and where the next block begins."""

    bodies: list[bytes]
    damage: list[Damage]
    end: Position


def encode(row: dict[str, Any]) -> bytes:
    """The line of a row, with the version of the format."""
    return wrap(ENCODER.encode({"v": VERSION, **row}).encode())


def wrap(body: bytes) -> bytes:
    """The line of a row's text."""
    return _start(body) + body + END + b"\n"


def _start(body: bytes) -> bytes:
    return b'{"crc":"%08x","row":' % zlib.crc32(body)


def body_of(line: bytes) -> bytes | None:
    """The row's text, or None where the line is not as it was written."""
    body = line[BODY:-1]
    return body if line[:BODY] == _start(body) and line[-1:] == END else None


def read_blocks(path: Path, start: Position = Position()) -> Iterator[Block]:
    """The lines of a journal from `start` on, in blocks of bounded size."""
    with open(path, "rb") as file:
        file.seek(start.offset)
        carried = b""
        while content := file.read(BLOCK_BYTES):
            content = carried + content
            cut = content.rfind(b"\n") + 1
            carried = content[cut:]
            if cut:
                block = _whole_lines(path.name, content[:cut], start)
                start = block.end
                yield block
    if carried:
        yield _tail(path.name, carried, start)


def _whole_lines(file: str, content: bytes, start: Position) -> Block:
    lines = content[:-1].split(b"\n")
    bodies = [line[BODY:-1] for line in lines]
    if content.count(END + b"\n") == len(lines) and _intact(lines, bodies):
        return Block(bodies, [], Position(start.offset + len(content), start.lines + len(lines)))
    return _damaged_lines(file, lines, start)


def _intact(lines: Sequence[bytes], bodies: Sequence[bytes]) -> bool:
    """Whether each line begins as `_start` of its body says, for all of them at once."""
    heads = b"".join([line[:BODY] for line in lines])
    if len(heads) != BODY * len(lines):
        return False
    grid = np.frombuffer(heads, np.uint8).reshape(-1, BODY)
    told = HEX[grid[:, CHECKSUM]] @ PLACES
    found = np.fromiter(map(zlib.crc32, bodies), np.int64, len(bodies))
    return bool((told == found).all() and (grid[:, ~CHECKSUM] == FRAME).all())


def _damaged_lines(file: str, lines: Sequence[bytes], start: Position) -> Block:
    bodies: list[bytes] = []
    damage: list[Damage] = []
    offset = start.offset
    for number, line in enumerate(lines, start.lines + 1):
        body = body_of(line)
        if body is not None:
            bodies.append(body)
        else:
            _salvage(Damage(file, number, offset, len(line), "damaged"), line, bodies, damage)
        offset += len(line) + 1
    return Block(bodies, damage, Position(offset, start.lines + len(lines)))


def _salvage(whole: Damage, line: bytes, bodies: list[bytes], damage: list[Damage]) -> None:
    """A changed line end joins two lines: takes the whole rows out of such a line, reports the rest."""
    offset = whole.offset
    for piece in filter(None, RESYNC.split(line)):
        body, lost = body_of(piece), 0
        if body is None:
            body, lost = body_of(piece[:-1]), 1
        if body is None:
            lost = len(piece)
        else:
            bodies.append(body)
        offset += len(piece)
        if lost:
            damage.append(replace(whole, offset=offset - lost, length=lost))


def _tail(file: str, content: bytes, start: Position) -> Block:
    """A last line without its end: a row where all of it is there; not counted as read, for it may still grow."""
    body = body_of(content)
    torn = Damage(file, start.lines + 1, start.offset, len(content), "torn")
    return Block([], [torn], start) if body is None else Block([body], [], start)


def parse(file: str, bodies: Sequence[bytes]) -> list[dict[str, Any]]:
    """Rows as plain dictionaries of this version. Raises StorageError for rows of a newer one."""
    rows: list[dict[str, Any]] = json.loads(b"[" + b",".join(bodies) + b"]")
    newest = max((row["v"] for row in rows), default=VERSION)
    if newest > VERSION:
        raise StorageError(
            f"The journal {file} has rows of version {newest}; this gtn_hpc reads up to {VERSION}.",
            remedy="Install the gtn_hpc that wrote them, or a newer one.",
        )
    return [row if row["v"] == VERSION else upgrade_names(row["kind"], row["v"], row) for row in rows]
