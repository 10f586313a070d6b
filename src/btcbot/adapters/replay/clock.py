"""A clock that stands where the recording is: nothing passes but by `set`."""

from __future__ import annotations

from btcbot.ports import StopSignal


class ReplayClock:
    """`Clock` in Unix milliseconds of the recording; its monotonic time is the same, and never goes back."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._monotonic_ns = now_ms * 1_000_000

    def set(self, now_ms: int) -> None:
        """Move on to `now_ms`; never back."""
        assert now_ms >= self._now_ms, "recorded time does not go back"
        self._now_ms = now_ms
        self._monotonic_ns = now_ms * 1_000_000

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def sleep(self, seconds: float, stop: StopSignal) -> bool:
        """Nobody waits in a recording."""
        return stop.is_set()
