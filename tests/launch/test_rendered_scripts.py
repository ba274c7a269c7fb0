"""Batch scripts: the shipped ones are the rendering of the generic profile, and all renderings are sound."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from gtn_hpc.config import parse
from gtn_hpc.config.site import Site, load_site
from gtn_hpc.core.errors import ConfigError
from gtn_hpc.launch.scripts import render, render_all, write_all
from gtn_hpc.launch.submitting import texts

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_name("golden")
PROFILES = sorted((ROOT / "configs" / "site").glob("*.yaml"))
VARIANTS = [
    Site(),
    Site(teaching="mpiexec", modules=("openmpi", "cuda/12"), setup=("source /apps/venv/bin/activate",)),
    *map(load_site, map(str, PROFILES)),
]

ACCEPT = "python -m gtn_hpc.launch write-scripts slurm"


@pytest.mark.parametrize("name", render_all(Site()))
def test_the_shipped_scripts_are_the_generic_rendering(name):
    shipped = ROOT / "slurm" / name
    assert shipped.read_text() == render_all(Site())[name], f"to accept the change: {ACCEPT}"
    assert shipped.stat().st_mode & 0o111


def test_nothing_else_is_shipped_with_them():
    assert {path.name for path in (ROOT / "slurm").iterdir()} == set(render_all(Site()))


@pytest.mark.parametrize("site", VARIANTS, ids=range(len(VARIANTS)))
def test_every_rendering_is_sound(tmp_path, launch, site):
    paths = write_all(site, tmp_path)
    for path in paths:
        assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
        assert len(path.read_text().splitlines()) < 45
    if shutil.which("shellcheck"):
        done = launch(["shellcheck", "--exclude=SC1091", *paths], check=False)
        assert done.returncode == 0, done.stdout


def test_a_profile_reaches_the_script():
    site = load_site(str(ROOT / "configs" / "site" / "apptainer.yaml"))
    text = render("meta_train.sbatch", site)
    assert "#SBATCH --partition=gpu\n" in text
    assert "#SBATCH --gpus-per-node=4\n#SBATCH --mem=200G\n#SBATCH --time=1440\n" in text
    assert "#SBATCH --signal=B:USR2@300\n" in text
    assert "module load openmpi\nexport GLOO_SOCKET_IFNAME=ib0 NCCL_SOCKET_IFNAME=ib0\n" in text
    assert "python=(apptainer exec --nv --bind=/scratch /shared/images/gtn_hpc.sif python)\n" in text
    assert 'scancel --signal=TERM "$SLURM_JOB_ID.0"' in text
    assert "\nTORCH_ELASTIC_SHUTDOWN_TIMEOUT=300 srun " in text
    searching = render("search.sbatch", site)
    assert "#SBATCH --ntasks-per-node=5\n" in searching
    assert "#SBATCH --gpus-per-node=4\n#SBATCH --gpu-bind=none\n" in searching
    assert "srun --mpi=pmix" in searching


@pytest.mark.parametrize(("teaching", "bind"), [("srun", True), ("mpiexec", True), ("torchrun", False)])
def test_ranks_that_teach_see_all_gpus_of_their_node(teaching, bind):
    wanted = {"nodes": 2, "tasks_per_node": 4, "gpus_per_task": 1}
    text = render("meta_train.sbatch", Site(teaching=teaching, train=wanted))
    assert "#SBATCH --gpus-per-node=4\n" in text and "--gpus-per-task" not in text.partition("set -uo")[0]
    assert ("#SBATCH --gpu-bind=none\n" in text) == bind


@pytest.mark.parametrize(("nodes", "tasks", "gpus"), [(1, 5, 4), (1, 1, 1), (2, 4, 4)])
def test_a_manager_asks_for_no_gpu_of_its_own(nodes, tasks, gpus):
    wanted = {"nodes": nodes, "tasks_per_node": tasks, "gpus_per_task": 1}
    text = render("search.sbatch", Site(search=wanted))
    assert f"#SBATCH --gpus-per-node={gpus}\n" in text and "--gpus-per-task" not in text.partition("set -uo")[0]
    assert ("#SBATCH --gpu-bind=none\n" in text) == (tasks > 1)


def test_what_is_submitted_binds_no_gpu_to_a_rank_that_teaches():
    text = texts(parse("run: {name: x}"), Site(train={"tasks_per_node": 4, "gpus_per_task": 1}), "train")["train"]
    assert "#SBATCH --gpus-per-node=4\n" in text and "#SBATCH --gpu-bind=none\n" in text
    assert "gpus-per-task" not in text


OPTIONS = {
    "--gpus-per-node=a100:4": ("--gpus-per-node", "a100:4"),
    "--gpu-bind=closest": ("--gpu-bind", "closest"),
    "--job-name=mine": ("--job-name", "mine"),
    "--gres nvme:1": ("--gres", "nvme:1"),
    "--comment='two words'": ("--comment", "two words"),
    "--exclusive": ("--exclusive", ""),
    "--no-requeue": ("--no-requeue", ""),
}
"""As a profile has them, and what sbatch understands."""


def asked(script):
    """What sbatch takes from a script: of what is said twice the last."""
    lines = (shlex.split(line)[1:] for line in script.splitlines() if line.startswith("#SBATCH "))
    parts = ((first.partition("="), rest) for first, *rest in lines)
    return {name: " ".join([value, *rest]).strip() for (name, _, value), rest in parts}


def test_the_site_s_options_count_and_not_ours_in_scripts_and_in_what_is_submitted():
    site = Site(train={"tasks_per_node": 4, "gpus_per_task": 1}, options=tuple(OPTIONS))
    submitted = texts(parse("run: {name: x}"), site, "train")["train"]
    for script in (render("meta_train.sbatch", site), submitted):
        found = asked(script)
        assert {name: found.get(name) for name, _ in OPTIONS.values()} == dict(OPTIONS.values())
    assert "#SBATCH --requeue" not in submitted


@pytest.mark.parametrize(("workers", "cores", "gpus"), [(1, 8, 1), (3, 24, 3), (16, 40, 4)])
def test_a_search_in_one_process_has_the_share_of_its_workers(workers, cores, gpus):
    wanted = {"tasks_per_node": 5, "cpus_per_task": 8, "gpus_per_task": 1}
    settings = parse("run: {name: x}", [f"search.workers={workers}"])
    text = texts(settings, Site(search=wanted), "search")["search"]
    assert f"#SBATCH --cpus-per-task={cores}\n" in text and f"#SBATCH --gpus-per-node={gpus}\n" in text


def test_the_generic_profile_shows_every_default():
    assert load_site(str(ROOT / "configs" / "site" / "generic.yaml")) == Site() == load_site(None)


def test_a_wrong_profile_says_what_is_right(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError, match="Did you mean 'apptainer'"):
        load_site("aptainer")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("partitions: gpu\ntrain: {nodes: 0}\n")
    with pytest.raises(ConfigError, match=r"(?s)train.nodes.*partitions.*Keys: name, partition"):
        load_site(str(wrong))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: my site", r"name: may hold letters.*\(given: 'my site'\)"),
        ('partition: "a\\nb"', r"partition: has to be one line of text \(given: 'a\\nb'\)"),
        ("train: {gpus: 3}", "train.gpus: unknown key"),
        ("modules: cuda", r"modules: has to be a list \(given: 'cuda'\)"),
        ('options: ["-C volta"]', r"options.0: has to be --constraint=volta \(given: '-C volta'\)"),
        ("options: [--exclusive, -H]", r"options.1: has to be --hold \(given"),
        ("options: [exclusive]", "options.0: has to begin with --"),
        ("options: [--mem=0 --exclusive]", "options.0: has to be one option"),
        ("options: [--signal=USR1@60]", "options.0: is said by the keys signal and lead"),
        ("- a", "the file: has to be a section with keys"),
    ],
)
def test_a_wrong_key_of_a_profile_is_told_in_words(text, line, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text)
    with pytest.raises(ConfigError, match=line):
        load_site(str(wrong))


@pytest.mark.parametrize(("stage", "array"), [("train", 1), ("search", 3), ("pipeline", 3)])
def test_submitted_scripts_are_as_accepted(stage, array, tmp_path):
    config = parse("run: {name: golden, root: /runs}")
    found = texts(config, Site(name="golden", partition="gpu", account="me", modules=("cuda",)), stage, array=array)
    text = "\n".join(f"##### {name}\n{script}" for name, script in found.items())
    golden = GOLDEN / f"submit_{stage}.txt"
    accepted = golden.read_text() if golden.is_file() else ""
    (tmp_path / golden.name).write_text(text)
    assert text == accepted, f"to accept the change: cp {tmp_path / golden.name} {golden}"
