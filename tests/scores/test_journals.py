"""Rows come back as they were, names are never used again, a full disk loses nothing that was acknowledged."""

import math
import re
import resource
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from score_rows import failed, one_of_each, score

from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.records import Architecture
from gtn_hpc.scores import (
    ArchitectureRow,
    Ask,
    Journal,
    JournalReader,
    Tell,
    init_key,
    key,
    read_journals,
    replay,
)
from gtn_hpc.scores.lines import encode, parse, read_blocks
from gtn_hpc.scores.rows import from_plain, to_plain

ANY = st.floats(width=64)
TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=8)


def same(a, b):
    return repr(a) == repr(b)


@pytest.mark.parametrize("row", one_of_each(), ids=lambda row: type(row).__name__)
def test_every_kind_comes_back(tmp_path, row):
    with Journal(tmp_path, "7", 3) as journal:
        journal.append([row])
    (block,) = read_blocks(journal.path)
    (found,) = (from_plain(plain) for plain in parse("j", block.bodies))
    assert same(found, row) and type(found) is type(row)


def test_a_journal_whose_file_is_gone_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(replay, "STALE", 0.3)
    (tmp_path / "local.0.0.r0.jsonl").symlink_to(tmp_path / "scratch.jsonl")
    with pytest.raises(StorageError, match=r"r0.jsonl is listed, but there is no such file"):
        read_journals(tmp_path)


@given(ANY, ANY, TEXT, st.dictionaries(st.integers(1, 99), ANY, max_size=3))
def test_any_score_comes_back(accuracy, loss, host, curve):
    row = score("k", accuracy, val_loss=loss, host=host, curve=curve, extra={"synflow": loss})
    assert same(from_plain(to_plain(row)), row)
    assert encode(to_plain(row)).count(b"\n") == 1


def test_text_that_no_file_can_hold_is_mended_and_tracebacks_are_cut():
    plain = to_plain(failed("k", host="a\0b", job="\udcff"))
    assert (plain["host"], plain["job"]) == ("ab", "?")
    assert to_plain(score("k", detail="x" * 5000 + "end"))["detail"].endswith("end")
    assert len(to_plain(score("k", detail="x" * 5000))["detail"]) == 2000


@pytest.mark.parametrize("name", ["params", "not a name"])
def test_further_numbers_need_names_of_their_own(name):
    with pytest.raises(StorageError, match="cannot be named"):
        to_plain(score("k", extra={name: 1.0}))


def test_names_tell_job_restart_and_rank_and_never_repeat(tmp_path):
    journals = [Journal(tmp_path, "12_3.x", rank=5, restart=2) for _ in range(20)]
    names = {journal.path.name for journal in journals}
    assert len(names) == 20
    assert all(re.fullmatch(r"12_3-x\.2\.[0-9a-f]{12}\.r5\.jsonl", name) for name in names)
    for journal in journals:
        journal.close()


def test_the_restart_in_a_name_is_the_one_that_slurm_counts(tmp_path, monkeypatch):
    with Journal(tmp_path, "12") as first:
        assert first.path.name.startswith("12.0.")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "3")
    with Journal(tmp_path, "12") as again:
        assert again.path.name.startswith("12.3.")


def test_asks_and_tells_come_back_in_order(tmp_path):
    with Journal(tmp_path, "7") as first:
        first.append([Ask(0, "a", 8), Ask(1, "b", 8, parent="a")])
        first.append([Tell(0, 1, "b", 8, 0.5)])
    with Journal(tmp_path, "7", restart=1) as second:
        second.append([Tell(1, 0, "a", 8, math.nan, status="nan")])
        second.append([Ask(2, "c", 8)])
    found = read_journals(tmp_path)
    assert [(ask.order, ask.arch, ask.parent) for ask in found.asks] == [(0, "a", ""), (1, "b", "a"), (2, "c", "")]
    assert [(tell.order, tell.ask, tell.status) for tell in found.tells] == [(0, 1, "ok"), (1, 0, "nan")]


def test_reading_an_empty_or_missing_directory(tmp_path):
    assert read_journals(tmp_path / "none").scores == []
    Journal(tmp_path).close()
    assert read_journals(tmp_path).scores == [] and read_journals(tmp_path).damage == []


def test_a_reader_follows_from_where_it_was(tmp_path):
    reader = JournalReader(tmp_path)
    with Journal(tmp_path) as journal:
        for number in range(3):
            journal.append([score(f"k{number}"), score(f"l{number}")])
            found = [row["key"] for piece in reader.pieces() for row in piece.rows]
            assert found == [f"k{number}", f"l{number}"]
        assert list(reader.pieces()) == []


def test_threads_share_a_journal(tmp_path):
    with Journal(tmp_path) as journal:
        threads = [
            threading.Thread(target=lambda t=t: [journal.append([score(f"{t}-{i}")]) for i in range(20)])
            for t in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = read_journals(tmp_path)
    assert len({row.key for row in found.scores}) == 80 and not found.damage


def test_a_full_disk_is_told_and_loses_nothing(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(tmp_path) as journal:
        journal.append([score("first")])
        resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size + 100, hard))
        try:
            with pytest.raises(StorageError, match="cannot be written"):
                journal.append([score("lost"), score("lost too")])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        journal.append([score("second")])
    found = read_journals(tmp_path)
    assert [row.key for row in found.scores] == ["first", "second"] and not found.damage


def test_a_place_that_cannot_hold_journals(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="No journal can be made"):
        Journal(tmp_path / "file" / "journal")


def test_rows_of_a_newer_version_are_refused(tmp_path):
    (tmp_path / "a.0.b.r0.jsonl").write_bytes(encode({"v": 99, **to_plain(score("k"))}))
    with pytest.raises(StorageError, match="version 99"):
        read_journals(tmp_path)


def test_keys_depend_on_everything_and_initialisation_not_on_fidelity():
    settings = {"seed": 1, "threads": 1, "precision": "float32"}
    base = ("arch", "curriculum", settings, 0, 8)
    others = [("b", *base[1:]), ("arch", "c", *base[2:]), (*base[:2], {**settings, "seed": 2}, 0, 8),
              (*base[:3], 1, 8), (*base[:4], 16)]  # fmt: skip
    keys = {key(*arguments) for arguments in [base, *others]}
    assert len(keys) == 6 and all(re.fullmatch("[0-9a-f]{32}", found) for found in keys)
    assert key("arch", "curriculum", dict(reversed(settings.items())), 0, 8) == key(*base)
    initial = {init_key(*arguments[:4]) for arguments in [base, *others]}
    assert len(initial) == 5 and not initial & keys


def test_an_architecture_row_rebuilds_the_architecture():
    architecture = Architecture("chain", {"layers": [1, 2]})
    row = ArchitectureRow.of(architecture, params=10, flops=20)
    assert row.arch == architecture.digest
    assert Architecture.from_json(f'{{"space":"{row.space}","spec":{row.spec}}}') == architecture
