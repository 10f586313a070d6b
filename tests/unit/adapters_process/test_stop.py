"""A signal ends a process that waits, at whatever step of the waiting it comes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from btcbot.adapters.clock import SystemClock
from btcbot.adapters.stop import StopFlag
from btcbot.cli.stopping import end_on_signals

STEPS_MAX = 400
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


def waits_and_is_told(make: Callable[[], Any], step: int) -> None:
    """In a child: wait as the loop does, with a SIGTERM at the n-th step. Ends it: 0 told, 3 there is no such step."""
    stop = make()
    end_on_signals(stop)
    steps = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        if event == "opcode":
            steps += 1
            if steps == step:
                os.kill(os.getpid(), signal.SIGTERM)
        return trace

    sys._getframe().f_trace_opcodes = True  # Python 3.12 wants to know before tracing begins
    sys.settrace(trace)
    SystemClock().sleep(0.001, stop)
    sys.settrace(None)
    os._exit(3 if steps < step else 0 if stop.wait(0) else 4)


def outcome(make: Callable[[], Any], step: int) -> int | None:
    """Exit status of the child, None when it hung."""
    pid = os.fork()
    if pid == 0:
        try:
            waits_and_is_told(make, step)
        finally:
            os._exit(5)
    over_at = time.monotonic() + 2.0
    while time.monotonic() < over_at:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def test_a_signal_at_every_step_of_a_wait_ends_it() -> None:
    for step in range(1, STEPS_MAX):
        status = outcome(StopFlag, step)
        if status == 3:
            assert step > 10, "the steps were seen"
            return
        assert status == 0, f"step {step}: {status}"
    raise AssertionError("the wait never came to its end")


def test_that_test_sees_an_event_hang() -> None:
    assert any(outcome(threading.Event, step) is None for step in range(1, 120))
