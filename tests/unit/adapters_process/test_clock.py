"""The system's clock behind the port."""

from __future__ import annotations

import threading
import time

from btcbot.adapters.clock import SystemClock
from btcbot.ports import Clock


def test_units() -> None:
    clock: Clock = SystemClock()

    assert abs(clock.now_ms() - time.time() * 1000) < 1000
    assert abs(clock.monotonic_ns() - time.monotonic() * 1e9) < 1e9


def test_sleep_lasts_and_says_that_nobody_asked_to_stop() -> None:
    clock, stop = SystemClock(), threading.Event()
    started = clock.monotonic_ns()

    assert clock.sleep(0.02, stop) is False
    assert clock.monotonic_ns() - started >= 19_000_000
    assert clock.sleep(0, stop) is False
    assert clock.sleep(-1, stop) is False


def test_sleep_ends_when_asked_to_stop() -> None:
    clock, stop = SystemClock(), threading.Event()
    threading.Timer(0.02, stop.set).start()
    started = clock.monotonic_ns()

    assert clock.sleep(30, stop) is True
    assert clock.monotonic_ns() - started < 5_000_000_000
    assert clock.sleep(0, stop) is True
