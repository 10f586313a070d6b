"""What is out of the ordinary, by example: each anomaly just below its bound and at it, and a quiet night."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from tests.builders import NOW_MS, a_quote

from btcbot.decisions import anomalies
from btcbot.decisions.anomalies import Anomaly, AnomalyCode, AnomalyRules, Severity, Sight, Watch
from btcbot.decisions.freshness import MarketView
from btcbot.domain.reasons import ReasonCode

RULES = AnomalyRules(
    stale_ms=30_000,
    stale_share=Decimal("0.3"),
    latency_ms=2_000,
    refusals=3,
    refusal_window_cycles=5,
    cursor_stall_cycles=5,
    clock_skew_ms=2_000,
    divergence_warn=Decimal(50),
    divergence_error=Decimal(200),
    feed_stall_ms=30_000,
    stuck_ms=120_000,
)
SYMBOLS = ("ADATRY", "BTCTRY", "ETHTRY", "SOLTRY")


def a_view(
    lacking: int = 0, why: ReasonCode = ReasonCode.STALE_QUOTE, from_feed: bool = False, symbols: Any = SYMBOLS
) -> MarketView:
    """The last `lacking` of four symbols have no usable quote."""
    having = symbols[: len(symbols) - lacking]
    return MarketView(
        quotes={symbol: a_quote(symbol) for symbol in having},
        unusable=dict.fromkeys(symbols[len(having) :], why),
        from_feed=frozenset(having) if from_feed else frozenset(),
    )


def a_sight(seconds: float = 0, market: MarketView | None = None, **changes: Any) -> Sight:
    sight = Sight(
        now_ms=NOW_MS + round(seconds * 1000),
        market=a_view() if market is None else market,
        has_feed=False,
        clock_skew_ms=0,
        endpoints_closed=(),
        divergence=Decimal(0),
    )
    return replace(sight, **changes)


BEGINNING = Watch()


def after(watch: Watch = BEGINNING, **changes: Any) -> Watch:
    """One ordinary cycle later, but for `changes`."""
    ordinary = {"cycle_ms": 50, "refused": 0, "cursor_ms": watch.cursor_ms + 10_000, "has_heard": True}
    return anomalies.ended(watch, **{**ordinary, **changes}, rules=RULES)


def find(watch: Watch, sight: Sight) -> tuple[Anomaly, ...]:
    return anomalies.find(anomalies.noticed(watch, sight), sight, RULES)


def codes(watch: Watch, sight: Sight) -> list[AnomalyCode]:
    return [anomaly.code for anomaly in find(watch, sight)]


def test_a_quiet_night_raises_nothing() -> None:
    """mistake 19: a quiet pair is no stuck bot. Nothing is wished, sent or filled for a thousand cycles."""
    watch = Watch()
    for number in range(1_000):
        sight = a_sight(number * 10, a_view(from_feed=True), has_feed=True)
        assert find(watch, sight) == ()
        watch = after(anomalies.noticed(watch, sight))


class TestStaleMarketData:
    def test_it_takes_time_and_a_share_of_the_symbols(self) -> None:
        watch = anomalies.noticed(Watch(), a_sight(0, a_view(lacking=2)))
        assert codes(watch, a_sight(29.9, a_view(lacking=2))) == []
        assert codes(watch, a_sight(30, a_view(lacking=2))) == [AnomalyCode.STALE_MARKET_DATA]

    def test_one_symbol_of_four_is_not_the_market(self) -> None:
        watch = anomalies.noticed(Watch(), a_sight(0, a_view(lacking=1)))
        assert codes(watch, a_sight(3_600, a_view(lacking=1))) == []

    def test_each_symbol_is_told_with_its_own_age(self) -> None:
        watch = anomalies.noticed(Watch(), a_sight(0, a_view(lacking=1)))
        watch = anomalies.noticed(watch, a_sight(20, a_view(lacking=3)))
        (found,) = find(watch, a_sight(50, a_view(lacking=3)))
        assert found.severity is Severity.WARN
        assert found.detail == (
            "3 of 4 symbols (0.75) have no fresh quote: SOLTRY for 50 s, BTCTRY for 30 s, ETHTRY for 30 s"
        )

    def test_a_fresh_quote_begins_the_count_anew(self) -> None:
        watch = anomalies.noticed(Watch(), a_sight(0, a_view(lacking=4)))
        watch = anomalies.noticed(watch, a_sight(20, a_view()))
        watch = anomalies.noticed(watch, a_sight(25, a_view(lacking=4)))
        assert codes(watch, a_sight(54, a_view(lacking=4))) == []
        assert codes(watch, a_sight(55, a_view(lacking=4))) == [AnomalyCode.STALE_MARKET_DATA]

    def test_a_pair_whose_book_is_empty_is_not_stale(self) -> None:
        """The venue tells it, freshly, and there is nothing in it."""
        watch = anomalies.noticed(Watch(), a_sight(0, a_view(4, ReasonCode.CROSSED_QUOTE)))
        assert codes(watch, a_sight(3_600, a_view(4, ReasonCode.CROSSED_QUOTE))) == []

    def test_a_book_that_cannot_be_trusted_is(self) -> None:
        watch = anomalies.noticed(Watch(), a_sight(0, a_view(4, ReasonCode.BOOK_UNTRUSTED)))
        assert codes(watch, a_sight(60, a_view(4, ReasonCode.BOOK_UNTRUSTED))) == [AnomalyCode.STALE_MARKET_DATA]

    def test_a_clock_that_was_set_back_makes_no_pair_younger_than_it_is(self) -> None:
        watch = anomalies.noticed(Watch(), a_sight(1_000, a_view(lacking=4)))
        watch = anomalies.noticed(watch, a_sight(0, a_view(lacking=4)))
        assert codes(watch, a_sight(30, a_view(lacking=4))) == [AnomalyCode.STALE_MARKET_DATA]


class TestFeedStalled:
    def test_rest_serves_and_the_feed_does_not(self) -> None:
        watch = anomalies.noticed(Watch(), a_sight(0, has_feed=True))
        assert codes(watch, a_sight(29, has_feed=True)) == []
        (found,) = find(watch, a_sight(31, has_feed=True))
        assert (found.code, found.severity) == (AnomalyCode.FEED_STALLED, Severity.WARN)
        assert "31 s" in found.detail

    def test_one_trusted_book_is_enough(self) -> None:
        watch = anomalies.noticed(Watch(), a_sight(0, has_feed=True))
        view = replace(a_view(), from_feed=frozenset({"ADATRY"}))
        assert codes(watch, a_sight(60, view, has_feed=True)) == []
        assert anomalies.noticed(watch, a_sight(60, view, has_feed=True)).feed_silent_since_ms is None

    def test_a_bot_without_a_feed_misses_none(self) -> None:
        watch = anomalies.noticed(Watch(), a_sight(0))
        assert codes(watch, a_sight(3_600)) == []

    def test_pairs_that_have_no_book_at_all_are_not_the_feeds_fault(self) -> None:
        empty = a_view(4, ReasonCode.CROSSED_QUOTE)
        watch = anomalies.noticed(Watch(), a_sight(0, empty, has_feed=True))
        assert codes(watch, a_sight(3_600, empty, has_feed=True)) == []


class TestCyclesBefore:
    @pytest.mark.parametrize(("took_ms", "expected"), [(1_999, []), (2_000, [AnomalyCode.EXCHANGE_LATENCY_SPIKE])])
    def test_a_slow_cycle(self, took_ms: int, expected: list[AnomalyCode]) -> None:
        assert codes(after(cycle_ms=took_ms), a_sight()) == expected

    def test_a_stuck_cycle_is_an_error(self) -> None:
        slow, stuck = find(after(cycle_ms=120_000), a_sight())
        assert (slow.code, slow.severity) == (AnomalyCode.EXCHANGE_LATENCY_SPIKE, Severity.WARN)
        assert (stuck.code, stuck.severity) == (AnomalyCode.STUCK_CYCLE, Severity.ERROR)
        assert codes(after(cycle_ms=119_999), a_sight()) == [AnomalyCode.EXCHANGE_LATENCY_SPIKE]

    def test_refusals_are_counted_over_a_window_that_slides(self) -> None:
        """mistake 19: the window lives across cycles."""
        watch = Watch()
        for refused in (1, 0, 1):
            watch = after(watch, refused=refused)
        assert codes(watch, a_sight()) == []
        watch = after(watch, refused=1)
        (found,) = find(watch, a_sight())
        assert found.detail == "the venue refused 3 orders in the last 4 cycles"
        watch = after(watch)
        assert codes(watch, a_sight()) == [AnomalyCode.ORDER_REJECT_SPIKE]
        watch = after(watch)
        assert codes(watch, a_sight()) == []  # the first one has left the window
        assert watch.refusals == (0, 1, 1, 0, 0)

    def test_refusals_of_a_woken_cycle_count_too(self) -> None:
        watch = anomalies.refused_between(after(refused=1), 2)
        assert watch.refusals == (3,)
        assert anomalies.refused_between(Watch(), 3).refusals == (3,)

    def test_a_trade_list_that_does_not_come_forward_while_the_venue_answers(self) -> None:
        watch = after()
        for _ in range(4):
            watch = after(watch, cursor_ms=watch.cursor_ms)
        assert codes(watch, a_sight()) == []
        watch = after(watch, cursor_ms=watch.cursor_ms)
        (found,) = find(watch, a_sight())
        assert (found.code, found.severity) == (AnomalyCode.CURSOR_STALL, Severity.WARN)
        assert codes(after(watch), a_sight()) == []

    def test_a_venue_that_is_down_stalls_no_cursor(self) -> None:
        watch = after()
        for _ in range(100):
            watch = after(watch, cursor_ms=watch.cursor_ms, has_heard=False)
        assert codes(watch, a_sight()) == []


class TestThisCycle:
    @pytest.mark.parametrize("skew_ms", [2_000, -2_000])
    def test_a_clock_two_seconds_off(self, skew_ms: int) -> None:
        assert codes(Watch(), a_sight(clock_skew_ms=skew_ms)) == [AnomalyCode.CLOCK_SKEW]

    @pytest.mark.parametrize("skew_ms", [None, 0, 1_999, -1_999])
    def test_a_clock_that_is_near_enough_or_not_known(self, skew_ms: int | None) -> None:
        assert codes(Watch(), a_sight(clock_skew_ms=skew_ms)) == []

    @pytest.mark.parametrize(
        ("amount", "severity"),
        [("49.99", None), ("50", "WARN"), ("-199.99", "WARN"), ("200", "ERROR"), ("-200", "ERROR"), (None, None)],
    )
    def test_money_that_our_result_does_not_explain(self, amount: str | None, severity: str | None) -> None:
        found = find(Watch(), a_sight(divergence=None if amount is None else Decimal(amount)))
        assert [one.severity.value for one in found] == ([severity] if severity else [])
        for one in found:
            assert amount is not None
            assert f"{amount.lstrip('-')} TRY {'less' if amount.startswith('-') else 'more'}" in one.detail

    def test_an_open_breaker_is_seen(self) -> None:
        """mistake 19b: also by a cycle that did not come as far as the market."""
        sight = a_sight(endpoints_closed=("submit", "balances"))
        for seen in (sight, replace(sight, market=None)):
            (found,) = anomalies.find(Watch(), seen, RULES)
            assert (found.code, found.severity) == (AnomalyCode.BREAKER_OPEN, Severity.ERROR)
            assert found.detail == "2 endpoint(s) left alone at the venue's wish: balances, submit"

    def test_a_cycle_that_saw_no_market_says_nothing_of_quotes(self) -> None:
        watch = anomalies.noticed(Watch(), a_sight(0, a_view(lacking=4), has_feed=True))
        blind = replace(a_sight(600, has_feed=True), market=None)
        assert anomalies.noticed(watch, blind) == watch
        assert codes(watch, blind) == []
