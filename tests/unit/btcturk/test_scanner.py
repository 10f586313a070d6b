"""A look over the market at BtcTurk: what is asked for, what gives way to trading, and what a failure leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.btcturk.support import NOW_MS, Call, Rig, no, ok

from btcbot.adapters.btcturk import scanner, wire
from btcbot.adapters.btcturk.limits import QUOTAS, Endpoint, allowed
from btcbot.adapters.btcturk.scanner import BtcturkScanner
from btcbot.domain import money
from btcbot.domain.bars import Bar
from btcbot.domain.scan import Close, ScanRow, TickerRow
from btcbot.errors import VenueUnavailable

FIXTURES = Path(__file__).parents[4] / "shared" / "btcturk" / "fixtures" / "rest"
BOOKS_A_MINUTE = allowed(QUOTAS[Endpoint.ORDER_BOOK][0])
STEP_MS = 300_000
SYMBOLS = [f"A{number}TRY" for number in range(9)]


def a_ticker(symbol: str, **changes: Any) -> dict[str, Any]:
    row = {"pair": symbol, "timestamp": NOW_MS, "bid": 99, "ask": 101, "last": 100, "volume": 50, "average": 98}
    return {**row, **changes}


class Charts:
    """Candles of five minutes, the last three; or none at all."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []
        self.is_down = False

    def bars(self, symbol: str, interval_ms: int, since_ms: int) -> Sequence[Bar]:
        self.asked.append((symbol, interval_ms, since_ms))
        if self.is_down:
            raise VenueUnavailable("charts: no whole answer in time")
        hundred = Decimal(100)
        return [
            Bar(
                symbol=symbol,
                interval_ms=interval_ms,
                open_time_ms=NOW_MS - back * interval_ms,
                open=hundred,
                high=hundred + back,
                low=hundred,
                close=hundred + back,
                volume=money.ONE,
            )
            for back in (3, 2, 1)
        ]

    def close(self) -> None:
        """Nothing is open."""


class Look:
    """A scanner with its venue: a book of 99 (2) to 101 (3) for every pair, unless an answer says otherwise."""

    def __init__(self, answers: Mapping[str, Any] | None = None, *, has_charts: bool = True, **options: Any) -> None:
        self.answers = dict(answers or {})
        self.rig = Rig(self._reply, **options)
        self.charts = Charts()
        self.scanner = BtcturkScanner(
            self.rig.client,
            self.charts if has_charts else None,
            self.rig.clock,
            interval_ms=STEP_MS,
            history_ms=2 * STEP_MS,
        )

    def _reply(self, call: Call) -> Any:
        if call.path == "/api/v2/ticker":
            return self.answers.get("ticker", ok([a_ticker(symbol) for symbol in SYMBOLS]))
        self.rig.clock.pass_ms(self.answers.get("ms", 0))
        book = {"timestamp": NOW_MS - 5, "bids": [["99", "2"], ["98", "1"]], "asks": [["101", "3"]]}
        return self.answers.get(call.params["pairSymbol"], ok(book))

    def scan(self, symbols: Sequence[str] = SYMBOLS) -> Mapping[str, ScanRow]:
        return self.scanner.scan(symbols, NOW_MS)

    def books(self) -> list[str]:
        return [call.params["pairSymbol"] for call in self.rig.calls if call.path == "/api/v2/orderbook"]

    def tickers(self) -> int:
        return sum(call.path == "/api/v2/ticker" for call in self.rig.calls)


