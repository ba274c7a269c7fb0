"""`gtn submit` and `gtn plan` on the command line, and what docs/cluster.md shows."""

import json
import re
import sys
from pathlib import Path

import pytest

from gtn_hpc.cli import main
from gtn_hpc.launch.scripts import SCRIPTS

ROOT = Path(__file__).resolve().parents[2]
TINY = str(ROOT / "tests" / "slurm" / "tiny.yaml")


def test_a_dry_run_prints_the_script_and_leaves_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["submit", TINY, "--stage", "search", "--array", "3", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert text.count("#!/bin/bash") == 2
    assert "#SBATCH --array=0-2%3" in text
    assert list(tmp_path.iterdir()) == []
    assert main(["submit", TINY, "--dry-run", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["scripts"]) == ["train"]


def test_a_dry_run_without_a_cluster_prints_what_would_run(tmp_path, capsys):
    asked = ["submit", TINY, f"run.root={tmp_path}", "--dry-run", "--cluster", "local"]
    assert main([*asked, "--stage", "pipeline"]) == 0
    run = tmp_path / "tiny"
    gtn, file = f"{sys.executable} -m gtn_hpc", run / "slurm" / "CONFIG.yaml"
    stages = [f"{gtn} {stage} {file}" for stage in ("train", "search", "final")]
    assert capsys.readouterr().out.strip() == " && ".join([*stages, f"{gtn} report {run}"])
    assert main([*asked, "--stage", "search", "--array", "2"]) == 0
    shards, rest = [f"search.pool=shards search.shard={index}/2" for index in range(2)], f"{gtn} search {file}"
    assert capsys.readouterr().out.splitlines() == [*(f"{rest} {shard}" for shard in shards), rest]
    assert list(tmp_path.iterdir()) == []


def test_a_debug_job_runs_here_and_tells_its_outcome(tmp_path, capsys):
    assert main(["submit", TINY, f"run.root={tmp_path}", "--cluster", "debug", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["outcomes"][0]["state"]["train"]["status"] == "done"
    assert (tmp_path / "tiny" / "curriculum.h5").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["submit", TINY, "--stage", "teach", "--dry-run"], "'teach' cannot be submitted"),
        (["submit", TINY, "--site", "nowhere", "--dry-run"], "There is no site profile 'nowhere'"),
        (["plan", TINY, "meta.iteration=3"], "Did you mean 'iterations'?"),
        (["plan", TINY, "--simulate", "--scripts"], "--scripts is not for simulations"),
    ],
)
def test_wrong_words_are_explained(arguments, words, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_a_plan_for_people_and_for_machines(tmp_path, capsys):
    asked = ["plan", TINY, f"run.root={tmp_path}", "--no-measure"]
    assert main([*asked, "--scripts"]) == 0
    text = capsys.readouterr().out
    assert "train   1 process, at most 4 of 4 replicas in each of 6 meta-iterations: time unknown" in text
    assert "##### meta_train.sbatch\n#!/usr/bin/env bash" in text
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [stage["stage"] for stage in told["stages"]] == ["train", "search", "final"]
    assert told["config"]["meta"]["iterations"] == 6
    assert "pipeline.sh" in told["scripts"]
    assert list(tmp_path.iterdir()) == []


def shown():
    """The lines of the blocks of docs/cluster.md, without those in Python."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    return [
        line for block in re.findall(r"^```\n(.*?)^```", page, re.DOTALL | re.MULTILINE) for line in block.splitlines()
    ]


def test_scripts_files_and_options_of_the_documents_exist(capsys):
    lines = shown()
    assert len(lines) > 15
    for line in lines:
        for script in re.findall(r"slurm/(\S+\.(?:sbatch|sh))", line):
            assert script in SCRIPTS or script == "pipeline.sh"
        for config in re.findall(r"configs/\S+\.yaml", line):
            assert (ROOT / config).is_file()
    commands = [words for line in lines if (words := line.split()[1:]) and line.startswith("gtn ")]
    for words in commands:
        assert main([words[0], "--help"]) == 0
        help_text = capsys.readouterr().out
        assert all(word in help_text for word in words if word.startswith("--"))
