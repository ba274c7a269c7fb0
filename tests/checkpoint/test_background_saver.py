"""Checkpoints written by a thread: as they were when save was called, one at a time, errors told."""

import signal
import threading

import pytest
import torch

from gtn_hpc.checkpoint import BackgroundSaver, latest
from gtn_hpc.core.errors import CheckpointError


def nothing():
    pass


def test_what_is_saved_is_the_state_of_the_call(tmp_path):
    saver, weights, may_go = BackgroundSaver(tmp_path, keep=2), torch.ones(3), threading.Event()
    saver.save(1, {"weights": weights}, {"a": 1}, may_go.wait)
    weights += 1
    may_go.set()
    saver.save(2, {"weights": weights}, {"a": 2}, nothing)
    weights += 1
    saver.wait()
    assert latest(tmp_path).tensors["weights"].tolist() == [2.0] * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000001", "step-000002"]


def test_saved_is_called_in_another_thread_once_the_checkpoint_is_whole(tmp_path):
    seen = []
    saver = BackgroundSaver(tmp_path, keep=2)
    saver.save(1, {}, {}, lambda: seen.append((latest(tmp_path).step, threading.current_thread().name)))
    saver.wait()
    ((step, thread),) = seen
    assert step == 1 and thread != threading.current_thread().name


def test_a_second_save_waits_for_the_first(tmp_path):
    order, may_go = [], threading.Event()
    saver = BackgroundSaver(tmp_path, keep=3)

    def first():
        may_go.wait(60)
        order.append("first saved")

    saver.save(1, {}, {}, first)
    threading.Timer(0.05, may_go.set).start()
    saver.save(2, {}, {}, lambda: order.append("second saved"))
    assert order[0] == "first saved"
    saver.wait()
    assert order == ["first saved", "second saved"]


def test_one_who_is_interrupted_while_waiting_can_wait_again(tmp_path):
    saved, may_go = [], threading.Event()
    saver = BackgroundSaver(tmp_path, keep=3)

    def slow():
        may_go.wait(60)
        saved.append(1)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        saver.save(1, {}, {}, slow)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            saver.save(2, {}, {}, nothing)
    finally:
        signal.signal(signal.SIGALRM, before)
    may_go.set()
    saver.wait()
    assert saved == [1]


def test_a_failed_save_is_told_by_the_next_or_by_wait_and_only_once(tmp_path):
    (tmp_path / "file").touch()
    called = []
    saver = BackgroundSaver(tmp_path / "file" / "checkpoints", keep=2)
    saver.save(1, {}, {}, lambda: called.append(1))
    with pytest.raises(CheckpointError, match="step 1 could not be written"):
        saver.save(2, {}, {}, nothing)
    saver.wait()
    saver.save(3, {}, {}, nothing)
    with pytest.raises(CheckpointError, match="step 3"):
        saver.wait()
    assert called == []


def test_what_a_checkpoint_does_not_hold_is_refused_before_training_goes_on(tmp_path):
    with pytest.raises(CheckpointError, match="'odd'"):
        BackgroundSaver(tmp_path, keep=2).save(1, {"odd": object()}, {}, nothing)
