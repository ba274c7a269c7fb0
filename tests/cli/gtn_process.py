"""`gtn` as real processes that share one import of torch: a fork server imports it once, each command is forked."""

import json
import multiprocessing
import os
import sys
from dataclasses import dataclass
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "gtn_hpc.cli",
        "gtn_hpc.meta.judge",
        "gtn_hpc.meta.stage",
        "gtn_hpc.report.page",
        "gtn_hpc.search.stage",
        "gtn_hpc.stats",
        "gtn_hpc.training.evaluator",
        "torch.utils.tensorboard",
    ]
)


@dataclass(frozen=True)
class Ended:
    """What a process left."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def gtn(*arguments, cwd, timeout=200):
    """Runs `gtn` to its end."""
    streams = [Path(cwd) / f".{name}" for name in ("out", "err")]
    process = SERVER.Process(target=_run, args=([str(a) for a in arguments], str(cwd), *map(str, streams)))
    process.start()
    process.join(timeout)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"gtn {arguments} did not end within {timeout} s")
    return Ended(process.exitcode, *(stream.read_text() for stream in streams))


def _run(arguments, cwd, out, err):
    for descriptor, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
    os.chdir(cwd)
    from gtn_hpc.cli import main

    code = main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)
