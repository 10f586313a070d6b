"""Stale, crossed and missing quotes are not traded on."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.builders import NOW_MS, a_quote

from btcbot.decisions.freshness import judge, quote_age_ms
from btcbot.domain.market import Quote
from btcbot.domain.reasons import ReasonCode

AGE_MS_MAX = 15_000


def verdict(quote: Quote | None) -> ReasonCode | None:
    quotes = {} if quote is None else {quote.symbol: quote}
    view = judge(["ADATRY"], quotes, NOW_MS, NOW_MS, AGE_MS_MAX)
    assert ("ADATRY" in view.quotes) != ("ADATRY" in view.unusable)
    return view.unusable.get("ADATRY")


@pytest.mark.parametrize(
    ("received_ago_ms", "made_ago_ms", "reason"),
    [
        (0, 0, None),
        (AGE_MS_MAX, 0, None),
        (0, AGE_MS_MAX, None),
        (AGE_MS_MAX + 1, 0, ReasonCode.STALE_QUOTE),  # it lies here too long
        (0, AGE_MS_MAX + 1, ReasonCode.STALE_QUOTE),  # it was old when it came
        (0, -60_000, None),  # the venue's clock is ahead; its arrival is fresh
        (AGE_MS_MAX + 1, -60_000, ReasonCode.STALE_QUOTE),  # a stamp from the future makes nothing fresh
    ],
)
def test_a_quote_is_as_old_as_the_worse_of_two_clocks_says(
    received_ago_ms: int, made_ago_ms: int, reason: ReasonCode | None
) -> None:
    quote = a_quote(received_at_ms=NOW_MS - received_ago_ms, venue_time_ms=NOW_MS - made_ago_ms)

    assert quote_age_ms(quote, NOW_MS, NOW_MS) == max(received_ago_ms, made_ago_ms)
    assert verdict(quote) is reason


def test_no_quote_a_crossed_one_and_an_empty_side() -> None:
    assert verdict(None) is ReasonCode.STALE_QUOTE
    assert verdict(a_quote(bid="100.05", ask="99.95")) is ReasonCode.CROSSED_QUOTE
    assert verdict(a_quote(bid="0")) is ReasonCode.CROSSED_QUOTE


def test_a_quote_that_nobody_wants_is_left_out_and_one_bad_symbol_spoils_no_other() -> None:
    quotes = {symbol: a_quote(symbol) for symbol in ("ADATRY", "BTCTRY", "ETHTRY")}
    quotes["BTCTRY"] = a_quote("BTCTRY", received_at_ms=0)

    view = judge(["ADATRY", "BTCTRY", "XRPTRY"], quotes, NOW_MS, NOW_MS, AGE_MS_MAX)

    assert view.quotes == {"ADATRY": a_quote("ADATRY")}
    assert view.unusable == {"BTCTRY": ReasonCode.STALE_QUOTE, "XRPTRY": ReasonCode.STALE_QUOTE}
    assert view.stale_rate == Decimal("0.6667")


def test_with_nothing_wanted_nothing_is_stale() -> None:
    assert judge([], {}, NOW_MS, NOW_MS, AGE_MS_MAX).stale_rate == 0
