"""Signals only set the flag; handlers come back; real signals to this process."""

import os
import signal
import threading
import time

import pytest

from gtn_hpc.checkpoint import StopFlag
from gtn_hpc.core.errors import Requeue


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_sets_the_flag_and_nothing_else(number):
    with StopFlag() as stop:
        assert not stop and stop.reason is None
        os.kill(os.getpid(), number)
        assert stop and stop.reason == number.name


def test_the_first_reason_stays():
    with StopFlag() as stop:
        stop.request("deadline")
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason == "deadline"


def test_handlers_come_back_also_after_an_error_and_nested():
    heard = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: heard.append("outer"))
    try:
        with pytest.raises(RuntimeError), StopFlag():
            raise RuntimeError
        with StopFlag() as outer:
            with StopFlag() as inner:
                os.kill(os.getpid(), signal.SIGUSR2)
            assert inner and not outer
            os.kill(os.getpid(), signal.SIGUSR2)
            assert outer
        assert heard == []
        os.kill(os.getpid(), signal.SIGUSR2)
        assert heard == ["outer"]
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_interrupt_is_left_alone():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
    try:
        with pytest.raises(KeyboardInterrupt), StopFlag() as stop:
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not stop


class Departing:
    """Python swallows what is raised in a destructor."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_was_swallowed_is_met_by_who_asks_next():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with StopFlag() as stop:
            assert not stop
            departing = Departing()
            del departing
            with pytest.raises(KeyboardInterrupt):
                bool(stop)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_only_requests_count():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work():
        with StopFlag() as stop:
            seen.append(signal.getsignal(signal.SIGTERM))
            stop.request("by hand")
            seen.append(stop.reason)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before, "by hand"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_deadline_sets_the_flag_also_where_the_main_thread_waits():
    with StopFlag(deadline=time.time() + 0.1) as stop:
        with pytest.raises(Requeue, match="Stopped by the deadline"), stop.at_once():
            time.sleep(60)
        assert stop.reason == "the deadline"


def test_a_deadline_that_was_not_reached_is_forgotten():
    with StopFlag(deadline=time.time() + 3600):
        alarms = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for alarm in alarms:
        alarm.join(60)
    assert alarms and not any(alarm.is_alive() for alarm in alarms)


def test_work_that_is_done_again_ends_at_once():
    with StopFlag() as stop:
        with pytest.raises(Requeue, match="Stopped by SIGTERM"), stop.at_once():
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("went on")
        with pytest.raises(Requeue), stop.at_once():
            pytest.fail("began although the flag was up")
        os.kill(os.getpid(), signal.SIGTERM)
    with StopFlag() as stop:
        with stop.at_once():
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop
