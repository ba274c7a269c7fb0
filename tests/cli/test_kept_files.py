"""What is there is not lost to an output that is named by mistake."""

import pytest
from gtn_process import gtn


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["export", "small", "--passes", "2", "--force"], "curriculum.h5"),
        (["export", "small", "--format", "h5", "--force"], "config.yaml"),
        (["export", "small", "--format", "npz"], "config.yaml"),
        (["scores", "export", "small", "--format", "csv", "--force"], "state.json"),
        (["scores", "merge", "small", "--force"], "scores.h5"),
        (["scores", "merge", "small", "--force"], "config.yaml"),
    ],
)
def test_no_output_takes_the_place_of_a_runs_own_file(workplace, command, name):
    path = workplace / "runs" / "small" / name
    before = path.read_bytes()
    done = gtn(*command, "-o", path, cwd=workplace)
    assert (done.code, path.read_bytes() == before) == (1, True), done
    assert f"{name} belongs to a run" in done.err and "another name" in done.err


def test_a_page_takes_the_place_of_a_page_alone(workplace, tmp_path):
    config, page = workplace / "runs" / "small" / "config.yaml", tmp_path / "page.html"
    before = config.read_bytes()
    for path, content in ((config, before), (page, b"<p>mine"), (page, b"\x89HDF\r\n")):
        path.write_bytes(content)
        done = gtn("report", "small", "-o", path, cwd=workplace)
        assert (done.code, path.read_bytes()) == (1, content)
        assert f"{path} is there already, and is no page" in done.err and "FILE.html" in done.err
    page.write_bytes(b"<!DOCTYPE html>old")
    assert gtn("report", "small", "-o", page, cwd=workplace).code == 0
    assert len(page.read_text()) > 10_000