class TestTickerRows:
    def test_volume_is_told_in_the_quote_asset_by_the_average_price_of_its_hours(self) -> None:
        body = json.dumps(ok([a_ticker("BTC_TRY", volume=27.5, average=3_688_109, last=3_713_440)])).encode()
        (row,) = wire.ticker_rows(body).values()
        assert row == TickerRow(
            symbol="BTCTRY",
            bid=Decimal(99),
            ask=Decimal(101),
            last=Decimal(3_713_440),
            quote_volume_24h=Decimal("101422997.5"),
            venue_time_ms=NOW_MS,
        )

    def test_what_a_row_does_not_tell_is_left_open_and_an_unreadable_row_is_left_out(self) -> None:
        bare = {"pair": "ADATRY", "timestamp": NOW_MS, "bid": 1, "ask": 2}
        rows = wire.ticker_rows(json.dumps(ok([bare, a_ticker("XRPTRY", volume=-1), {"pair": "!"}, 7])).encode())
        assert list(rows) == ["ADATRY"]
        assert (rows["ADATRY"].last, rows["ADATRY"].quote_volume_24h) == (None, None)

    @given(st.decimals(0, 10**24, places=24), st.decimals(0, 10**24, places=24))
    def test_no_volume_is_too_long_to_be_worth_something(self, volume: Decimal, average: Decimal) -> None:
        """An inexact product would raise, and one absurd row would take all others down."""
        row = a_ticker("ADATRY", volume=f"{volume:f}", average=f"{average:f}")
        worth = wire.ticker_rows(json.dumps(ok([row])).encode())["ADATRY"].quote_volume_24h
        assert worth is not None
        assert 0 <= Fraction(worth) <= Fraction(volume) * Fraction(average)

    @pytest.mark.skipif(not FIXTURES.exists(), reason="the recorded answers are not on this machine")
    def test_a_recorded_answer_is_read(self) -> None:
        row = wire.ticker_rows((FIXTURES / "ticker_btctry_2026-08.json").read_bytes())["BTCTRY"]
        assert row.last == Decimal(3_713_440)
        assert row.quote_volume_24h == Decimal("27.8191") * 3_688_109


class TestWhatALookShows:
    def test_best_prices_with_their_quantities_volume_of_the_day_and_closes(self) -> None:
        look = Look()
        row = look.scan(["A1TRY"])["A1TRY"]
        assert row.quote is not None
        assert (row.quote.bid, row.quote.bid_quantity) == (Decimal(99), Decimal(2))
        assert (row.quote.ask, row.quote.ask_quantity) == (Decimal(101), Decimal(3))
        assert row.quote.venue_time_ms == NOW_MS - 5
        assert row.quote_volume_24h == Decimal(4900)
        assert row.closes == (
            Close(NOW_MS - 2 * STEP_MS, Decimal(103)),
            Close(NOW_MS - STEP_MS, Decimal(102)),
            Close(NOW_MS, Decimal(101)),
        )
        assert look.charts.asked == [("A1TRY", STEP_MS, NOW_MS - 3 * STEP_MS)]

    def test_depth_is_read_from_the_order_book_and_not_from_a_ticker_without_sizes(self) -> None:
        look = Look()
        assert look.scan(["A1TRY"])["A1TRY"].depth == Decimal(99 * 2 + 101 * 3)
        assert look.books() == ["A1TRY"]

    def test_all_pairs_are_listed_once_and_anew_after_a_minute(self) -> None:
        look = Look()
        for _ in range(3):
            look.scan(["A1TRY"])
        assert look.tickers() == 1
        look.rig.clock.pass_ms(60_000)
        look.scan(["A1TRY"])
        assert look.tickers() == 2

    def test_a_pair_without_a_book_or_volume_has_a_row_that_says_so(self) -> None:
        one_sided = ok({"timestamp": NOW_MS, "bids": [], "asks": [["1", "1"]]})
        look = Look({"A0TRY": (400, no("Pair A0TRY does not exists.", 1037)), "A1TRY": one_sided})
        rows = look.scan(["A0TRY", "A1TRY", "NEWTRY"])
        assert rows["A0TRY"].quote is rows["A1TRY"].quote is None
        assert rows["NEWTRY"].quote_volume_24h is None

    def test_a_venue_without_charts_shows_no_closes(self) -> None:
        assert Look(has_charts=False).scan(["A1TRY"])["A1TRY"].closes == ()


