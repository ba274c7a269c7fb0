"""Commands that work: what they print for people and for machines, and that they do what they say."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from gtn_process import gtn

from gtn_hpc import __version__, scores
from gtn_hpc.scores import files

COMMANDS = {
    "gtn": [
        "bench",
        "check-grad",
        "config",
        "data",
        "demo",
        "doctor",
        "evaluate",
        "export",
        "final",
        "plan",
        "report",
        "reproduce",
        "scores",
        "search",
        "submit",
        "top",
        "train",
    ],
    "gtn bench": ["eval", "meta-step", "scaling", "search", "store"],
    "gtn data": ["fetch", "info"],
    "gtn scores": ["compact", "digest", "export", "fsck", "merge", "show", "verify"],
}
"""The frozen command line; change it here when it is meant to change."""


def listed(help_text):
    rows = help_text.split("Commands:\n")[1].splitlines()
    return sorted(row.split()[0] for row in rows if row.startswith("  ") and row[2] != " ")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_list_of_commands_is_frozen(tmp_path, command):
    done = gtn(*command.split()[1:], "--help", cwd=tmp_path)
    assert done.code == 0
    assert listed(done.out) == COMMANDS[command]


def leaves():
    groups = [name.split()[-1] for name in COMMANDS if " " in name]
    plain = [[name] for name in COMMANDS["gtn"] if name not in groups]
    return plain + [[group, name] for group in groups for name in COMMANDS[f"gtn {group}"]]


@pytest.mark.parametrize("command", leaves(), ids=" ".join)
def test_every_help_text_gives_an_example_of_its_command(tmp_path, command):
    done = gtn(*command, "--help", cwd=tmp_path)
    assert done.code == 0
    assert f"Example: gtn {' '.join(command)}" in " ".join(done.out.split())
    assert "--json" in done.out


def test_the_version(tmp_path):
    done = gtn("--version", cwd=tmp_path)
    assert (done.code, done.out) == (0, f"gtn_hpc {__version__}\n")


def test_help_imports_no_torch(launch):
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from gtn_hpc.cli import main\n"
        "codes = [main(arguments) for arguments in (['--help'], ['train', '--help'], ['config', 'meta'])]\n"
        "heavy = {'h5py', 'scipy', 'pandas', 'altair', 'optuna'} & set(sys.modules)\n"
        "print('codes', codes, 'heavy', heavy)"
    )
    done = launch([sys.executable, "-c", program])
    assert done.stdout.splitlines()[-1] == "codes [0, 0, 0] heavy set()"


def test_without_torch_a_command_that_needs_it_says_how_to_get_it(launch, empty):
    program = "import sys; sys.modules['torch'] = None\nfrom gtn_hpc.cli import main\nsys.exit(main(sys.argv[1:]))"
    done = launch([sys.executable, "-c", program, "train", "small.yaml"], cwd=empty, check=False)
    assert done.returncode == 2
    assert "pip install 'gtn_hpc[train]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("start", [["gtn"], [sys.executable, "-m", "gtn_hpc"]], ids=["script", "module"])
def test_both_ways_to_start(launch, start):
    done = launch([*start, "config", "meta.lr", "--json"])
    (key,) = json.loads(done.stdout)["keys"]
    assert key["name"] == "meta.lr"
    assert key["default"] == "0.01"
    assert launch([*start, "nonsense"], check=False).returncode == 2


def test_a_closed_pipe_is_no_error(launch):
    done = launch(["sh", "-c", "gtn config | head -n 1"])
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_train_tells_how_good_the_teacher_is(workplace):
    done = gtn("train", "small.yaml", "--json", cwd=workplace)
    assert done.code == 0
    told = done.json["evaluation"]
    assert told["split"] == "validation"
    assert len(told["teacher"]["after_step"]) == 3
    difference = told["teacher"]["value"] - told["real_data"]["value"]
    assert told["difference"]["value"] == pytest.approx(difference)
    assert told["real_data"]["lr"] == 0.4
    people = gtn("train", "small.yaml", cwd=workplace)
    assert "3 never-seen learners" in people.out
    assert f"{100 * told['teacher']['value']:.2f}" in people.out
    assert "95 % interval" in people.out


def test_export_copies_and_rounds(workplace, tmp_path):
    digest = gtn("export", "small", "--digest", cwd=workplace).out.strip()
    copy, half = tmp_path / "copy.h5", tmp_path / "half.h5"
    assert gtn("export", "small", "-o", copy, "--json", cwd=workplace).json == {
        "curriculum": str(copy),
        "digest": digest,
    }
    assert copy.read_bytes() == (workplace / "runs" / "small" / "curriculum.h5").read_bytes()
    rounded = gtn("export", "small", "-o", half, "--dtype", "float16", "--json", cwd=workplace).json
    assert rounded["digest"] != digest
    assert half.stat().st_size < copy.stat().st_size
    again = gtn("evaluate", half, "--no-real-data", "--json", cwd=workplace)
    assert again.code == 0, again.err


def test_export_writes_arrays_and_pictures(workplace, tmp_path):
    digest = gtn("export", "small", "--digest", cwd=workplace).out.strip()
    done = gtn("export", "small", "-o", tmp_path / "teacher.npz", "--json", cwd=workplace)
    assert done.json == {"curriculum": str(tmp_path / "teacher.npz"), "digest": digest}
    with np.load(tmp_path / "teacher.npz") as arrays:
        assert (arrays["x"].shape, arrays["y"].shape) == ((3, 10, 1, 8, 8), (3, 10, 10))
        assert arrays["evaluation_teacher"].shape == (3, 3)
        assert json.loads(str(arrays["about"]))["digest"] == digest
    done = gtn("export", "small", "-o", f"{tmp_path}/pictures/", cwd=workplace)
    about = json.loads((tmp_path / "pictures" / "about.json").read_text())
    pictures, cut = done.out.splitlines()
    assert pictures == f"Pictures: {tmp_path / 'pictures'}"
    assert f" {100 * about['values_cut']:.1f}%" in cut and 0 < about["values_cut"] < 1
    assert len([*(tmp_path / "pictures").rglob("*.png")]) == 30
    assert about["data"] == "digits"
    again = gtn("export", "small", "-o", tmp_path / "again/", "--json", cwd=workplace).json
    assert again["values_cut"] == about["values_cut"]
    named = gtn("export", "small", "-o", tmp_path / "named.d", "--format", "folder", cwd=workplace)
    assert (named.code, (tmp_path / "named.d" / "labels.csv").is_file()) == (0, True)


def test_scores_are_exported_one_by_one_and_together(workplace, tmp_path):
    shown = gtn("scores", "show", "small", "--limit", "1000", "--json", cwd=workplace).json
    done = gtn("scores", "export", "small", "-o", tmp_path / "scores.csv", "--json", cwd=workplace)
    assert done.json == {"files": [{"path": str(tmp_path / "scores.csv"), "rows": shown["count"]}]}
    table = pd.read_csv(tmp_path / "scores.csv")
    assert sorted(table["key"]) == sorted(row["key"] for row in shown["rows"])
    told = json.loads((tmp_path / "scores.json").read_text())
    assert told["digest"] == gtn("scores", "digest", "small", cwd=workplace).out.strip()
    assert "name: small" in told["config"]
    everything = gtn("scores", "export", "small", "-o", tmp_path / "all", cwd=workplace)
    names = {path.stem for path in (tmp_path / "all").glob("*.parquet")}
    assert {"scores", "architectures", "certificate", "final", "asks", "tells", "curves"} <= names
    assert f"all/scores.parquet: {shown['count']} rows" in everything.out
    file = workplace / "runs" / "small" / "scores.h5"
    again = gtn("scores", "export", file, "-o", tmp_path / "all", "--table", "final", "--format", "csv", cwd=workplace)
    assert (again.code, len(pd.read_csv(tmp_path / "all" / "final.csv"))) == (0, 1)


def test_what_an_export_would_replace_is_replaced_only_by_force(workplace, tmp_path):
    path = tmp_path / "scores.parquet"
    path.write_text("mine")
    command = ["scores", "export", "small", "-o", path]
    refused = gtn(*command, cwd=workplace)
    assert (refused.code, path.read_text()) == (1, "mine")
    assert "is there already" in refused.err and "--force" in refused.err
    assert gtn(*command, "--force", cwd=workplace).code == 0
    assert len(pd.read_parquet(path)) > 0
    teacher = tmp_path / "teacher.h5"
    teacher.write_text("mine")
    assert gtn("export", "small", "-o", teacher, cwd=workplace).code == 1
    assert teacher.read_text() == "mine"
    assert gtn("export", "small", "-o", teacher, "--force", cwd=workplace).code == 0
    assert teacher.read_bytes()[:4] == b"\x89HDF"


def test_a_recorded_score_comes_again_or_the_difference_is_told(workplace, tmp_path):
    run = workplace / "runs" / "small"
    with scores.open(run) as tables:
        arch, config, environment = tables.scores["arch"].iloc[0], tables.config, tables.environment
    done = gtn("reproduce", run / "scores.h5", "--arch", arch[:12], "--json", cwd=workplace)
    assert done.code == 0, done.err
    assert [(row["arch"], row["equal"]) for row in done.json["rows"]] == [(arch, True)]
    for named in ("small", run, run / "scores.h5"):
        assert "equal" in gtn("reproduce", named, "--arch", arch, cwd=workplace).out
    changed = files.load(run / "scores.h5")
    changed["scores"]["val_accuracy"] = changed["scores"]["val_accuracy"] - 0.125
    files.write(tmp_path / "scores.h5", changed, config=config, environment=environment)
    shutil.copy(run / "curriculum.h5", tmp_path)
    different = gtn("reproduce", tmp_path / "scores.h5", "--arch", arch, cwd=workplace)
    assert (different.code, "accuracy +0.125, loss +0" in different.out) == (1, True)


def test_search_goes_on_and_a_larger_budget_adds(workplace):
    first = gtn("search", "small.yaml", "--json", cwd=workplace).json
    assert first["architectures"] == 4
    assert first["certified"] == 4
    assert first["statuses"] == {"ok": 4}
    grown = gtn("search", "small.yaml", "search.budget=6", "--json", cwd=workplace).json
    assert grown["architectures"] == 6
    assert {row["arch"] for row in first["best"]} < {row["arch"] for row in grown["best"]}
    people = gtn("search", "small.yaml", "search.budget=6", cwd=workplace)
    done = 6 + grown["certified"]
    assert f"certifying {done}/{done}  best {100 * grown['best'][0]['val_accuracy']:.1f} %" in people.err
    assert grown["best"][0]["arch"] in people.out
    assert "Spearman" in people.out


def test_final_trains_each_winner_once(workplace):
    first = gtn("final", "small.yaml", "--json", cwd=workplace).json["final"]
    assert len(first) == 1
    again = gtn("final", "small.yaml", "--json", cwd=workplace).json["final"]
    assert again == first
    people = gtn("final", "small.yaml", cwd=workplace)
    assert first[0]["arch"] in people.out
    assert f"{100 * first[0]['test_accuracy']:.2f}" in people.out
    search = gtn("top", "small", "--json", cwd=workplace).json["search"]
    assert search["planned"] == search["rows"] >= 4
    assert search["certificate"] > 0 and set(search["certificate_left"].values()) == {0}


def test_scores_are_shown_checked_compared_joined_and_tidied(workplace, tmp_path):
    shown = gtn("scores", "show", "small", "--json", cwd=workplace).json
    accuracies = [row["val_accuracy"] for row in shown["rows"]]
    assert accuracies == sorted(accuracies, reverse=True)
    digest = gtn("scores", "digest", "small", cwd=workplace).out.strip()
    merged = tmp_path / "merged.h5"
    run = workplace / "runs" / "small"
    assert gtn("scores", "merge", "small", run / "scores.h5", "-o", merged, cwd=workplace).code == 0
    assert gtn("scores", "digest", merged, cwd=workplace).out.strip() == digest
    assert gtn("scores", "verify", "small", merged, cwd=workplace).out == "equal\n"
    refused = gtn("scores", "merge", "small", "-o", merged, cwd=workplace)
    assert (refused.code, "is there already" in refused.err, "--force" in refused.err) == (1, True, True)
    assert gtn("scores", "merge", "small", "-o", merged, "--force", cwd=workplace).code == 0
    assert gtn("scores", "merge", "small", merged, "-o", merged, cwd=workplace).code == 0
    with scores.Journal(run / "journal", "living") as living:
        refused = gtn("scores", "compact", "small", cwd=workplace)
    assert (refused.code, "A process is searching in" in refused.err, living.path.name in refused.err) == (
        1,
        True,
        True,
    )
    living.path.unlink()
    assert gtn("scores", "compact", "small", cwd=workplace).code == 0
    assert gtn("scores", "fsck", "small", "--json", cwd=workplace).json["sound"] is True
    assert gtn("scores", "digest", "small", cwd=workplace).out.strip() == digest
    assert shown["rows"][0]["arch"] in gtn("scores", "show", merged, cwd=workplace).out
    refused = gtn("reproduce", merged, "--arch", shown["rows"][0]["arch"], cwd=workplace)
    assert (refused.code, "has no configuration to reproduce from" in refused.err) == (1, True)


def test_harm_to_journals_and_differences_are_exit_code_1(workplace, tmp_path):
    run = workplace / "runs" / "small"
    copy = tmp_path / "copied"
    (copy / "journal").mkdir(parents=True)
    (copy / "config.yaml").write_text((run / "config.yaml").read_text())
    for path in (run / "journal").glob("*.jsonl"):
        content = path.read_bytes()
        (copy / "journal" / path.name).write_bytes(content.replace(b'"kind":"score"', b'"kind":"scoxe"', 1))
    done = gtn("scores", "fsck", copy, cwd=workplace)
    assert (done.code, "damaged" in done.out) == (1, True)
    different = gtn("scores", "verify", "small", copy, cwd=workplace)
    assert (different.code, different.out.startswith("different: ")) == (1, True)


def test_scores_whose_journals_are_gone_are_harm_and_are_kept(workplace, tmp_path):
    copy = tmp_path / "copied"
    (copy / "journal").mkdir(parents=True)
    for name in ("config.yaml", "scores.h5"):
        shutil.copy(workplace / "runs" / "small" / name, copy)
    checked = gtn("scores", "fsck", copy, cwd=workplace)
    assert (checked.code, "scores.h5 holds" in checked.out, "rows that no journal has" in checked.out) == (
        1,
        True,
        True,
    )
    shown = gtn("scores", "show", copy, "--json", cwd=workplace)
    (kept,) = copy.glob("scores-*.h5")
    assert (shown.code, shown.json["count"], str(kept) in shown.err) == (0, 0, True)
    assert kept.read_bytes() == (workplace / "runs" / "small" / "scores.h5").read_bytes()


def test_top_says_how_far_a_run_is(workplace, empty):
    told = gtn("top", "small", "--json", cwd=workplace).json
    assert (told["train"]["iteration"], told["train"]["iterations"], told["train"]["status"]) == (3, 3, "done")
    assert told["search"]["architectures"] >= 4
    assert told["search"]["statuses"] == {"ok": told["search"]["rows"]}
    assert told["final"] == {"trained": 1, "status": "done", "reason": None}
    assert (told["search"]["status"], told["search"]["reason"]) == ("done", None)
    people = gtn("top", "small", "--once", cwd=workplace).out.splitlines()
    assert [line.split()[0] for line in people[1:]] == ["train", "search", "final"]
    (empty / "runs" / "fresh").mkdir(parents=True)
    (empty / "runs" / "fresh" / "config.yaml").write_text("run: {name: fresh}")
    assert "nothing has begun" in gtn("top", "fresh", cwd=empty).out


def test_the_report_is_one_page(workplace, tmp_path):
    page = tmp_path / "page.html"
    done = gtn("report", "small", "-o", page, cwd=workplace)
    assert done.code == 0, done.err
    assert done.out == f"Page: {page}\n"
    assert "<html" in page.read_text()[:2000].lower()


def test_data_says_what_a_set_holds(tmp_path):
    told = gtn("data", "info", "digits", "--json", cwd=tmp_path).json
    assert told["shape"] == {"channels": 1, "height": 8, "width": 8}
    assert sum(part["images"] for part in told["splits"].values()) == 1797
    assert "8 x 8 pixels" in gtn("data", "info", "digits", cwd=tmp_path).out
    np.savez(tmp_path / "few.npz", images=np.zeros((9, 8, 8), np.uint8), labels=np.arange(9) % 3)
    few = gtn("data", "info", "few.npz", cwd=tmp_path)
    assert few.code == 0
    assert "validation has no image of 2 of 3 classes" in few.err


def test_config_lists_every_key_once(tmp_path):
    names = [key["name"] for key in gtn("config", "--json", cwd=tmp_path).json["keys"]]
    assert len(names) == len(set(names)) > 80
    table = gtn("config", "meta", cwd=tmp_path).out
    assert "meta.checkpoint_every *" in table
    assert "meta-iterations between checkpoints" in table


def test_ctrl_c_ends_with_a_message_and_130(empty):
    process = subprocess.Popen(
        [sys.executable, "-m", "gtn_hpc", "train", "small.yaml", "meta.iterations=100000", "meta.log_every=1"],
        cwd=empty,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job of a shell ignores it
    )
    events = empty / "runs" / "small" / "events" / "train.jsonl"
    end = time.monotonic() + 120
    while not (events.is_file() and b'"iterated"' in events.read_bytes()) and time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # tells where it stands
        pytest.fail(process.communicate()[1])
    assert (process.returncode, out) == (130, "")
    told = gtn("top", "small", "--json", cwd=empty).json
    assert told["train"]["status"] == "interrupted" and "seconds_left" not in told["train"]
    assert "interrupted: the same command goes on" in gtn("top", "small", "--once", cwd=empty).out
    assert "goes on from there" in err
    assert "Traceback" not in err


def test_several_ranks_are_not_several_searches(launch, empty):
    ranks = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    done = launch(["gtn", "demo", "--quick"], cwd=empty, environ={**ranks, **place}, check=False)
    assert done.returncode == 2
    assert "torchrun started 2" in done.stderr


def test_the_demo_runs_every_stage_and_goes_on(tmp_path):
    done = gtn("demo", "--quick", "--json", cwd=tmp_path, timeout=240)
    assert done.code == 0, done.err
    told = done.json
    assert (tmp_path / told["page"]).stat().st_size > 10_000
    assert told["architectures"] == 5
    assert len(told["winners"]) == 1
    for stage in ("1 of 4", "2 of 4", "3 of 4", "4 of 4"):
        assert stage in done.err
    people = gtn("demo", "--quick", cwd=tmp_path, timeout=120)
    assert "resumed after 20" in people.err
    assert "What the demo found" in people.out
    assert "never-seen learners" in people.out
    assert people.out.rstrip().endswith("report.html")
