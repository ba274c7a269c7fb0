"""Peak memory of one meta-gradient, in a process of its own: python -m gtn_hpc.bench.memory WORKLOAD METHOD T."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from gtn_hpc.bench.methods import Method, make, parse
from gtn_hpc.bench.workloads import WORKLOADS, make_problem

MIB = 2**20

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""Gives large blocks back when they are freed, so that a peak is what was held and repeats to .1 MiB. With glibc's
moving threshold it wanders by 60 MiB, whatever the method."""


def added_peak(workload: str, method: Method, steps: int) -> float | str:
    """MiB that the meta-gradient adds to the peak of a process which holds the task, or why it could not run."""
    command = [sys.executable, "-m", "gtn_hpc.bench.memory", workload, str(method), str(steps)]
    environment = ALLOCATOR | dict(os.environ)
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False, env=environment)
    if done.returncode != 0:
        return f"exit code {done.returncode}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ''}"
    return float(json.loads(done.stdout.splitlines()[-1])["mib_added"])


def measure(workload: str, method: Method, steps: int) -> float:
    """Resident memory's peak during the second of two meta-gradients, above what the task itself holds.

    The first, of one step, loads libraries and makes traces.
    """
    torch.set_num_threads(1)
    engine = make(method)
    small = make_problem(WORKLOADS[workload], 1)
    engine(small.task, small.teacher)
    problem = make_problem(WORKLOADS[workload], steps)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    engine(problem.task, problem.teacher)
    return (_status("VmHWM") - before) / MIB


def _status(key: str) -> int:
    """Bytes of a line of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


if __name__ == "__main__":
    print(json.dumps({"mib_added": measure(sys.argv[1], parse(sys.argv[2]), int(sys.argv[3]))}))
