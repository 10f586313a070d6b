"""Anomalies: what a cycle sees that is out of the ordinary, each with the numbers that made it one.

Two kinds of facts. What this cycle shows (quotes, clocks, endpoints that are closed, what the books say) is a `Sight`.
What only shows over several cycles (refusals, the trade cursor, since when a pair has no quote) is kept in a `Watch`,
which lives across cycles and restarts. A pair without trades, a cycle without a wish and a strategy that waits are
ordinary: nothing in here counts orders or fills that did not happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from btcbot.decisions.freshness import MarketView
from btcbot.domain import money
from btcbot.domain.reasons import ReasonCode

#: Why a symbol has no usable quote, as far as it is a matter of age or trust. A crossed or empty book is the market's.
_STALE: Final = frozenset({ReasonCode.STALE_QUOTE, ReasonCode.BOOK_UNTRUSTED})
#: Where prices are asked for, as `VenueHealth` names it; everything else is of the account, or a write.
_MARKET_ENDPOINTS: Final = frozenset({"order_book", "ticker", "exchange_info", "public_trades"})
_NAMED_MAX: Final = 5
_SHARE_PLACES: Final = 4


class AnomalyCode(StrEnum):
    STALE_MARKET_DATA = "STALE_MARKET_DATA"
    EXCHANGE_LATENCY_SPIKE = "EXCHANGE_LATENCY_SPIKE"
    ORDER_REJECT_SPIKE = "ORDER_REJECT_SPIKE"
    CURSOR_STALL = "CURSOR_STALL"
    CLOCK_SKEW = "CLOCK_SKEW"
    PNL_DIVERGENCE = "PNL_DIVERGENCE"
    FEED_STALLED = "FEED_STALLED"
    BREAKER_OPEN = "BREAKER_OPEN"
    STUCK_CYCLE = "STUCK_CYCLE"


class Severity(StrEnum):
    WARN = "WARN"
    ERROR = "ERROR"


class Anomaly(msgspec.Struct, frozen=True):
    """`detail` holds the numbers, for people."""

    code: AnomalyCode
    severity: Severity
    detail: str


class AnomalyRules(msgspec.Struct, frozen=True, kw_only=True):
    """From where on something is out of the ordinary. Amounts in TRY, shares 0 to 1; each bound itself is too much."""

    stale_ms: int
    stale_share: Decimal
    latency_ms: int
    refusals: int
    refusal_window_cycles: int
    cursor_stall_cycles: int
    clock_skew_ms: int
    divergence_warn: Decimal
    divergence_error: Decimal
    feed_stall_ms: int
    stuck_ms: int


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered from cycle to cycle. `refusals` are those of the last cycles, the latest one last; `cycle_ms`
    is how long the last one took; `cursor_unmoved` in how many cycles the trade list did not come forward although the
    venue answered. Times are of our clock.
    """

    refusals: tuple[int, ...] = ()
    cycle_ms: int = 0
    cursor_ms: int = 0
    cursor_unmoved: int = 0
    without_quote_since_ms: Mapping[str, int] = {}
    feed_silent_since_ms: int | None = None


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What one cycle shows. `market` None: it did not come so far. `clock_skew_ms` and `divergence` None: not known."""

    now_ms: int
    market: MarketView | None
    has_feed: bool
    clock_skew_ms: int | None
    endpoints_closed: tuple[str, ...]
    divergence: Decimal | None


def noticed(watch: Watch, sight: Sight) -> Watch:
    """Since when each pair is without a quote, and the feed of no use. A cycle that saw no market tells nothing new."""
    market, now_ms = sight.market, sight.now_ms
    if market is None:
        return watch
    before = watch.without_quote_since_ms
    lacking = {
        symbol: min(before.get(symbol, now_ms), now_ms) for symbol, why in market.unusable.items() if why in _STALE
    }
    silent_since_ms = None
    if _is_feed_silent(market, has_feed=sight.has_feed):
        silent_since_ms = min(now_ms if watch.feed_silent_since_ms is None else watch.feed_silent_since_ms, now_ms)
    if lacking == before and silent_since_ms == watch.feed_silent_since_ms:
        return watch
    return msgspec.structs.replace(watch, without_quote_since_ms=lacking, feed_silent_since_ms=silent_since_ms)


def _is_feed_silent(market: MarketView, *, has_feed: bool) -> bool:
    """No book of the feed may be traded on, and that is not because the pairs have none at all."""
    is_served_otherwise = bool(market.quotes) or ReasonCode.BOOK_UNTRUSTED in market.unusable.values()
    return has_feed and not market.from_feed and is_served_otherwise


def ended(watch: Watch, *, cycle_ms: int, refused: int, cursor_ms: int, has_heard: bool, rules: AnomalyRules) -> Watch:
    """After a whole cycle: how long it took, how many orders the venue refused in it, how far the trade list was read.

    `has_heard`: the venue answered, at least up to the trade list. While it does not, no cursor can come forward.
    """
    unmoved = 0 if cursor_ms > watch.cursor_ms else watch.cursor_unmoved + has_heard
    return msgspec.structs.replace(
        watch,
        refusals=(*watch.refusals, refused)[-rules.refusal_window_cycles :],
        cycle_ms=cycle_ms,
        cursor_ms=cursor_ms,
        cursor_unmoved=unmoved,
    )


def refused_between(watch: Watch, refused: int) -> Watch:
    """After a cycle that the feed woke: its refusals count with those of the whole cycle before it."""
    if not refused:
        return watch
    *earlier, last = watch.refusals or (0,)
    return msgspec.structs.replace(watch, refusals=(*earlier, last + refused))


def find(watch: Watch, sight: Sight, rules: AnomalyRules) -> tuple[Anomaly, ...]:
    """What is out of the ordinary now, in the order of `AnomalyCode`. `watch` has noticed this sight already."""
    found = (
        _stale(watch, sight, rules),
        _slow(watch, rules),
        _refusals(watch, rules),
        _stalled_cursor(watch, rules),
        _skew(sight, rules),
        _divergence(sight, rules),
        _silent_feed(watch, sight, rules),
        _closed(sight),
        _stuck(watch, rules),
    )
    return tuple(anomaly for anomaly in found if anomaly is not None)


def _stale(watch: Watch, sight: Sight, rules: AnomalyRules) -> Anomaly | None:
    if sight.market is None:
        return None
    ages = {
        symbol: sight.now_ms - since_ms
        for symbol, since_ms in watch.without_quote_since_ms.items()
        if sight.now_ms - since_ms >= rules.stale_ms
    }
    wanted = len(sight.market.quotes) + len(sight.market.unusable)
    if not ages or Decimal(len(ages)) < rules.stale_share * wanted:
        return None
    share = money.divide_half_even(Decimal(len(ages)), Decimal(wanted), _SHARE_PLACES)
    oldest = sorted(ages.items(), key=lambda one: (-one[1], one[0]))
    named = ", ".join(f"{symbol} for {age_ms // 1000} s" for symbol, age_ms in oldest[:_NAMED_MAX])
    more = f" and {len(oldest) - _NAMED_MAX} more" if len(oldest) > _NAMED_MAX else ""
    return Anomaly(
        AnomalyCode.STALE_MARKET_DATA,
        Severity.WARN,
        f"{len(ages)} of {wanted} symbols ({money.plain(share)}) have no fresh quote: {named}{more}",
    )


def _slow(watch: Watch, rules: AnomalyRules) -> Anomaly | None:
    if watch.cycle_ms < rules.latency_ms:
        return None
    return Anomaly(
        AnomalyCode.EXCHANGE_LATENCY_SPIKE,
        Severity.WARN,
        f"the last cycle took {watch.cycle_ms} ms; from {rules.latency_ms} ms on that is slow",
    )


def _refusals(watch: Watch, rules: AnomalyRules) -> Anomaly | None:
    refused = sum(watch.refusals)
    if refused < rules.refusals:
        return None
    return Anomaly(
        AnomalyCode.ORDER_REJECT_SPIKE,
        Severity.WARN,
        f"the venue refused {refused} orders in the last {len(watch.refusals)} cycles",
    )


def _stalled_cursor(watch: Watch, rules: AnomalyRules) -> Anomaly | None:
    if watch.cursor_unmoved < rules.cursor_stall_cycles:
        return None
    return Anomaly(
        AnomalyCode.CURSOR_STALL,
        Severity.WARN,
        f"the trade list did not come forward in {watch.cursor_unmoved} cycles in which the venue answered",
    )


def _skew(sight: Sight, rules: AnomalyRules) -> Anomaly | None:
    if sight.clock_skew_ms is None or abs(sight.clock_skew_ms) < rules.clock_skew_ms:
        return None
    return Anomaly(
        AnomalyCode.CLOCK_SKEW,
        Severity.WARN,
        f"the venue's clock is {sight.clock_skew_ms} ms from ours; {rules.clock_skew_ms} ms close the clock gate",
    )


def _divergence(sight: Sight, rules: AnomalyRules) -> Anomaly | None:
    if sight.divergence is None or abs(sight.divergence) < rules.divergence_warn:
        return None
    is_error = abs(sight.divergence) >= rules.divergence_error
    more_or_less = "more" if sight.divergence > 0 else "less"
    return Anomaly(
        AnomalyCode.PNL_DIVERGENCE,
        Severity.ERROR if is_error else Severity.WARN,
        f"the account is worth {money.plain(abs(sight.divergence))} TRY {more_or_less} than our result, transfers and "
        "foreign trades explain",
    )


def _silent_feed(watch: Watch, sight: Sight, rules: AnomalyRules) -> Anomaly | None:
    since_ms = watch.feed_silent_since_ms
    if sight.market is None or since_ms is None or sight.now_ms - since_ms < rules.feed_stall_ms:
        return None
    return Anomaly(
        AnomalyCode.FEED_STALLED,
        Severity.WARN,
        f"no book of the live feed could be traded on for {(sight.now_ms - since_ms) // 1000} s",
    )


def _closed(sight: Sight) -> Anomaly | None:
    if not sight.endpoints_closed:
        return None
    # Without a price a pair is not traded anyway; without the account's lists nothing is known of what is ours.
    is_market = _MARKET_ENDPOINTS.issuperset(sight.endpoints_closed)
    return Anomaly(
        AnomalyCode.BREAKER_OPEN,
        Severity.WARN if is_market else Severity.ERROR,
        f"{len(sight.endpoints_closed)} endpoint(s) left alone at the venue's wish: "
        + ", ".join(sorted(sight.endpoints_closed)),
    )


def _stuck(watch: Watch, rules: AnomalyRules) -> Anomaly | None:
    if watch.cycle_ms < rules.stuck_ms:
        return None
    return Anomaly(
        AnomalyCode.STUCK_CYCLE,
        Severity.ERROR,
        f"the last cycle stood still for {watch.cycle_ms // 1000} s; no cycle may take {rules.stuck_ms // 1000} s",
    )
