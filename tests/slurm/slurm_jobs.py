"""Jobs on the cluster of the tests."""

import functools
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from gtn_hpc.cluster.communicator import SoloCommunicator
from gtn_hpc.cluster.connect import Connection
from gtn_hpc.cluster.environment import ALONE
from gtn_hpc.config import load
from gtn_hpc.curriculum import file
from gtn_hpc.meta.stage import train

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TINY = HERE / "tiny.yaml"

TWO_NODES = ("--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1", "--time=5")
LONG = ("meta.iterations=100", "meta.replicas=2", "meta.checkpoint_every=10")
"""Long enough to be met in the middle."""

ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}


@dataclass(frozen=True)
class Slurm:
    """What tests ask a cluster; `environ` is that of every command."""

    environ: dict[str, str]
    accounting: bool

    def run(self, *command, cwd=ROOT, timeout=200, check=True, environ=None):
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=self.environ | (environ or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def submit(self, script, *arguments, options=(), place, environ=None):
        """The id of a job of one of our scripts, whose output goes to `place`."""
        command = ("sbatch", "--parsable", f"--output={place}/%x-%j.out", *options, ROOT / "slurm" / script)
        return self.run(*command, *arguments, environ=environ)

    def state(self, job):
        return (self.run("squeue", "-h", "-t", "all", "-j", job, "-o", "%T").split() or ["GONE"])[0]

    def show(self, job, field):
        """A field of `scontrol show job`."""
        words = self.run("scontrol", "show", "job", job).split()
        return next(word.partition("=")[2] for word in words if word.startswith(field + "="))

    def wait(self, job, place, states=ENDED, timeout=150):
        """The state of `job` once it is one of `states`."""
        end = time.monotonic() + timeout
        while (state := self.state(job)) not in states:
            assert time.monotonic() < end, f"job {job} is still {state}\n{said(place)}"
            time.sleep(0.2)
        return state

    def succeed(self, job, place, timeout=240):
        assert self.wait(job, place, timeout=timeout) == "COMPLETED", said(place)


def said(place):
    return "\n".join(f"== {path.name}\n{path.read_text()}" for path in sorted(Path(place).glob("*.out")))


def until(condition, what, timeout=120):
    """Waits for a true value of `condition`, and gives it."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} took more than {timeout} s"
        time.sleep(0.1)
    return found


def state_of(run):
    path = Path(run) / "state.json"
    return json.loads(path.read_text()) if path.is_file() else {"stages": {}, "wants_requeue": False}


def begun(run, iteration=2):
    """Waits for a checkpoint of training."""

    def reached():
        return state_of(run)["stages"].get("train", {}).get("iteration", 0) >= iteration

    until(reached, "the first checkpoint")


def jobs_of(run):
    """The events of slurm/jobs.jsonl."""
    path = Path(run) / "slurm" / "jobs.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


PLACES = []
"""Of runs in this process; gone with it."""


@functools.cache
def taught(*overrides):
    """The directory of a run in this process."""
    PLACES.append(tempfile.TemporaryDirectory(prefix="gtn-alone-"))
    config = load(TINY, [*overrides, f"run.root={PLACES[-1].name}"])
    train(config, Connection(ALONE, SoloCommunicator(), torch.device("cpu")))
    return Path(PLACES[-1].name) / "tiny"


def alone(*overrides):
    """The digest that one process reaches."""
    return digest(taught(*overrides))


def digest(run):
    return file.read(run / "curriculum.h5").digest


DOCTOR = (sys.executable, "-m", "gtn_hpc", "doctor", "--json", "--root")


def examined(slurm, place, *options):
    """(host, check -> finding) of each node by `gtn doctor` under srun."""
    told = slurm.run("srun", *options, "--cpus-per-task=1", *DOCTOR, place, check=False)
    (line,) = [line for line in told.splitlines() if line.startswith('{"well"')]
    nodes = json.loads(line)["nodes"]
    return [(node["host"], {finding["check"]: finding for finding in node["findings"]}) for node in nodes]
