"""Digest, verify and the algebra of merge."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from score_rows import failed, score

from gtn_hpc import scores, storage
from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.records import Score
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import ArchitectureRow, Ask, Journal, Tell, digest, merge, verify
from gtn_hpc.scores.comparing import digest_of
from gtn_hpc.scores.files import load, write
from gtn_hpc.scores.rows import to_plain
from gtn_hpc.scores.tables import combine, from_rows


def stored(directory, rows):
    run = RunDirectory(directory)
    with Journal(run.journal) as journal:
        journal.append(rows)
    scores.fold(run)
    return run


def content(path):
    return plain(load(path))


def plain(tables):
    return repr({name: {column: v.tolist() for column, v in columns.items()} for name, columns in tables.items()})


@pytest.mark.parametrize("ordered", [True, False])
def test_a_file_read_piece_by_piece_has_the_digest_of_the_whole(tmp_path, monkeypatch, ordered):
    made = from_rows(to_plain(score(f"k{number}", number / 7)) for number in (range(5) if ordered else (3, 0, 4, 1, 2)))
    write(tmp_path / "some.h5", made)
    whole = digest(tmp_path / "some.h5")
    monkeypatch.setattr("gtn_hpc.scores.opened.BLOCK", 2)
    assert digest(tmp_path / "some.h5") == whole == digest_of(made["scores"])
    made["scores"]["val_loss"][3] += 1e-15
    write(tmp_path / "some.h5", made)
    assert digest(tmp_path / "some.h5") != whole


def test_merge_is_idempotent_commutative_and_associative(tmp_path):
    a = stored(tmp_path / "a", [score("k", 0.5, time=2.0), score("x", 0.1), Ask(0, "arch-k", 8, parent="p")])
    b = stored(tmp_path / "b", [score("k", 0.75, time=1.0), failed("x"), Tell(0, 0, "arch-k", 8, 0.5)])
    c = stored(tmp_path / "c", [score("k", 0.5, time=0.0), score("y", curve={1: 0.5}), failed("x", "timeout")])

    def merged(name, *inputs):
        merge(tmp_path / name, inputs)
        return content(tmp_path / name)

    assert merged("aa.h5", a, a) == merged("a.h5", a) == content(a.scores)
    assert merged("ab.h5", a, b) == merged("ba.h5", b.path, a.scores)
    assert merged("bc.h5", b, c) == merged("bcb.h5", tmp_path / "bc.h5", b)
    assert merged("a_bc.h5", a, tmp_path / "bc.h5") == merged("ab_c.h5", tmp_path / "ab.h5", c)
    assert content(tmp_path / "a_bc.h5") == merged("cba.h5", c, b, a)
    assert digest(tmp_path / "a_bc.h5") == digest(tmp_path / "cba.h5")


KEYS, TIMES = st.sampled_from("abc"), st.sampled_from([1.0, 2.0])
ROWS = st.lists(
    st.one_of(
        st.builds(
            score,
            KEYS,
            st.sampled_from([0.5, 0.75]),
            time=TIMES,
            curve=st.dictionaries(st.integers(1, 2), st.sampled_from([0.1, math.nan]), max_size=2),
            extra=st.dictionaries(st.sampled_from(["p", "q"]), st.just(1.0), max_size=1),
        ),
        st.builds(failed, KEYS, st.sampled_from(["oom", "timeout"]), time=TIMES),
        st.builds(lambda order, key: Ask(order, f"arch-{key}", 8, parent=f"p{order}"), st.integers(0, 3), KEYS),
        st.builds(lambda order, key: Tell(order, 0, f"arch-{key}", 8, 0.5), st.integers(0, 3), KEYS),
    ),
    max_size=6,
)


@settings(max_examples=60)
@given(ROWS, ROWS, ROWS)
def test_combining_is_idempotent_commutative_and_associative(first, second, third):
    rows = (first, second, third)
    a, b, c = (from_rows(map(to_plain, part)) for part in rows)
    whole = plain(combine([a, b, c]))
    assert plain(combine([combine([a, b]), c])) == plain(combine([a, combine([c, b])])) == whole
    assert plain(combine([c, a, b, a])) == plain(combine([combine([a, b, c])])) == whole
    keys = combine([a, b, c])["scores"]["key"].tolist()
    assert keys == sorted({row.key.encode() for part in rows for row in part if isinstance(row, Score)})


def test_merge_keeps_conflicts_and_further_numbers(tmp_path):
    a = stored(tmp_path / "a", [score("k", 0.5, time=2.0, extra={"p": 1.0})])
    b = stored(tmp_path / "b", [score("k", 0.75, time=1.0), score("l", 0.1, extra={"q": 2.0})])
    report = merge(tmp_path / "out.h5", [a, b])
    assert [conflict.key for conflict in report.conflicts] == ["k"]
    with scores.open(tmp_path / "out.h5") as opened:
        assert opened.scores.val_accuracy.tolist() == [0.75, 0.1]
        assert opened.scores.p.isna().all() and opened.scores.q.tolist()[1] == 2.0
        assert len(opened.conflicts) == 1


def searched(directory, rows, **config):
    """A run with the configuration of one: image set, and the digest of its curriculum."""
    run = stored(directory, rows)
    curriculum = config.pop("curriculum", "")
    run.config.write_text("run: {name: a}\n" + "".join(f"{name}: {value}\n" for name, value in config.items()))
    run.update_state("search", curriculum=curriculum)
    scores.fold(run, full=True)
    return run


def asked(time, *archs):
    rows = [score(f"{arch}{time}", arch=arch) for arch in archs]
    return rows + [
        row for n, arch in enumerate(archs) for row in (Ask(n, arch, 8, time=time), Tell(n, n, arch, 8, 0.5))
    ]


def test_asks_and_tells_of_different_searches_are_left_out_and_that_is_told(tmp_path):
    short, long = stored(tmp_path / "s", asked(1.0, "x", "y")), stored(tmp_path / "l", asked(2.0, "x", "y", "z"))
    report = merge(tmp_path / "sl.h5", [short, long.scores])
    assert (report.rows["scores"], report.rows["asks"], report.rows["tells"]) == (5, 0, 0)
    assert len(report.notes) == 1 and "5 asks and 5 tells are left out" in report.notes[0]
    with scores.open(tmp_path / "sl.h5") as file:
        assert sorted(file.scores.ask) == sorted(file.scores.tell) == [0, 0, 1, 1, 2]
    other = stored(tmp_path / "o", [Ask(7, "w", 8), score("w", arch="w")])
    assert merge(tmp_path / "slo.h5", [tmp_path / "sl.h5", other]).rows["asks"] == 0
    assert merge(tmp_path / "so.h5", [short, other]).rows["asks"] == 3
    merge(tmp_path / "all.h5", [other, long, short])
    assert content(tmp_path / "slo.h5") == content(tmp_path / "all.h5")


def test_a_search_that_went_on_keeps_its_asks(tmp_path):
    run = stored(tmp_path / "run", asked(1.0, "x", "y"))
    earlier = tmp_path / "earlier.h5"
    run.scores.rename(earlier)
    with Journal(run.journal) as journal:
        journal.append([Ask(2, "z", 8, time=3.0), Ask(1, "y", 8, time=1.0)])
    report = merge(tmp_path / "out.h5", [earlier, run])
    assert (report.rows["asks"], report.rows["tells"], report.notes) == (3, 2, ())


def test_image_sets_are_not_mixed(tmp_path):
    digits = searched(tmp_path / "d", [score("a")], data="{name: digits}")
    mnist = searched(tmp_path / "m", [score("b")], data="{name: mnist}")
    for sources in ([digits, mnist], [mnist.scores, digits.path], [digits.scores, mnist.scores]):
        with pytest.raises(StorageError, match=r"scored with the image set (digits|mnist), .* with (digits|mnist)"):
            merge(tmp_path / "out.h5", sources)
    merge(tmp_path / "of_digits.h5", [digits])
    with pytest.raises(StorageError, match=r"of_digits\.h5 was scored with the image set digits, .*m with mnist"):
        merge(tmp_path / "out.h5", [tmp_path / "of_digits.h5", mnist])
    assert not (tmp_path / "out.h5").exists()


def test_the_name_of_an_own_image_set_has_dots(tmp_path):
    first = searched(tmp_path / "1", [score("a")], data="{name: sets/flowers.v1.npz}")
    second = searched(tmp_path / "2", [score("b")], data="{name: sets/flowers.v2.npz}")
    unpacked = searched(tmp_path / "3", [score("c")], data="{name: elsewhere/flowers.v1.h5}")
    with pytest.raises(StorageError, match=r"with the image set flowers\.v1, .* with flowers\.v2"):
        merge(tmp_path / "out.h5", [first, second])
    assert merge(tmp_path / "out.h5", [first, unpacked]).rows["scores"] == 2


def test_image_shapes_are_not_mixed(tmp_path):
    small = stored(tmp_path / "s", [score("a"), ArchitectureRow("x", "chain", "{}", 10, 20)])
    large = stored(tmp_path / "l", [score("b"), ArchitectureRow("x", "chain", "{}", 10, 80)])
    with pytest.raises(StorageError, match="give architecture x different parameters or FLOPs"):
        merge(tmp_path / "out.h5", [small, large.scores])


def test_curricula_and_splits_that_differ_are_told_and_every_row_is_kept(tmp_path):
    a = searched(tmp_path / "a", [score("k1", arch="x")], data="{train: 100}", curriculum="aa" * 32)
    b = searched(tmp_path / "b", [score("k2", arch="x")], data="{train: 200}", curriculum="bb" * 32)
    report = merge(tmp_path / "ab.h5", [a, b.scores])
    assert report.rows["scores"] == 2
    curricula, splits = report.notes
    assert f"2 curricula are together ({'a' * 16}, {'b' * 16})" in curricula
    assert "train 100" in splits and "train 200" in splits
    assert merge(tmp_path / "again.h5", [tmp_path / "ab.h5"]).notes == report.notes


def test_a_run_s_own_file_is_not_merged_into(tmp_path):
    a = stored(tmp_path / "a", [score("k")])
    with pytest.raises(StorageError, match="belongs to a run"):
        merge(a.scores, [a])
    with pytest.raises(StorageError, match="belongs to a run"):
        merge(a.path / ".." / "a" / "scores.h5", [a])
    with pytest.raises(StorageError, match="nothing to merge"):
        merge(tmp_path / "out.h5", [])
    with pytest.raises(StorageError, match="has no journals"):
        merge(tmp_path / "out.h5", [tmp_path])


def test_digest_is_of_results_only(tmp_path):
    rows = [score("k", 0.5), failed("l")]
    a = stored(tmp_path / "a", rows)
    b = stored(tmp_path / "b", [score("k", 0.5, seconds=9.0, host="there", rank=4, ask=3), failed("l", time=5.0)][::-1])
    assert digest(a) == digest(b) == digest(a.path) == digest(a.scores) == digest(str(b.scores))
    assert verify(a, b) is None
    empty = stored(tmp_path / "c", [])
    assert digest(empty) != digest(a)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"val_accuracy": 0.5000000000000001}, ("b", "val_accuracy", "0.5", "0.5000000000000001")),
        ({"val_loss": math.nan}, ("b", "val_loss", "1.25", "nan")),
        ({"status": "diverged"}, ("b", "status", "ok", "diverged")),
        ({"fidelity": 16}, ("b", "fidelity", "8", "16")),
        ({"replica": 1}, ("b", "replica", "0", "1")),
        ({"key": "bb"}, ("b", "key", "there", "missing")),
        ({"key": "aa"}, ("aa", "key", "missing", "there")),
        ({"key": "z"}, ("b", "key", "there", "missing")),
        (None, ("b", "key", "there", "missing")),
    ],
)
def test_verify_names_the_first_difference(tmp_path, changed, expected):
    a = stored(tmp_path / "a", [score("a"), score("b"), failed("c")])
    other = [] if changed is None else [score(**{"key": "b", "accuracy": 0.5} | changed)]
    b = stored(tmp_path / "b", [score("a"), failed("c"), *other])
    found = verify(a, b)
    assert (found.key, found.column, found.first, found.second) == expected
    assert expected[0] in str(found) and digest(a) != digest(b)
    mirrored = verify(b, a)
    assert (mirrored.key, mirrored.first, mirrored.second) == (expected[0], expected[3], expected[2])


def test_files_of_another_kind_are_refused(tmp_path):
    storage.write(tmp_path / "c.h5", {}, schema=storage.Schema("curriculum", 1))
    with pytest.raises(StorageError, match="kind 'curriculum', not 'scores'"):
        digest(tmp_path / "c.h5")