class TestTradingComesFirst:
    def test_a_look_ends_when_its_time_in_the_cycle_is_over(self) -> None:
        look = Look({"ms": 400})
        assert list(look.scan()) == SYMBOLS[:3], "1.2 s; a fourth would begin after the second that a cycle has for it"

    def test_one_symbol_is_reached_however_slow_it_is(self) -> None:
        assert list(Look({"ms": 5_000}).scan()) == SYMBOLS[:1]

    def test_order_books_are_left_to_trading(self) -> None:
        look = Look()
        for _ in range(BOOKS_A_MINUTE - scanner.BOOKS_LEFT - 3):
            look.rig.client.get_orderbook("A0TRY")
        before = len(look.books())
        assert list(look.scan()) == SYMBOLS[:3]
        assert list(look.scan(SYMBOLS[3:])) == SYMBOLS[3:4], "and one a cycle all the same"
        assert len(look.books()) == before + 4
        look.rig.clock.pass_ms(61_000)
        assert list(look.scan()) == SYMBOLS, "a minute later there is room again"

    def test_a_look_never_waits_for_a_limit(self) -> None:
        look = Look()
        for _ in range(BOOKS_A_MINUTE):
            look.rig.client.get_orderbook("A0TRY")
        with pytest.raises(VenueUnavailable):
            look.scan()
        assert look.rig.clock.slept == []
        assert look.rig.client.book_room() == 0

    def test_a_book_is_asked_for_once_and_given_up_soon(self) -> None:
        look = Look({"A0TRY": httpx2.Response(500), "A1TRY": httpx2.Response(502)})
        with pytest.raises(VenueUnavailable, match="no symbol could be looked at"):
            look.scan()
        assert look.books() == ["A0TRY", "A1TRY"]
        assert look.rig.clock.slept == []

    def test_who_could_not_be_asked_is_left_out_for_a_later_cycle(self) -> None:
        look = Look({"A1TRY": httpx2.Response(500)})
        assert list(look.scan()) == [symbol for symbol in SYMBOLS if symbol != "A1TRY"]

    def test_without_its_candles_a_symbol_counts_as_not_reached(self) -> None:
        """Else an hour without charts would throw every symbol out for want of history."""
        look = Look()
        look.charts.is_down = True
        with pytest.raises(VenueUnavailable):
            look.scan()
        assert len(look.charts.asked) == 2

    def test_a_rate_limit_of_a_look_closes_the_endpoint_for_everybody_to_see(self) -> None:
        limited = httpx2.Response(429, headers={"Retry-After": "30"}, json=no("TOO_MANY_REQUESTS", 429))
        look = Look({"A0TRY": limited})
        with pytest.raises(VenueUnavailable):
            look.scan(["A0TRY"])
        assert look.rig.client.health().endpoints_closed == ("order_book",)
        before = len(look.books())
        with pytest.raises(VenueUnavailable):
            look.scan(["A1TRY"])
        assert len(look.books()) == before, "nothing is asked until the venue's pause is over"

    def test_a_pause_that_trading_was_told_of_holds_for_looks(self) -> None:
        limited = httpx2.Response(429, headers={"Retry-After": "30"}, json=no("TOO_MANY_REQUESTS", 429))
        look = Look({"A0TRY": limited})
        with pytest.raises(VenueUnavailable):
            look.rig.client.get_orderbook("A0TRY")
        before = len(look.books())
        with pytest.raises(VenueUnavailable):
            look.scan(["A1TRY"])
        assert len(look.books()) == before

    def test_without_the_list_of_all_pairs_there_is_no_look(self) -> None:
        look = Look({"ticker": (500, no("SYSTEM", 1))})
        with pytest.raises(VenueUnavailable):
            look.scan()
        assert look.books() == []
