"""Stamps for signed requests: venue time in ms, strictly increasing for ever.

The venue refuses a stamp that is more than five seconds off, and may refuse one that is not greater than the last
(seen, never documented). Time alone cannot promise the second: clocks step back, two requests fall into one
millisecond, processes restart. So a stamp is max(venue time, last + 1), and a high-water mark is written down *before*
stamps up to it are used: after a restart the first stamp lies above everything that the process before can have signed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from btcbot.errors import VenueUnavailable

#: Beyond this the venue's tolerance of 5 s would be at risk.
AHEAD_MS_MAX: Final = 3_000
#: How far ahead of venue time the mark is written. Below AHEAD_MS_MAX, so that a restart does not have to wait.
BLOCK_MS: Final = 2_000
#: How far beyond the stamp it is written where the stamp itself already runs ahead, after a restart: counting a whole
#: block from there would make a few quick restarts add up to a wait.
BLOCK_AHEAD_MS: Final = 50


class NonceSource:
    """The stamps of one API key.

    `venue_now_ms` may raise VenueUnavailable; `save_mark` must be durable when it returns, and may raise StoreFailed:
    then no stamp is given.
    """

    def __init__(
        self, *, venue_now_ms: Callable[[], int], load_mark: Callable[[], int], save_mark: Callable[[int], None]
    ) -> None:
        self._venue_now_ms = venue_now_ms
        self._load_mark = load_mark
        self._save_mark = save_mark
        self._last: int | None = None
        self._mark = 0
        self._lock = threading.Lock()

    @property
    def last(self) -> int | None:
        """The stamp given last, or the mark that was loaded; None before the first use."""
        return self._last

    def take(self) -> int:
        """The next stamp. Raises VenueUnavailable while it would run more than 3 s ahead of venue time."""
        now_ms = self._venue_now_ms()  # outside the lock: it may ask the venue
        with self._lock:
            if self._last is None:
                self._mark = self._last = self._load_mark()
            stamp = max(now_ms, self._last + 1)
            ahead_ms = stamp - now_ms
            if ahead_ms > AHEAD_MS_MAX:
                raise VenueUnavailable(
                    f"the next stamp is {ahead_ms} ms ahead of BtcTurk's time; signed requests wait until time catches"
                    " up (the clock was set back, or another process used this key)",
                    retry_after_s=(ahead_ms - AHEAD_MS_MAX) / 1000,
                )
            if stamp > self._mark:
                mark = max(now_ms + BLOCK_MS, stamp + BLOCK_AHEAD_MS)
                self._save_mark(mark)
                self._mark = mark
            self._last = stamp
            return stamp
