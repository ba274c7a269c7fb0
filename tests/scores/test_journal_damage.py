"""Torn ends and flipped bits at every byte of a journal: what is lost is told, the rest stays."""

import pytest
from score_rows import score

from gtn_hpc.scores import Journal, read_journals

ROWS = [score(f"k{number}", 0.1 * number, host="größe") for number in range(3)]


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    with Journal(tmp_path_factory.mktemp("whole")) as journal:
        journal.append(ROWS)
    return journal.path.read_bytes()


def damaged(path, content):
    path.write_bytes(content)
    found = read_journals(path.parent)
    assert all(row in ROWS for row in found.scores)
    return found


def test_a_flipped_bit_costs_its_row_only_and_is_told_where(tmp_path, content):
    path = tmp_path / "a.0.b.r0.jsonl"
    starts = [0, *(place + 1 for place, byte in enumerate(content) if byte == ord("\n"))]
    for offset in range(len(content)):
        changed = bytearray(content)
        changed[offset] ^= 1 << (offset % 8)
        found = damaged(path, bytes(changed))
        row = sum(start <= offset for start in starts[1:])
        at_line_end = content[offset : offset + 1] == b"\n"
        assert len(found.scores) == (3 if at_line_end and offset < len(content) - 1 else 2), offset
        assert found.damage and all(item.file == path.name for item in found.damage)
        assert all(starts[row] <= item.offset and item.offset + item.length <= starts[row + 1] for item in found.damage)
        assert all(item.line in (row + 1, row + 2) for item in found.damage)
        assert any(item.offset <= offset < item.offset + item.length + 1 for item in found.damage)


def test_a_torn_end_costs_the_unfinished_row_only(tmp_path, content):
    path = tmp_path / "a.0.b.r0.jsonl"
    for length in range(len(content)):
        found = damaged(path, content[:length])
        whole = content[:length].count(b"\n")
        rest = length - (content[:length].rfind(b"\n") + 1)
        complete = content[length : length + 1] == b"\n"
        assert [row.key for row in found.scores] == [row.key for row in ROWS[: whole + complete]]
        if rest and not complete:
            (torn,) = found.damage
            assert (torn.kind, torn.line, torn.offset, torn.length) == ("torn", whole + 1, length - rest, rest)
        else:
            assert not found.damage


def test_the_unfinished_end_of_a_living_writer_is_no_damage(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append(ROWS[:1])
        with open(journal.path, "ab") as file:
            file.write(b'{"crc":"12')
        assert read_journals(tmp_path).damage == []
    assert [item.kind for item in read_journals(tmp_path).damage] == ["torn"]
