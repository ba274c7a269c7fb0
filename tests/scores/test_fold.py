"""The fold: one row a key, the same whether in one go or piece by piece, beside living writers, after any damage."""

import errno
import fcntl
import json
import threading

import pytest
from score_rows import failed, one_of_each, score

from gtn_hpc import scores
from gtn_hpc.core.errors import RunError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import Ask, Journal, Tell, Throttle, fold
from gtn_hpc.scores.folding import gather, locked
from gtn_hpc.scores.journal import new_path
from gtn_hpc.scores.lines import encode
from gtn_hpc.scores.rows import to_plain


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path / "run")


def append(run, *rows, **names):
    with Journal(run.journal, **names) as journal:
        journal.append(rows)


def table(run, name="scores"):
    with scores.open(run.path) as opened:
        return opened.read(name)


def test_every_kind_goes_to_its_table(run):
    append(run, *one_of_each())
    report = fold(run)
    assert report.written and report.read == 7
    assert report.rows == {
        "scores": 2, "architectures": 1, "final": 1, "certificate": 1, "asks": 1, "tells": 1,
        "curves": 3, "failures": 1, "conflicts": 0,
    }  # fmt: skip
    assert table(run).set_index("key").synflow["k1"] == 3.5
    assert table(run, "final").test_accuracy.tolist() == [0.88]
    assert table(run, "certificate").source.tolist() == ["truth"]
    assert table(run, "architectures").spec.tolist() == ['{"layers":[]}']
    assert table(run, "curves").query("key == 'k1'")[["step", "val_accuracy"]].to_numpy().tolist() == [
        [4, 0.25],
        [8, 0.5],
    ]
    assert table(run, "failures").detail.tolist() == ["Traceback: no memory"]
    assert table(run, "tells")["size"].tolist() == [10.0]


def test_scores_learn_their_history_from_the_manager(run):
    with Journal(run.journal) as manager:
        asks = [Ask(3, "arch-k1", 8, parent="arch-k0"), Ask(9, "arch-k1", 8), Ask(4, "arch-k2", 16)]
        manager.append(asks)
        append(run, score("k1"), score("k2"), score("k3", ask=5, parent="own"))
        fold(run)
        manager.append([Tell(1, 3, "arch-k1", 8, 0.5)])
    fold(run)
    found = table(run).set_index("key")[["ask", "parent", "tell"]].to_dict("index")
    assert found["k1"] == {"ask": 3, "parent": "arch-k0", "tell": 1}
    assert found["k2"] == {"ask": -1, "parent": "", "tell": -1}
    assert found["k3"] == {"ask": 5, "parent": "own", "tell": -1}


def test_one_row_a_key_and_second_values_are_told(run):
    append(run, score("k", 0.5, time=2.0), score("same", 0.25), failed("nan", "nan"))
    append(run, score("k", 0.75, time=1.0), score("same", 0.25, seconds=9.0), failed("nan", "nan"))
    report = fold(run)
    assert report.rows["scores"] == 3 and report.read == 6
    assert table(run).set_index("key").val_accuracy["k"] == 0.75
    (conflict,) = report.conflicts
    assert (conflict.table, conflict.key) == ("scores", "k")
    assert json.loads(conflict.values) == {"val_accuracy": 0.5, "val_loss": 1.25, "status": "ok"}
    assert "k: another evaluation gave" in str(conflict)
    assert fold(run).conflicts == report.conflicts


def test_an_ok_row_is_kept_before_an_earlier_failure(run):
    append(run, failed("k", "timeout", time=1.0), score("k", 0.5, time=2.0))
    report = fold(run)
    assert table(run).status.tolist() == ["ok"] and '"timeout"' in report.conflicts[0].values


def test_piece_by_piece_equals_in_one_go(run):
    rows = [
        *one_of_each(),
        score("k1", 0.75, time=-1.0, curve={4: 0.5}),
        failed("k2", "timeout"),
        score("k2", 0.125),
        Ask(1, "arch-k2", 8, parent="p"),
        score("k3", extra={"other": 1.0}, host="größe"),
        Tell(2, 1, "arch-k2", 8, 0.5),
    ]
    for row in rows:
        append(run, row)
        step_by_step = fold(run)
    whole, read = gather(run)
    assert read == len(rows)
    for name, columns in whole.tables.items():
        found = table(run, name)
        assert len(found) == step_by_step.rows[name]
        for column, values in columns.items():
            expected = [value.decode() if isinstance(value, bytes) else value for value in values.tolist()]
            assert repr(found[column].tolist()) == repr(expected), (name, column)
    assert scores.digest(run) == scores.digest(run.scores)


def test_nothing_new_nothing_written(run):
    append(run, score("k"))
    assert fold(run).written
    before = run.scores.stat().st_mtime_ns
    assert not fold(run).written and run.scores.stat().st_mtime_ns == before
    assert fold(run, full=True).written


