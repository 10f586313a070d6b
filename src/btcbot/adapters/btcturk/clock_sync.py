"""The venue's clock, estimated.

The venue is asked for its time a few times; the shortest round trip tells it best (the answer was made somewhere within
it; the middle is the guess, half of it the error). Between measurements the estimate runs on our monotonic clock, so a
step of the wall clock changes nothing but the reported skew. One thing stops the monotonic clock itself: a machine that
sleeps. Then wall and monotonic time part, and the estimate is measured anew before anyone uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from btcbot.errors import VenueUnavailable
from btcbot.ports import Clock

_NS_PER_MS: Final = 1_000_000


class _Measured(msgspec.Struct, frozen=True, gc=False):
    offset_ms: int  # venue time minus our monotonic time
    at_ms: int  # monotonic
    wall_offset_ms: int  # our wall time minus our monotonic time
    round_trip_ms: int


class VenueClock:
    """Venue time in Unix ms. `ask` sends one request for it and raises VenueUnavailable."""

    def __init__(
        self,
        clock: Clock,
        ask: Callable[[], int],
        *,
        interval_ms: int = 60_000,
        age_ms_max: int = 600_000,
        samples: int = 3,
        round_trip_ms_max: int = 2_000,
        wall_step_ms_max: int = 250,
        on_measured: Callable[[int], None] | None = None,
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._interval_ms = interval_ms
        self._age_ms_max = age_ms_max
        self._samples = samples
        self._round_trip_ms_max = round_trip_ms_max
        self._wall_step_ms_max = wall_step_ms_max
        self._on_measured = on_measured
        self._measured: _Measured | None = None
        self._due_at_ms = 0

    def now_ms(self) -> int:
        """Venue time; measured first when the estimate is old or our clocks have parted.

        Raises VenueUnavailable when there is no estimate to be trusted and the venue does not answer.
        """
        measured = self._measured
        now_ms = self._monotonic_ms()
        if measured is None or now_ms >= self._due_at_ms or self._has_wall_stepped(measured, now_ms):
            measured = self._renewed(measured)
            now_ms = self._monotonic_ms()
        return now_ms + measured.offset_ms

    def estimate_ms(self) -> int | None:
        """Venue time by the last measurement, without asking; None before the first."""
        return None if self._measured is None else self._monotonic_ms() + self._measured.offset_ms

    def trusted_ms(self) -> int | None:
        """Venue time without asking, while the last measurement may be relied on: at most one interval overdue, not
        doubted, our clocks together."""
        measured, now_ms = self._measured, self._monotonic_ms()
        if (
            measured is None
            or now_ms >= self._due_at_ms + self._interval_ms
            or self._has_wall_stepped(measured, now_ms)
        ):
            return None
        return now_ms + measured.offset_ms

    def skew_ms(self) -> int | None:
        """Venue time minus our wall clock now; None before the first measurement."""
        estimate = self.estimate_ms()
        return None if estimate is None else estimate - self._clock.now_ms()

    def doubt(self) -> None:
        """Measure again before the next use: the venue did not like a stamp."""
        self._due_at_ms = -self._interval_ms

    def _renewed(self, old: _Measured | None) -> _Measured:
        try:
            made = self._measure()
        except VenueUnavailable:
            now_ms = self._monotonic_ms()
            if old is None or self._has_wall_stepped(old, now_ms) or now_ms - old.at_ms > self._age_ms_max:
                raise
            # Crystals drift by milliseconds in minutes: the old estimate serves for a while.
            self._due_at_ms = now_ms + self._interval_ms // 10
            return old
        self._measured = made
        self._due_at_ms = made.at_ms + self._interval_ms
        if self._on_measured is not None:
            self._on_measured(made.offset_ms - made.wall_offset_ms)
        return made

    def _measure(self) -> _Measured:
        best: _Measured | None = None
        for _ in range(self._samples):
            asked_at_ns = self._clock.monotonic_ns()
            try:
                venue_ms = self._ask()
            except VenueUnavailable:
                if best is None:
                    raise
                break  # one good sample is enough; do not hold up the cycle for a better one
            answered_at_ns = self._clock.monotonic_ns()
            middle_ms = (asked_at_ns + answered_at_ns) // 2 // _NS_PER_MS
            answered_at_ms = answered_at_ns // _NS_PER_MS
            sample = _Measured(
                venue_ms - middle_ms,
                answered_at_ms,
                self._clock.now_ms() - answered_at_ms,
                (answered_at_ns - asked_at_ns) // _NS_PER_MS,
            )
            if best is None or sample.round_trip_ms < best.round_trip_ms:
                best = sample
        if best is None or best.round_trip_ms > self._round_trip_ms_max:
            raise VenueUnavailable("BtcTurk answers too slowly to tell its time")
        return best

    def _has_wall_stepped(self, measured: _Measured, now_ms: int) -> bool:
        wall_offset_ms = self._clock.now_ms() - now_ms
        return abs(wall_offset_ms - measured.wall_offset_ms) > self._wall_step_ms_max

    def _monotonic_ms(self) -> int:
        return self._clock.monotonic_ns() // _NS_PER_MS
