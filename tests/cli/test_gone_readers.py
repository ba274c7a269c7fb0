"""Nobody has to read what a stage prints."""

import os
import subprocess

from gtn_process import gtn


def test_a_stage_with_closed_streams_does_its_work(launch, workplace):
    done = launch(["sh", "-c", "gtn train small.yaml <&- >&- 2>&-"], cwd=workplace)
    assert (done.stdout, done.stderr) == ("", "")


def test_errors_with_closed_output_are_told(launch, empty):
    done = launch(["sh", "-c", "gtn train nowhere.yaml >&-"], cwd=empty, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("gtn: Cannot read the configuration nowhere.yaml")
    assert launch(["sh", "-c", "gtn train nowhere.yaml 2>&-"], cwd=empty, check=False).returncode == 2


def test_a_stage_outlasts_its_readers(empty):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        ["python", "-u", "-m", "gtn_hpc", "train", "small.yaml"], cwd=empty, stdout=writer, stderr=writer, timeout=180
    )
    os.close(writer)
    assert done.returncode == 0
    assert gtn("export", "small", "--digest", cwd=empty).code == 0


def test_an_exit_code_is_that_of_the_command_whoever_reads(launch):
    found = launch(
        ["bash", "-c", "gtn config | true; echo ${PIPESTATUS[0]}; gtn nonsense |& true; echo ${PIPESTATUS[0]}"]
    )
    assert (found.stdout.split(), found.stderr) == (["0", "2"], "")
