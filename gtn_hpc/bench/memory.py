"""Peak memory of one meta-gradient: on a CPU in a process of its own, on a GPU as the allocator counts it.

python -m gtn_hpc.bench.memory WORKLOAD METHOD T DEVICE PRECISION
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from gtn_hpc.bench.machine import CPU, Machine
from gtn_hpc.bench.methods import Method, make, parse
from gtn_hpc.bench.workloads import WORKLOADS, make_problem
from gtn_hpc.core.errors import OutOfMemory

MIB = 2**20

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""Gives large blocks back when they are freed, so that a peak is what was held and repeats to .1 MiB. With glibc's
moving threshold it wanders by 60 MiB, whatever the method."""


NO_ROOM = (torch.OutOfMemoryError, MemoryError, OutOfMemory)
"""What a method raises where a device has too little memory for it."""


def why(error: BaseException) -> str:
    """The first line of what it says."""
    return f"out of memory: {(str(error) or type(error).__name__).splitlines()[0]}"


def added_peak(workload: str, method: Method, steps: int, machine: Machine = CPU) -> float | str:
    """MiB that the meta-gradient adds to the peak of a process which holds the task, or why it could not run."""
    command = [sys.executable, "-m", "gtn_hpc.bench.memory", workload, str(method), str(steps)]
    command += [machine.device, machine.precision]
    environment = ALLOCATOR | dict(os.environ)
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False, env=environment)
    if done.returncode != 0:
        return f"exit code {done.returncode}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ''}"
    return float(json.loads(done.stdout.splitlines()[-1])["mib_added"])


def measure(workload: str, method: Method, steps: int, machine: Machine = CPU) -> float:
    """Peak memory (resident; on a GPU allocated) of the second of two meta-gradients, above what the task itself holds.

    The first, of one step, loads libraries and makes traces.
    """
    machine.use()
    engine = make(method)
    small = make_problem(WORKLOADS[workload], 1, machine=machine)
    engine(small.task, small.teacher)
    problem = make_problem(WORKLOADS[workload], steps, machine=machine)
    before = held(machine)
    engine(problem.task, problem.teacher)
    return (peak(machine) - before) / MIB


def held(machine: Machine) -> int:
    """Bytes at present; forgets the peak so far."""
    if machine.cuda:
        torch.cuda.reset_peak_memory_stats(machine.device)
        return int(torch.cuda.memory_allocated(machine.device))
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak(machine: Machine) -> int:
    return int(torch.cuda.max_memory_allocated(machine.device)) if machine.cuda else _status("VmHWM")


def _status(key: str) -> int:
    """Bytes of a line of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


if __name__ == "__main__":
    found = measure(sys.argv[1], parse(sys.argv[2]), int(sys.argv[3]), Machine(*sys.argv[4:]))
    print(json.dumps({"mib_added": found}))
