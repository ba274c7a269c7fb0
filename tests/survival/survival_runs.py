"""Runs of the tiny configuration: in this process, and by ranks that find each other without a launcher."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from gtn_hpc.cluster.communicator import SoloCommunicator
from gtn_hpc.cluster.connect import Connection
from gtn_hpc.cluster.environment import ALONE
from gtn_hpc.config import Config, load
from gtn_hpc.meta.stage import Taught, train

HERE = Path(__file__).parent
TINY = HERE / "tiny.yaml"
SCRIPTED = HERE / "scripted.py"
TIME_LIMIT = 240


def tiny(root: Path, **changes: object) -> Config:
    """The tiny configuration under `root`; `meta__lr=0.1` stands for `meta.lr=0.1`."""
    overrides = [f"{name.replace('__', '.')}={value}" for name, value in {"run__root": root, **changes}.items()]
    return load(TINY, overrides)


def alone(config: Config) -> Taught:
    return train(config, Connection(ALONE, SoloCommunicator(), torch.device("cpu")))


@contextmanager
def processes(commands: list[list[str]], environs: list[dict[str, str]]) -> Iterator[list["subprocess.Popen[str]"]]:
    """All started at once; at the end none of them nor of their children is left."""
    started = [
        subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1]), **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        for command, environ in zip(commands, environs, strict=True)
    ]
    try:
        yield started
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()


HELD: list[socket.socket] = []
"""Bound and never listened at: nobody else is given their ports, while a store, which reuses addresses, may listen."""


def free_port() -> int:
    HELD.append(socket.socket())
    HELD[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    HELD[-1].bind(("127.0.0.1", 0))
    return int(HELD[-1].getsockname()[1])


def ranks(program: Path, arguments: list[object], world: int, **fault: object):
    """`world` ranks of a program on this host, as if torchrun had started them."""
    common = {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world), "FAULT": json.dumps(fault)}
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = [sys.executable, str(program), *map(str, arguments)]
    return processes(
        [command] * world, [{**common, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world)]
    )


def outputs(started: list["subprocess.Popen[str]"]) -> list[tuple[int, str]]:
    """Exit code and output of each process, all of which have to end."""
    said = [process.communicate(timeout=TIME_LIMIT)[0] for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


def events(run: Path, rank: int = 0) -> list[dict]:
    name = "train.jsonl" if rank == 0 else f"train.r{rank}.jsonl"
    return [json.loads(line) for line in (run / "events" / name).read_text().splitlines()]
