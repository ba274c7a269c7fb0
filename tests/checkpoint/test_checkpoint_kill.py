"""Savers killed at random moments, and disks that run full: what was whole stays whole."""

import multiprocessing
import os
import random
import resource
import signal
import time
from pathlib import Path

import pytest
import torch

from gtn_hpc.checkpoint import latest, save
from gtn_hpc.core.errors import CheckpointError

TIME_LIMIT = 60


@pytest.fixture(scope="module")
def children():
    """Starts processes that have torch already, by fork from a process without threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "gtn_hpc.checkpoint"])
    return context


def content(step):
    return {"step": step, "weights": torch.full((50_000,), float(step)), "bits": torch.arange(1000) * step}


def save_for_ever(directory, start, acknowledged):
    """Saves steps one after the other, every second one twice, and says each step once it is saved."""
    step = start
    while True:
        for _ in range(1 + step % 2):
            save(Path(directory), step, content(step), {"step": step}, keep=2)
        acknowledged.send(step)
        step += 1


def kill_after(children, directory, start, seconds):
    """Lets a saver save once, kills it later and returns the last step that it acknowledged."""
    receiver, sender = children.Pipe(duplex=False)
    saver = children.Process(target=save_for_ever, args=(str(directory), start, sender))
    saver.start()
    sender.close()
    assert receiver.poll(TIME_LIMIT)
    last = receiver.recv()
    time.sleep(seconds)
    os.kill(saver.pid, signal.SIGKILL)
    saver.join(TIME_LIMIT)
    assert saver.exitcode == -signal.SIGKILL
    try:
        while True:
            last = receiver.recv()
    except EOFError:
        return last


def test_killed_at_any_moment_the_last_acknowledged_is_there(tmp_path, children):
    chance, start = random.Random(0), 1
    for _ in range(12):
        last = kill_after(children, tmp_path, start, chance.uniform(0, 0.06))
        damage = []
        loaded = latest(tmp_path, damage.append)
        assert damage == []
        assert last <= loaded.step <= last + 1
        assert loaded.meta == {"step": loaded.step} and loaded.tensors["step"] == loaded.step
        assert torch.equal(loaded.tensors["weights"], content(loaded.step)["weights"])
        start = loaded.step + 1
    save(tmp_path, start, content(start), {}, keep=2)
    assert len(list(tmp_path.iterdir())) == 2, "leftovers were not cleaned"


def save_under_a_limit(directory, limit, answer):
    """Writing past `limit` bytes of a file fails in this process as a full disk does."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        save(Path(directory), 2, content(2), {}, keep=2)
        answer.send("saved")
    except CheckpointError as error:
        answer.send(str(error))


@pytest.mark.parametrize("limit", [0, 100, 100_000])
def test_a_limit_on_file_size_keeps_what_was_there(tmp_path, children, limit):
    save(tmp_path, 1, content(1), {}, keep=2)
    receiver, sender = children.Pipe(duplex=False)
    saver = children.Process(target=save_under_a_limit, args=(str(tmp_path), limit, sender))
    saver.start()
    assert receiver.poll(TIME_LIMIT)
    assert "File too large" in receiver.recv()
    saver.join(TIME_LIMIT)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
    assert latest(tmp_path).step == 1


@pytest.fixture
def small_disk(tmp_path, mount_disk):
    mount_disk(tmp_path, "1m")
    return tmp_path


def test_a_full_disk_keeps_what_was_there(small_disk):
    for step in range(1, 10):
        try:
            save(small_disk, step, content(step), {}, keep=9)
        except CheckpointError as error:
            assert "No space left" in str(error) and "room" in error.remedy
            break
    assert step == 5, "four states of 208 kB fit on the disk"
    assert sorted(path.name for path in small_disk.iterdir()) == [f"step-00000{k}" for k in range(1, 5)]
    assert latest(small_disk).step == 4
