"""What is decided after a step, from state.json."""

import fcntl
import json
import subprocess
import sys
import time

import pytest

from gtn_hpc.core.events import EventLog
from gtn_hpc.core.lock import open_lock
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.launch import __main__, record
from gtn_hpc.launch.verdict import after_step


@pytest.fixture
def run(tmp_path):
    directory = RunDirectory(tmp_path / "runs" / "small")
    directory.create()
    return directory


def verdict(run, code, *, began=0.0, restarts=0, most=20):
    return after_step(run, "train", began=began, code=code, restarts=restarts, most=most)


def test_state_decides_whatever_the_launcher_made_of_the_code(run):
    run.update_state("train", wants_requeue=True)
    assert [verdict(run, code).requeue for code in (75, 1, 137, 0)] == [True] * 4
    run.update_state("train", wants_requeue=False, status="done")
    assert [verdict(run, code).requeue for code in (1, 137, 0)] == [False] * 3


def test_each_task_of_an_array_is_judged_by_itself(run, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    run.update_state("search", wants_requeue=True)
    assert verdict(run, 1).requeue
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    failed = verdict(run, 1)
    assert (failed.requeue, failed.why) == (False, "the stage failed with exit code 1")
    run.update_state("search", scored=3)
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    assert verdict(run, 1).requeue
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    run.update_state("search", wants_requeue=False)
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    assert verdict(run, 75).requeue
    assert not verdict(run, 1).requeue


def test_a_wish_of_an_earlier_start_does_not_count(run):
    run.update_state("train", wants_requeue=True)
    found = verdict(run, 1, began=time.time() + 1)
    assert not found.requeue
    assert found.why == "the stage failed with exit code 1"


def test_a_warning_before_the_stage_could_listen_is_a_stop(run):
    assert verdict(run, 140).requeue
    assert verdict(run, -12).requeue
    assert not verdict(run, 139).requeue


def test_restarts_have_an_end(run):
    run.update_state("train", wants_requeue=True)
    assert verdict(run, 75, restarts=2, most=3).requeue
    found = verdict(run, 75, restarts=3, most=3)
    assert not found.requeue
    assert "restarted 3 times: submit it again" in found.why


def test_every_end_is_recorded(run, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "node[1-2]")
    verdict(run, 0)
    verdict(run, 2, restarts=1)
    first, second = record.read(run)
    assert (first["kind"], first["job"], first["nodes"], first["requeue"]) == ("ended", "41", "node[1-2]", False)
    assert (second["code"], second["restarts"]) == (2, 1)


def test_jobs_of_other_hosts_write_their_ends_one_after_the_other(run, monkeypatch):
    write, others = EventLog.write, []

    def note(log, kind, **values):
        with open_lock(run.path / ".state.lock") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        others.append(kind)
        write(log, kind, **values)

    monkeypatch.setattr(EventLog, "write", note)
    verdict(run, 0)
    assert others == [event["kind"] for event in record.read(run)] == ["ended"]


def test_scripts_ask_by_a_command(run, tmp_path):
    (tmp_path / "small.yaml").write_text("run: {name: small}\n")

    def ask(*words):
        command = [sys.executable, "-m", "gtn_hpc.launch", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    step = [
        "after-step",
        "--stage",
        "train",
        "--began",
        "0",
        "--code",
        "1",
        "--restarts",
        "20",
        "small.yaml",
        "run.seed=1",
    ]
    assert ask(*step).returncode == 3
    run.update_state("train", wants_requeue=True)
    done = ask(*step)
    assert (done.returncode, done.stdout) == (0, "train: the stage was stopped and goes on after a requeue\n")
    assert ask("run-directory", "small.yaml", "run.root=elsewhere").stdout == "elsewhere/small\n"
    refused = ask("run-directory", "lost.yaml")
    assert refused.returncode == 2
    assert "Cannot read the configuration lost.yaml" in refused.stderr
    assert len([json.loads(line) for line in (run.slurm / "jobs.jsonl").read_text().splitlines()]) == 2


def test_every_command_and_argument_of_the_module_has_a_help_text(capsys, monkeypatch):
    parser = __main__._parser()
    (questions,) = [action for action in parser._actions if action.choices]
    assert {action.dest for action in questions._choices_actions if action.help} == set(questions.choices)
    for name, command in questions.choices.items():
        assert command.description
        assert [action.dest for action in command._actions if not action.help] == []
        monkeypatch.setattr(sys, "argv", ["launch", name, "--help"])
        with pytest.raises(SystemExit) as ended:
            __main__.main()
        assert ended.value.code == 0
        assert command.description.split(".")[0] in " ".join(capsys.readouterr().out.split())