@pytest.mark.parametrize("harm", ["missing", "damaged", "foreign", "journal replaced"])
def test_the_product_is_made_anew_from_the_journals(run, harm):
    append(run, score("a"))
    append(run, score("b"))
    fold(run)
    expected = scores.digest(run)
    if harm == "missing":
        run.scores.unlink()
    elif harm == "damaged":
        content = bytearray(run.scores.read_bytes())
        content[len(content) // 2] ^= 1
        run.scores.write_bytes(content)
    elif harm == "foreign":
        run.scores.write_text("not hdf5")
    else:
        old = next(run.journal.glob("*.jsonl"))
        old.rename(new_path(run.journal, "other"))
    assert fold(run).written and scores.digest(run.scores) == expected


@pytest.mark.parametrize("links", [True, False])
def test_results_that_no_journal_has_are_kept_beside(run, links, monkeypatch):
    append(run, *one_of_each())
    fold(run)
    old = run.scores.read_bytes()
    if not links:
        monkeypatch.setattr("os.link", no_link)
    monkeypatch.setattr("time.strftime", lambda _: "20260102-030405")
    taken = run.path / "scores-20260102-030405.h5"
    taken.write_bytes(b"mine")
    next(run.journal.glob("*.jsonl")).rename(run.path / "elsewhere")
    append(run, score("k1"), score("new"))
    report = fold(run)
    beside = run.path / "scores-20260102-030405-1.h5"
    (note,) = report.notes
    assert "6 rows that no journal has (1 in scores, 1 in final, 1 in certificate, 3 in curves)" in note
    assert str(beside) in note
    assert beside.read_bytes() == old and taken.read_bytes() == b"mine"
    assert table(run).key.tolist() == ["k1", "new"]
    assert not fold(run).notes and not fold(run, full=True).notes and len(list(run.path.glob("*.h5"))) == 3
    assert scores.merge(run.path / "joined.h5", [run, beside]).rows["scores"] == 3


def no_link(*_, **__):
    raise OSError(95, "Operation not supported")


def test_nothing_is_kept_of_journals_that_were_compacted_or_grew(run):
    append(run, *one_of_each())
    append(run, score("other"))
    fold(run)
    assert scores.compact(run).journals == 2
    append(run, score("later"))
    assert not fold(run).notes and [path.name for path in run.path.glob("*.h5")] == ["scores.h5"]
    assert set(table(run).key) == {"k1", "k2", "other", "later"}


def test_damage_is_told_by_every_fold(run):
    append(run, score("a"), score("b"))
    path = next(run.journal.glob("*.jsonl"))
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(bytes(content) + b'{"crc":"12')
    for report in (fold(run), fold(run), fold(run, full=True)):
        assert [(item.kind, item.line) for item in report.damage] == [("damaged", 1), ("torn", 3)]
        assert report.rows["scores"] == 1


def test_only_one_folds_at_a_time(run):
    append(run, score("a"))
    with locked(run) as held:
        assert held
        assert not fold(run, wait=False).written
        waiting = threading.Thread(target=fold, args=(run,))
        waiting.start()
        assert not run.scores.exists()
    waiting.join()
    assert len(table(run)) == 1


def test_folds_beside_living_writers_lose_nothing(run):
    def write(worker):
        with Journal(run.journal, rank=worker) as journal:
            for number in range(40):
                journal.append([score(f"{worker}-{number}"), score(f"shared-{number}")])

    writers = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        report = fold(run)
        assert not report.damage and not report.conflicts
        if report.rows["scores"]:
            assert table(run).key.is_unique
    for writer in writers:
        writer.join()
    assert fold(run).rows["scores"] == 160
    assert scores.digest(run.scores) == scores.digest(run)


def test_configuration_and_environment_of_the_run_are_in_the_file(run):
    append(run, score("a"))
    run.config.write_text("seed: 3\n")
    run.environment.write_text('{"host": "there"}')
    fold(run)
    with scores.open(run.scores) as opened:
        assert (opened.config, opened.environment) == ("seed: 3\n", {"host": "there"})


def test_journals_of_version_0_are_read(run):
    """Version 0 wrote `accuracy` and `loss`, and no replica."""
    plain = to_plain(score("k", 0.5))
    old = {"accuracy": plain.pop("val_accuracy"), "loss": plain.pop("val_loss"), **plain}
    del old["replica"]
    run.journal.mkdir(parents=True)
    new_path(run.journal, "old").write_bytes(encode({"v": 0, **old}))
    append(run, score("l", 0.75))
    assert [row.replica for row in scores.read_journals(run.journal).scores] == [0, 0]
    fold(run)
    assert table(run)[["key", "val_accuracy", "replica"]].to_numpy().tolist() == [["k", 0.5, 0], ["l", 0.75, 0]]


def test_throttle_keeps_to_its_share():
    now = 0.0
    throttle = Throttle(0.02, clock=lambda: now)
    done = []

    def work():
        nonlocal now
        now += 1.0
        done.append(now)

    while now < 1000:
        throttle(work)
        now += 0.5
    assert 15 <= len(done) <= 20
    assert all(number <= 1 + 0.02 * when for number, when in enumerate(done, 1))


def test_a_file_system_without_locks_is_told_in_words(run, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    append(run, score("k1"))
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(RunError, match=r"fold.lock cannot be locked: Function not implemented\.\n.*-o flock"):
        fold(run)
