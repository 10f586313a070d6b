"""How many requests the venue allows, kept on our side so that it never has to say no.

BtcTurk documents fixed windows for each endpoint that start with its first request; where a window starts at the venue
is not visible from here. So at most nine tenths of each limit are used in *any* stretch of that length, and a request
counts from its start until a full period after its *answer*: wherever within that time it arrived, and wherever the
venue's window began, the window holds no more than the limit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from btcbot.domain import money
from btcbot.ports import Clock

#: Tenths of a documented limit that we use; the rest is for the operator's own commands on the same address.
SHARE_TENTHS: Final = 9
#: Beyond so many symbols one all-pairs ticker is asked instead of a book for each.
BOOKS_MAX: Final = 5
#: Added to every period: the venue's clock ticks as coarsely as it likes.
SLACK_MS: Final = 50


class Endpoint(StrEnum):
    """What is counted apart. The values are labels of metrics and words of messages."""

    BALANCES = "balances"
    SUBMIT = "submit"
    CANCEL = "cancel"
    ORDER = "order"
    OPEN_ORDERS = "open_orders"
    ALL_ORDERS = "all_orders"
    TRADES = "trades"
    TRANSFERS_CRYPTO = "transfers_crypto"
    TRANSFERS_FIAT = "transfers_fiat"
    TICKER = "ticker"
    ORDER_BOOK = "order_book"
    EXCHANGE_INFO = "exchange_info"
    SERVER_TIME = "server_time"
    PUBLIC_TRADES = "public_trades"
    CHARTS = "charts"


class Quota(NamedTuple):
    """At most `requests` in `period_ms`."""

    requests: int
    period_ms: int


_MINUTE_MS: Final = 60_000
_WRITES: Final = (Quota(300, _MINUTE_MS), Quota(10, 1_000))

#: BtcTurk's page on rate limits; exchange info, time and public trades are not on it and are our own manners.
QUOTAS: Final[Mapping[Endpoint, tuple[Quota, ...]]] = MappingProxyType(
    {
        Endpoint.BALANCES: (Quota(120, _MINUTE_MS),),
        Endpoint.SUBMIT: _WRITES,
        Endpoint.CANCEL: _WRITES,
        Endpoint.ORDER: (Quota(900, _MINUTE_MS), Quota(30, 1_000)),
        Endpoint.OPEN_ORDERS: (Quota(300, _MINUTE_MS),),
        Endpoint.ALL_ORDERS: (Quota(300, _MINUTE_MS),),
        Endpoint.TRADES: (Quota(120, _MINUTE_MS),),
        Endpoint.TRANSFERS_CRYPTO: (Quota(90, _MINUTE_MS),),
        Endpoint.TRANSFERS_FIAT: (Quota(90, _MINUTE_MS),),
        Endpoint.TICKER: (Quota(600, _MINUTE_MS),),
        Endpoint.ORDER_BOOK: (Quota(180, _MINUTE_MS),),
        Endpoint.EXCHANGE_INFO: (Quota(60, _MINUTE_MS),),
        Endpoint.SERVER_TIME: (Quota(60, _MINUTE_MS),),
        Endpoint.PUBLIC_TRADES: (Quota(60, _MINUTE_MS),),
        Endpoint.CHARTS: (Quota(600, 10 * _MINUTE_MS),),  # all requests to the chart host together
    }
)


def scaled(factor: int) -> Mapping[Endpoint, tuple[Quota, ...]]:
    """The documented limits times `factor`, for a local venue that was started with limits of that size."""
    return {key: tuple(Quota(q.requests * factor, q.period_ms) for q in quotas) for key, quotas in QUOTAS.items()}


def allowed(quota: Quota) -> int:
    """How many requests of a quota we use."""
    return max(1, quota.requests * SHARE_TENTHS // 10)


class _Window:
    """Requests of one endpoint in one period."""

    __slots__ = ("_allowed", "_ends_ms", "_period_ms", "_under_way")

    def __init__(self, quota: Quota) -> None:
        self._allowed = allowed(quota)
        self._period_ms = quota.period_ms + SLACK_MS
        self._ends_ms: deque[int] = deque()  # never longer than the quota
        self._under_way = 0

    def wait_ms(self, now_ms: int) -> int:
        ends = self._ends_ms
        while ends and ends[0] + self._period_ms <= now_ms:
            ends.popleft()
        excess = self._under_way + len(ends) - self._allowed
        if excess < 0:
            return 0
        if excess >= len(ends):
            return self._period_ms
        return max(1, ends[excess] + self._period_ms - now_ms)

    def start(self) -> None:
        self._under_way += 1

    def end(self, now_ms: int) -> None:
        self._under_way -= 1
        self._ends_ms.append(now_ms)


class RateBudget:
    """What may still be asked, by endpoint. Call `start` and `end` around every request, whatever came of it."""

    def __init__(self, clock: Clock, quotas: Mapping[Endpoint, tuple[Quota, ...]] = QUOTAS) -> None:
        self._clock = clock
        self._windows = {endpoint: tuple(_Window(q) for q in quotas.get(endpoint, ())) for endpoint in Endpoint}

    def wait_ms(self, endpoint: Endpoint) -> int:
        """Milliseconds until the next request to `endpoint` may leave; 0 for now."""
        now_ms = self._clock.monotonic_ns() // 1_000_000
        longest_ms = 0
        for window in self._windows[endpoint]:
            wait_ms = window.wait_ms(now_ms)
            if wait_ms > longest_ms:
                longest_ms = wait_ms
        return longest_ms

    def start(self, endpoint: Endpoint) -> None:
        for window in self._windows[endpoint]:
            window.start()

    def end(self, endpoint: Endpoint) -> None:
        now_ms = self._clock.monotonic_ns() // 1_000_000
        for window in self._windows[endpoint]:
            window.end(now_ms)


def bar_symbols_max(interval_ms: int, quotas: Mapping[Endpoint, tuple[Quota, ...]] = QUOTAS) -> int:
    """For how many symbols the limits allow one request for each bar of `interval_ms`, with as many to try again."""
    most = 1_000_000
    for quota in quotas.get(Endpoint.CHARTS, ()):
        most = min(most, allowed(quota) * interval_ms // (2 * (quota.period_ms + SLACK_MS)))
    return max(most, 1)


def cycle_seconds_min(symbol_count: int, quotas: Mapping[Endpoint, tuple[Quota, ...]] = QUOTAS) -> Decimal:
    """The shortest cycle that the limits allow for `symbol_count` symbols, in seconds, rounded up to milliseconds.

    A cycle asks once for balances, trades and open orders, and for one book per symbol, or one all-pairs ticker beyond
    five symbols.
    """
    asked = {Endpoint.BALANCES: 1, Endpoint.TRADES: 1, Endpoint.OPEN_ORDERS: 1}
    asked[Endpoint.ORDER_BOOK if symbol_count <= BOOKS_MAX else Endpoint.TICKER] = (
        symbol_count if symbol_count <= BOOKS_MAX else 1
    )
    shortest_ms = money.ZERO
    for endpoint, count in asked.items():
        for quota in quotas.get(endpoint, ()):
            per_cycle_ms = money.divide_up(Decimal(count * (quota.period_ms + SLACK_MS)), Decimal(allowed(quota)), 0)
            shortest_ms = max(shortest_ms, per_cycle_ms)
    return shortest_ms * Decimal("0.001")
