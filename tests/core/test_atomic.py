import json
import os
import signal
import subprocess
import sys

import pytest

from gtn_hpc.core import atomic

WRITER = """
import sys
from pathlib import Path
from gtn_hpc.core import atomic
path, value = Path(sys.argv[1]), 0
while True:
    value += 1
    atomic.write_json(path, {"value": value, "filler": [value] * 20_000})
"""


@pytest.mark.timeout(120)
def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    path = tmp_path / "state.json"
    for writes in (1, 2, 5, 9):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
        while not path.exists() or json.loads(path.read_text())["value"] < writes:
            assert writer.poll() is None
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        last = json.loads(path.read_text())
        assert last["value"] >= writes
        assert last["filler"] == [last["value"]] * 20_000
        path.unlink()


def test_an_error_keeps_what_was_there(tmp_path):
    path = tmp_path / "deep" / "file"
    atomic.write_text(path, "before")
    with pytest.raises(RuntimeError, match="stop"), atomic.replacing(path) as beside:
        beside.write_text("half")
        raise RuntimeError("stop")
    assert path.read_text() == "before"
    assert os.listdir(path.parent) == ["file"]


def test_a_full_disk_keeps_what_was_there(tmp_path):
    path = tmp_path / "file"
    atomic.write_text(path, "before")
    with pytest.raises(OSError, match="No space left"), atomic.replacing(path) as beside:
        beside.symlink_to("/dev/full")
        with open(beside, "w") as handle:
            handle.write("x" * 100_000)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "deep" / "folder"
    with pytest.raises(RuntimeError, match="stop"), atomic.appearing(folder) as beside:
        (beside / "half").touch()
        raise RuntimeError("stop")
    assert os.listdir(folder.parent) == []
    folder.mkdir()
    with atomic.appearing(folder) as beside:
        (beside / "whole").touch()
        assert os.listdir(folder) == []
    assert os.listdir(folder) == ["whole"]
    with pytest.raises(OSError, match="not empty"), atomic.appearing(folder) as beside:
        (beside / "other").touch()
    assert (os.listdir(folder), os.listdir(folder.parent)) == (["whole"], ["folder"])


def test_json_is_the_same_text_for_the_same_value(tmp_path):
    atomic.write_json(tmp_path / "a", {"b": 1, "a": [1, 2]})
    atomic.write_json(tmp_path / "b", {"a": [1, 2], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert json.loads((tmp_path / "a").read_text()) == {"a": [1, 2], "b": 1}
