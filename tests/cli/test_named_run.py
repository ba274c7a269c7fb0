"""A run directory given as CONFIG is the one that is worked in."""

import shutil

from gtn_process import gtn


def files_of(run):
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_a_copy_of_a_run_goes_on_by_itself(workplace, tmp_path):
    original, copy = workplace / "runs" / "small", tmp_path / "copy"
    shutil.copytree(original, copy, ignore=shutil.ignore_patterns("journal", "scores.h5"))
    before = files_of(original)
    done = gtn("search", copy, "search.budget=2", "--json", cwd=workplace)
    assert done.code == 0, done.err
    assert (done.json["run"], done.json["architectures"]) == (str(copy), 2)
    again = gtn("train", "copy", "--json", cwd=tmp_path)
    assert again.code == 0, again.err
    assert "resumed" in again.err
    assert files_of(original) == before
    assert not (tmp_path / "runs").exists()


def test_a_run_that_is_named_from_elsewhere_is_not_begun_there(workplace, tmp_path):
    run = workplace / "runs" / "small"
    done = gtn("train", run, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "resumed" in done.err
    jobs = gtn("submit", run, "--cluster", "local", "--stage", "final", "--dry-run", cwd=tmp_path)
    assert f"final {run}/slurm/" in jobs.out
    assert not (tmp_path / "runs").exists()
    assert gtn("train", "small.yaml", "--json", cwd=workplace).code == 0
