"""Slurm, names of hosts, signals."""

import os
import shutil
import signal
import socket
import subprocess

from gtn_hpc.cluster import slurm as variables
from gtn_hpc.launch.doctor.finding import Finding

PATIENCE = 15.0
"""Seconds that a scheduler gets to answer."""


def slurm() -> Finding:
    """Whether there is a Slurm here whose controller answers."""
    if shutil.which("sbatch") is None:
        return Finding("slurm", "warn", "there is no sbatch here", "On a login node of a cluster there is one.")
    answer = _ask("scontrol", "ping")
    if answer.returncode or "UP" not in answer.stdout:
        said = (answer.stdout + answer.stderr).strip().splitlines()
        return Finding(
            "slurm", "fail", f"its controller does not answer: {said[-1] if said else 'no word'}", "Ask the site."
        )
    return Finding("slurm", "ok", f"{_ask('sinfo', '--version').stdout.strip()}, the controller answers")


def sacct() -> Finding:
    """submitit asks sacct alone; we ask squeue first."""
    if shutil.which("sbatch") is None:
        return Finding("sacct", "ok", "not needed without Slurm")
    if shutil.which("sacct") is None:
        return Finding("sacct", "warn", "there is no sacct", _WITHOUT_SACCT)
    answer = _ask("sacct", "--noheader", "--allocations", "--starttime=now-1minute")
    if answer.returncode:
        said = (answer.stderr or answer.stdout).strip().splitlines()
        return Finding("sacct", "warn", f"it gives no accounts: {said[-1] if said else 'no word'}", _WITHOUT_SACCT)
    return Finding("sacct", "ok", "accounts can be asked")


_WITHOUT_SACCT = "States of jobs come from squeue, which forgets them after some minutes: watch with gtn submit --wait."


def master() -> Finding:
    """The host where ranks meet: its name has to resolve on every node."""
    told, nodes = os.environ.get("MASTER_ADDR"), os.environ.get("SLURM_JOB_NODELIST")
    name = told or (variables.first_host(nodes) if nodes else socket.gethostname())
    try:
        address = socket.getaddrinfo(name, None)[0][4][0]
    except OSError as error:
        remedy = "Set MASTER_ADDR to an address of the first node, or have its name in DNS or /etc/hosts on all nodes."
        return Finding("master address", "fail", f"'{name}' does not resolve: {error.strerror or error}", remedy)
    return Finding("master address", "ok", f"{name} is {address}")


def signals() -> Finding:
    """A launcher may leave the signals of a warning blocked or ignored."""
    asked = (signal.SIGTERM, signal.SIGUSR2)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    deaf = [number.name for number in asked if number in blocked or signal.getsignal(number) == signal.SIG_IGN]
    if deaf:
        remedy = "Start without nohup, setsid or a wrapper that traps them; or set run.deadline."
        return Finding("signals", "fail", f"{' and '.join(deaf)} would not arrive", remedy)
    got: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, _: got.append(number))
    try:
        os.kill(os.getpid(), signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, before)
    return Finding("signals", "ok" if got else "fail", "TERM and USR2 arrive" if got else "USR2 did not arrive")


def _ask(*command: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
