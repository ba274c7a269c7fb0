"""torchrun starts ranks again: after the death of one, with fewer hosts, and over two hosts whose link is cut."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from survival_runs import HERE, SCRIPTED, TIME_LIMIT, TINY, alone, free_port, outputs, processes, tiny

from gtn_hpc.curriculum import file

LINK = "gtnlink"
SMALL = {"meta__replicas": 2, "meta__checkpoint_every": 2}
TOGETHER = [sys.executable, str(HERE / "agent_that_waits.py")]
"""torchrun of several hosts, which wait for each other before the first looks for the second."""


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The digest of the run that nobody disturbs."""
    return alone(tiny(tmp_path_factory.mktemp("plain"), **SMALL)).frozen.digest()


def torchrun(root, *options):
    changes = [f"{name.replace('__', '.')}={value}" for name, value in SMALL.items()]
    return ["torchrun", *options, str(SCRIPTED), "train", str(TINY), f"run.root={root}", *changes]


def digest(root):
    return file.read(root / "tiny" / "curriculum.h5").digest


def starts(root):
    """How many times rank 0 went on from a checkpoint."""
    lines = (root / "tiny" / "events" / "train.jsonl").read_text().splitlines()
    return [event["iteration"] for event in map(json.loads, lines) if event["kind"] == "resumed"]


def test_torchrun_resumes_by_itself_after_the_death_of_a_rank(tmp_path, expected):
    fault = {"do": "kill", "iteration": 9, "replica": 1, "once": str(tmp_path / "killed")}
    options = ("--nproc-per-node", "2", "--max-restarts", "1", "--monitor-interval", "0.2")
    with processes([torchrun(tmp_path, *options)], [{"FAULT": json.dumps(fault)}]) as started:
        ((code, said),) = outputs(started)
    assert code == 0, said
    assert (tmp_path / "killed").exists()
    (resumed,) = starts(tmp_path)
    assert resumed in (6, 8), "the checkpoint of step 8 may still have been on its way"
    assert digest(tmp_path) == expected


def test_one_host_goes_on_where_two_began(tmp_path, expected):
    place = ("--rdzv-backend", "c10d", "--rdzv-id", "elastic", "--rdzv-endpoint", f"127.0.0.1:{free_port()}")
    options = ("--nnodes", "1:2", "--nproc-per-node", "1", "--max-restarts", "3", "--monitor-interval", "0.2", *place)
    confs = [f"is_host={host},last_call_timeout=3,keep_alive_interval=2" for host in (1, 0)]
    (ready := tmp_path / "ready").mkdir()
    together = [*TOGETHER, "2", str(ready)]
    commands = [[*together, *torchrun(tmp_path, *options, "--rdzv-conf", conf)[1:]] for conf in confs]
    fault = {"do": "orphan", "iteration": 9}
    with processes(commands, [{}, {"FAULT": json.dumps(fault)}]) as (stays, dies):
        ((code, said),) = outputs([stays])
        assert dies.wait(timeout=TIME_LIMIT) == -signal.SIGKILL
    assert code == 0, said
    (resumed,) = starts(tmp_path)
    assert resumed in (6, 8)
    assert digest(tmp_path) == expected


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def hosts():
    """Two network namespaces with a link between them: names, and the device and address at each end."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    names = [f"gtn{os.getpid()}{end}" for end in "ab"]
    made = subprocess.run(["ip", "netns", "add", names[0]], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"no network namespaces here: {made.stderr.strip()}")
    ip("netns", "add", names[1])
    try:
        ip("-n", names[0], "link", "add", LINK, "type", "veth", "peer", "name", LINK, "netns", names[1])
        for number, name in enumerate(names, 1):
            ip("-n", name, "address", "add", f"10.213.7.{number}/24", "dev", LINK)
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", LINK, "up")
        yield names
    finally:
        for name in names:
            ip("netns", "delete", name)


def children(pid):
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return []


def alive(pid):
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_two_hosts_go_on_once_their_link_is_back(tmp_path, expected, hosts):
    place = ("--rdzv-backend", "c10d", "--rdzv-id", "hosts", "--rdzv-endpoint", "10.213.7.1:29400")
    options = ("--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "3", "--monitor-interval", "0.2", *place)
    cut = ["ip", "link", "set", LINK, "down"]
    fault = {"do": "run", "command": cut, "iteration": 9, "once": str(tmp_path / "cut")}
    commands = [
        ["ip", "netns", "exec", name, *torchrun(tmp_path, *options, *own), "run.timeout=8"]
        for name, own in (
            (hosts[0], ("--local-addr", "10.213.7.1", "--rdzv-conf", "is_host=1,keep_alive_interval=15")),
            (hosts[1], ("--local-addr", "10.213.7.2", "--rdzv-conf", "is_host=0,keep_alive_interval=15")),
        )
    ]
    common = {"GLOO_SOCKET_IFNAME": LINK}
    with processes(commands, [common, {**common, "FAULT": json.dumps(fault)}]) as started:
        end = time.monotonic() + TIME_LIMIT
        while not (tmp_path / "cut").exists():
            ranks = [rank for agent in started for rank in children(agent.pid)]
            assert all(process.poll() is None for process in started) and time.monotonic() < end, outputs(started)
            time.sleep(0.05)
        while all(alive(rank) for rank in ranks) and time.monotonic() < end:
            time.sleep(0.05)
        ip("-n", hosts[1], "link", "set", LINK, "up")
        ended = outputs(started)
    assert [code for code, _ in ended] == [0, 0], ended
    assert "waited in vain" in ended[0][1] + ended[1][1]
    assert starts(tmp_path) in ([6], [8])
    assert digest(tmp_path) == expected
