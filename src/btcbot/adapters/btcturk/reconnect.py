"""When the feed may connect again. Pure: times in milliseconds and a source of chance are handed in.

BtcTurk takes fifteen connections a minute from one address and then blocks it for one. So attempts stand further and
further apart until a connection has proved good, and whatever happens no minute holds more than ten of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

WAIT_MS_MIN: Final = 500
WAIT_MS_MAX: Final = 30_000
#: A wait is stretched or cut by up to this share, so that many clients that fell together do not rise together.
JITTER: Final = 0.2
#: A connection that lasted so long was a good one: the next wait is the shortest again.
GOOD_MS: Final = 30_000
ATTEMPTS_MAX: Final = 10
#: One minute and the little that the venue's clock may differ from ours in it.
WINDOW_MS: Final = 60_250
#: After an answer that says «too many» or «not you».
BLOCKED_MS: Final = 60_000
BLOCKING_STATUSES: Final = frozenset({403, 429})

_DOUBLINGS_MAX: Final = 10


class Reconnect:
    """`random` gives numbers from 0 up to 1. The first attempt may begin at once."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._attempts: deque[int] = deque(maxlen=ATTEMPTS_MAX)
        self._in_a_row = 0
        self._not_before_ms: int | None = None
        self._connected_at_ms: int | None = None

    def attempt_at_ms(self) -> int | None:
        """No attempt may begin before this moment; None before the first, which may begin at any."""
        full_ms = self._attempts[0] + WINDOW_MS if len(self._attempts) == ATTEMPTS_MAX else None
        known = [moment for moment in (full_ms, self._not_before_ms) if moment is not None]
        return max(known) if known else None

    def attempting(self, now_ms: int) -> None:
        """An attempt begins."""
        self._attempts.append(now_ms)

    def refused(self, now_ms: int, status: int | None = None) -> None:
        """It failed; `status` is that of the venue's answer, where it gave one."""
        self._wait(now_ms, BLOCKED_MS if status in BLOCKING_STATUSES else 0)

    def connected(self, now_ms: int) -> None:
        self._connected_at_ms = now_ms

    def disconnected(self, now_ms: int) -> None:
        """A connection has ended, for whatever reason."""
        if self._connected_at_ms is None:
            return
        if now_ms - self._connected_at_ms >= GOOD_MS:
            self._in_a_row = 0
        self._connected_at_ms = None
        self._wait(now_ms, 0)

    def _wait(self, now_ms: int, at_least_ms: int) -> None:
        wait_ms = min(WAIT_MS_MIN << min(self._in_a_row, _DOUBLINGS_MAX), WAIT_MS_MAX)
        self._in_a_row += 1
        chance = self._random()
        jittered_ms = round(wait_ms * (1 - JITTER + 2 * JITTER * chance))
        blocked_ms = round(at_least_ms * (1 + JITTER * chance))  # only ever longer
        self._not_before_ms = now_ms + max(jittered_ms, blocked_ms)
