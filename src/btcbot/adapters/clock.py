"""The machine's clock, behind the port `Clock`: the only way in which the core learns the time."""

from __future__ import annotations

import time

from btcbot.ports import StopSignal

__all__ = ["SystemClock"]


class SystemClock:
    """Wall time for stamps, monotonic time for durations."""

    def now_ms(self) -> int:
        """Unix time in milliseconds, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_ns(self) -> int:
        """Nanoseconds from an arbitrary start, never going back."""
        return time.monotonic_ns()

    def sleep(self, seconds: float, stop: StopSignal) -> bool:
        """Wait `seconds`, or until `stop` is set; True when it is set. A time already past does not wait."""
        return stop.wait(seconds) if seconds > 0 else stop.is_set()
