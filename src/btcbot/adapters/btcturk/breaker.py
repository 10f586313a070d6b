"""When to stop asking: endpoints that the venue closed, and a key that it does not accept.

A 429 closes its endpoint for as long as the venue says. Unauthorised answers are counted in a row over all private
endpoints: more than fifty of them block the address, and nothing that this process can do makes the next one better, so
after five no private request leaves any more; the caller halts.
"""

from __future__ import annotations

import re
from typing import Final

from btcbot.adapters.btcturk.limits import Endpoint
from btcbot.ports import Clock

UNAUTHORIZED_MAX: Final = 5
#: Longest time that a `Retry-After` is believed; beyond it, ask again after an hour.
RETRY_AFTER_S_MAX: Final = 3_600.0
#: Without the header: doubling from one second up to the documented block.
_BLOCK_S_MAX: Final = 60.0
#: An endpoint that nobody has asked for so long after its pause counts as open again: the longest documented block.
REST_MS: Final = 60_000
_SECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,3})?")


def retry_after_s(header: str | None) -> float | None:
    """Seconds of a `Retry-After` header, cut to an hour; None when it is absent or not a plain number."""
    found = None if header is None else _SECONDS.fullmatch(header.strip())
    return None if found is None else min(float(found[0]), RETRY_AFTER_S_MAX)


class Breaker:
    """Which endpoints are closed and until when, and how many unauthorised answers came in a row."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._closed_until_ms: dict[Endpoint, int] = {}
        self._rate_limited_in_a_row: dict[Endpoint, int] = {}
        #: Until when the pauses last that no answer has followed yet.
        self._unanswered_ms: dict[Endpoint, int] = {}
        self._unauthorized_in_a_row = 0

    def closed_s(self, endpoint: Endpoint) -> float:
        """Seconds until `endpoint` opens again; 0 when it is open."""
        until_ms = self._closed_until_ms.get(endpoint)
        if until_ms is None:
            return 0.0
        left_ms = until_ms - self._now_ms()
        if left_ms <= 0:
            del self._closed_until_ms[endpoint]
            return 0.0
        return left_ms / 1000

    def endpoints_closed(self) -> tuple[str, ...]:
        """Names of the closed endpoints, sorted."""
        return tuple(sorted(endpoint.value for endpoint in list(self._closed_until_ms) if self.closed_s(endpoint)))

    def rate_limited(self, endpoint: Endpoint, told_s: float | None) -> float:
        """The venue's limiter refused; close the endpoint. Gives the seconds that it is closed for."""
        in_a_row = self._rate_limited_in_a_row[endpoint] = self._rate_limited_in_a_row.get(endpoint, 0) + 1
        closed_s = told_s if told_s is not None else min(_BLOCK_S_MAX, 2.0 ** min(in_a_row - 1, 10))
        self._close(endpoint, closed_s)
        return closed_s

    def close(self, endpoint: Endpoint, seconds: float) -> None:
        """The venue asked for a pause (maintenance) without a word about limits."""
        self._rate_limited_in_a_row.setdefault(endpoint, 0)
        self._close(endpoint, seconds)

    def _close(self, endpoint: Endpoint, seconds: float) -> None:
        until_ms = self._now_ms() + max(1, round(seconds * 1000))
        self._closed_until_ms[endpoint] = self._unanswered_ms[endpoint] = until_ms

    def rested(self) -> tuple[Endpoint, ...]:
        """Endpoints whose pause has been over for long without anybody asking; each is told once.

        Some are asked once in days: what they answered last says nothing of today.
        """
        if not self._unanswered_ms:
            return ()
        since_ms = self._now_ms() - REST_MS
        found = tuple([endpoint for endpoint, until_ms in self._unanswered_ms.items() if until_ms <= since_ms])
        for endpoint in found:
            del self._unanswered_ms[endpoint]
        return found

    def answered(self, endpoint: Endpoint) -> bool:
        """Any answer but a 429 came. True when it is the first one after such."""
        self._unanswered_ms.pop(endpoint, None)
        return self._rate_limited_in_a_row.pop(endpoint, None) is not None

    def authorized(self) -> None:
        """A private request was accepted as ours, whatever its answer."""
        self._unauthorized_in_a_row = 0

    def unauthorized(self) -> None:
        self._unauthorized_in_a_row += 1

    def is_key_refused(self) -> bool:
        """Whether no private request may leave any more. Asking counts on, so that the caller sees more than five."""
        if self._unauthorized_in_a_row < UNAUTHORIZED_MAX:
            return False
        self._unauthorized_in_a_row = UNAUTHORIZED_MAX + 1
        return True

    @property
    def unauthorized_in_a_row(self) -> int:
        return self._unauthorized_in_a_row

    def _now_ms(self) -> int:
        return self._clock.monotonic_ns() // 1_000_000
