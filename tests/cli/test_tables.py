"""Tables on narrow screens: what is printed of a number is all of it."""

import contextlib
import io

import pytest

from gtn_hpc.cli import console

NAMES = tuple(f"column{index}" for index in range(12))
ROWS = [[row * 1000003 + index for index in range(12)] for row in range(271, 274)]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def printed(monkeypatch, columns, action):
    """What `action` prints to a terminal of so many columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    with contextlib.redirect_stdout(Terminal()) as screen:
        action()
    return screen.getvalue()


@pytest.mark.parametrize("width", [20, 80, 120])
def test_columns_without_room_are_left_out_and_named_and_no_number_is_cut(width, monkeypatch):
    text = printed(monkeypatch, width, lambda: console.table("", NAMES, ROWS))
    table, _, told = text.partition("not shown: ")
    lines = [line.split() for line in table.splitlines() if line.strip() and "─" not in line]
    shown = lines[0]
    assert shown == list(NAMES[: len(shown)]) and 1 <= len(shown) < 12
    assert lines[1:] == [[str(value) for value in row[: len(shown)]] for row in ROWS]
    left_out = told.partition(";")[0].split(", ")
    assert left_out == list(NAMES[len(shown) :])
    assert all(len(line) <= width for line in table.splitlines())


def test_brackets_in_a_cell_are_text_and_words_stay_whole(capsys):
    console.table("", ("key", "type"), [("teacher.generator.channels", "[integer, integer]"), ("a", "word " * 50)])
    text = capsys.readouterr().out
    assert "[integer, integer]" in text
    assert set(text.replace("─", " ").split()) == {
        "key", "type", "teacher.generator.channels", "[integer,", "integer]", "a", "word",
    }  # fmt: skip


@pytest.mark.parametrize("width", [80, 120])
def test_keys_of_the_configuration_are_whole_on_a_narrow_terminal(width, monkeypatch):
    from gtn_hpc.cli.settings import config
    from gtn_hpc.config import reference

    text = printed(monkeypatch, width, lambda: config("search"))
    keys = [key for key in reference() if key.name.startswith("search.")]
    assert all(key.name in text and key.type.split()[0] in text for key in keys)


@pytest.mark.parametrize("relay", [None, "OMPI_COMM_WORLD_RANK", "PMI_RANK"])
def test_ranks_of_mpiexec_print_no_colours_though_they_have_a_terminal(relay, monkeypatch):
    for name in console.RELAYS:
        monkeypatch.delenv(name, raising=False)
    if relay is not None:
        monkeypatch.setenv(relay, "0")
    text = printed(monkeypatch, 40, lambda: console.table("A title", NAMES[:1], ROWS))
    assert ("\x1b[" in text) == (relay is None)
    assert "A title" in text
