"""fsck tells what is wrong; compact loses nothing, whenever it is cut off."""

import shutil

import pytest
from score_rows import failed, one_of_each, score

from gtn_hpc import scores
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import Journal, compact, digest, fsck
from gtn_hpc.scores.folding import gather


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    for rank, rows in enumerate(([score("a"), score("b")], [failed("c"), *one_of_each()], [score("a")])):
        with Journal(run.journal, f"job{rank}") as journal:
            journal.append(rows)
    return run


def journals(run):
    return sorted(run.journal.glob("*.jsonl"))


def flip(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def test_fsck_of_a_sound_run(run):
    check = fsck(run)
    assert check.sound and check.product == "missing" and check.journals == 3
    assert check.rows["scores"] == 5 and check.duplicates == {"scores": 1}
    scores.fold(run)
    assert fsck(run).product == "current"
    with Journal(run.journal) as journal:
        journal.append([score("z")])
    assert fsck(run).product == "behind" and fsck(run).sound
    assert list(fsck(run).lines()) == [
        "4 journals: 6 rows in scores, 1 rows in architectures, 1 rows in final, 1 rows in certificate, "
        "1 rows in asks, 1 rows in tells, 3 rows in curves, 2 rows in failures",
        "1 duplicate rows in scores dropped",
        "scores.h5: behind",
    ]


def test_fsck_tells_rows_that_no_journal_has(run):
    scores.fold(run)
    before = run.scores.read_bytes()
    for path in journals(run):
        path.unlink()
    check = fsck(run)
    assert not check.sound and check.lost == {"scores": 5, "final": 1, "certificate": 1, "curves": 3}
    assert list(check.lines()) == [
        "0 journals: no rows",
        "scores.h5: behind",
        "scores.h5 holds 10 rows that no journal has (5 in scores, 1 in final, 1 in certificate, 3 in curves): "
        "bring the journals back, or keep a copy of the file",
    ]
    assert run.scores.read_bytes() == before


def test_fsck_names_what_is_damaged(run):
    scores.fold(run)
    first = journals(run)[0]
    flip(first, 50)
    first.write_bytes(first.read_bytes() + b'{"crc"')
    with Journal(run.journal) as journal:
        journal.append([score("c", 0.9)])
    flip(run.scores, 2000)
    before = [path.read_bytes() for path in journals(run)]
    check = fsck(run)
    assert not check.sound
    assert [(item.file, item.kind, item.line) for item in check.damage] == [
        (first.name, "damaged", 1),
        (first.name, "torn", len(first.read_bytes().split(b"\n"))),
    ]
    assert [conflict.key for conflict in check.conflicts] == ["c"]
    assert "checksum does not fit" in check.product
    text = "\n".join(check.lines())
    assert f"{first.name}, line 1, byte 0: damaged" in text and "c: another evaluation gave" in text
    assert [path.read_bytes() for path in journals(run)] == before


def test_a_torn_end_alone_is_no_harm(run):
    path = journals(run)[0]
    path.write_bytes(path.read_bytes() + b'{"crc"')
    check = fsck(run)
    assert check.sound and [item.kind for item in check.damage] == ["torn"]


def everything(run):
    tables = gather(run)[0].tables
    return repr({name: {column: v.tolist() for column, v in columns.items()} for name, columns in tables.items()})


def test_compact_keeps_every_row_in_one_journal(run):
    scores.fold(run)
    expected, product = everything(run), digest(run.scores)
    done = compact(run)
    assert journals(run) == [done.into] and (done.journals, done.kept, done.set_aside) == (3, 10, ())
    assert everything(run) == expected
    assert scores.fold(run).written and digest(run.scores) == product
    assert compact(run).into is None and journals(run) == [done.into]


def test_compact_leaves_living_writers_alone(run):
    with Journal(run.journal) as living:
        living.append([score("living")])
        compact(run)
        assert living.path in journals(run) and len(journals(run)) == 2
        living.append([score("later")])
    assert {"living", "later"} <= {row.key for row in scores.read_journals(run.journal).scores}


def test_compact_sets_damaged_journals_aside(run):
    first = journals(run)[0]
    first_content = bytearray(first.read_bytes())
    flip(first, 50)
    expected = everything(run)
    done = compact(run)
    (aside,) = done.set_aside
    assert aside == run.journal / "damaged" / first.name and everything(run) == expected
    flip(aside, 50)
    assert aside.read_bytes() == first_content


@pytest.mark.parametrize("left", [0, 1, 2, 3])
def test_compact_cut_off_at_any_point_loses_and_doubles_nothing(run, tmp_path, left):
    """Old journals go one after the other once the new one is there: any of them may still be there."""
    expected = everything(run)
    kept = tmp_path / "kept"
    shutil.copytree(run.journal, kept)
    compact(run)
    for path in sorted(kept.glob("*.jsonl"))[:left]:
        shutil.copy(path, run.journal)
    assert everything(run) == expected
    compact(run)
    assert everything(run) == expected and len(journals(run)) == 1


def test_compact_that_cannot_write_changes_nothing(run, monkeypatch):
    before = journals(run)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="No space"):
        compact(run)
    assert journals(run) == before and len(list(run.journal.iterdir())) == 4
