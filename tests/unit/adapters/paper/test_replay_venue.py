"""A recording of quotes and trades as a venue: what it shows when, what fills, and when the next fill may come."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.builders import NOW_MS, an_instrument, an_order

from btcbot.adapters.paper.venue import QuoteFillRules
from btcbot.domain.fills import VenueTrade
from btcbot.domain.intents import Side
from btcbot.domain.orders import Order
from btcbot.domain.outcomes import Accepted, Canceled
from btcbot.domain.permit import Permit, PermitScope, WriteKind

pytest.importorskip("polars")

from btcbot.adapters.paper.replay import NEVER, ReplayQuoteVenue
from btcbot.adapters.replay.clock import ReplayClock
from btcbot.adapters.replay.tables import quotes_of, trades_of

ADA = an_instrument()
RULES = QuoteFillRules(maker=Decimal("0.0012"), taker=Decimal("0.0024"))
OPENING = {"TRY": Decimal(10_000), "ADA": Decimal(100)}

#: (ms after the beginning, bid, its quantity, ask, its quantity)
QuoteRow = tuple[int, str, str | None, str, str | None]
#: (ms after the beginning, price, quantity, whether the taker sold)
TradeRow = tuple[int, str, str, bool | None]


class Recording:
    """One symbol on a clock that stands until it is played."""

    def __init__(self, quotes: list[QuoteRow], trades: list[TradeRow], rules: QuoteFillRules = RULES) -> None:
        def exact(text: str | None) -> Decimal | None:
            return None if text is None else Decimal(text)

        quote_rows = [(NOW_MS + ms, Decimal(b), exact(bq), Decimal(a), exact(aq)) for ms, b, bq, a, aq in quotes]
        trade_rows = [(NOW_MS + ms, Decimal(p), Decimal(q), sold, None) for ms, p, q, sold in trades]
        self.clock = ReplayClock(NOW_MS)
        self.venue = ReplayQuoteVenue(
            self.clock,
            {"ADATRY": quotes_of("ADATRY", quote_rows)},
            {"ADATRY": trades_of("ADATRY", trade_rows)} if trade_rows else {},
            {"ADATRY": ADA},
            OPENING,
            rules,
        )
        self.venue.play_to(NOW_MS)

    def play_to(self, ms: int) -> list[VenueTrade]:
        """The fills of it."""
        before = len(self.venue.trades(0))
        self.clock.set(NOW_MS + ms)
        self.venue.play_to(NOW_MS + ms)
        return list(self.venue.trades(0))[before:]

    def order(self, number: int = 1, price: str = "100", quantity: str = "2", side: Side = Side.BUY) -> Order:
        order = an_order(number, price=price, quantity=quantity, side=side, venue_order_id=None)
        made = self.venue.submit(order, self.permit(WriteKind.SUBMIT, order))
        assert isinstance(made, Accepted), made
        return order

    def permit(self, kind: WriteKind, order: Order) -> Permit:
        now_ms = self.clock.monotonic_ns() // 1_000_000
        return Permit(kind=kind, scope=PermitScope.VENUE, client_order_id=order.client_order_id, issued_at_ms=now_ms)


def test_a_quote_is_known_from_its_own_moment_on_and_carries_its_time() -> None:
    told = Recording([(10, "99", "5", "101", "5"), (20, "98", "5", "100", "5")], [])
    assert told.venue.quotes(["ADATRY"]) == {}
    told.play_to(19)
    quote = told.venue.quotes(["ADATRY", "OTHERTRY"])["ADATRY"]
    assert (quote.bid, quote.ask, quote.venue_time_ms) == (99, 101, NOW_MS + 10)
    told.play_to(20)
    assert told.venue.quotes(["ADATRY"])["ADATRY"].ask == 100
    assert (told.venue.first_quote_ms, told.venue.last_quote_ms) == (NOW_MS + 10, NOW_MS + 20)


def test_a_marketable_order_takes_what_the_quote_shows_at_once() -> None:
    told = Recording([(0, "99", "5", "101", "1.5")], [])
    told.order(price="102", quantity="2")
    [fill] = told.venue.trades(0)
    assert (fill.price, fill.quantity, fill.at_ms) == (101, Decimal("1.5"), NOW_MS)
    assert told.venue.fees == fill.fee + fill.tax


def test_what_was_recorded_before_an_order_fills_nothing() -> None:
    told = Recording([(0, "99", "5", "101", "5")], [(5, "90", "100", True), (6, "90", "8", True)])
    told.play_to(5)
    told.order(price="99.50")
    assert [(fill.price, fill.quantity, fill.at_ms) for fill in told.play_to(6)] == [(Decimal("99.50"), 2, NOW_MS + 6)]


def test_at_one_millisecond_trades_come_before_quotes() -> None:
    told = Recording([(0, "99", "10", "101", "5"), (5, "98", "5", "100", "0.5")], [(5, "99", "4", True)])
    told.order(price="100", quantity="1.2")
    assert [fill.quantity for fill in told.play_to(5)] == [1, Decimal("0.2")]


def test_fills_of_several_symbols_are_listed_in_the_order_of_time() -> None:
    clock = ReplayClock(NOW_MS)
    columns = {
        symbol: quotes_of(
            symbol,
            [
                (NOW_MS, Decimal(99), Decimal(1), Decimal(101), Decimal(1)),
                *((NOW_MS + ms, Decimal(98), Decimal(1), Decimal(ask), Decimal("0.5")) for ms, ask in rows),
            ],
        )
        for symbol, rows in {"ADATRY": [(3, 100), (7, 99)], "BTCTRY": [(2, 100), (5, 99)]}.items()
    }
    venue = ReplayQuoteVenue(clock, columns, {}, {symbol: an_instrument(symbol) for symbol in columns}, OPENING, RULES)
    venue.play_to(NOW_MS)
    for number, symbol in enumerate(columns, 1):
        order = an_order(number, price="100", symbol=symbol)
        permit = Permit(
            kind=WriteKind.SUBMIT, scope=PermitScope.VENUE, client_order_id=order.client_order_id, issued_at_ms=NOW_MS
        )
        assert isinstance(venue.submit(order, permit), Accepted)
    clock.set(NOW_MS + 10)
    venue.play_to(NOW_MS + 10)
    assert [(fill.symbol, fill.at_ms - NOW_MS) for fill in venue.trades(0)] == [
        ("BTCTRY", 2),
        ("ADATRY", 3),
        ("BTCTRY", 5),
        ("ADATRY", 7),
    ]


@pytest.mark.parametrize("side", Side)
def test_a_queue_that_was_shown_on_the_way_is_known_when_its_price_trades(side: Side) -> None:
    """Played in one go: the level was the best once, with two before us, and ten trade there later."""
    seen, price = (("97", "2", "98", "5"), "97") if side is Side.BUY else (("102", "5", "103", "2"), "103")
    quotes: list[QuoteRow] = [(0, "99", "5", "101", "5"), (5, *seen), (7, "99", "5", "101", "5")]
    told = Recording(quotes, [(8, price, "10", side is Side.BUY)])
    told.order(price=price, side=side)
    assert [(fill.price, fill.quantity) for fill in told.play_to(60)] == [(Decimal(price), 2)]


@pytest.mark.parametrize("row", [1, 1_024, 1_025, 2_500, 6_999])
def test_the_next_fill_is_found_however_far_it_lies(row: int) -> None:
    quotes: list[QuoteRow] = [(ms, "99", "5", "101" if ms != row else "99.50", "5") for ms in range(7_000)]
    told = Recording(quotes, [])
    told.order(price="99.50")
    assert told.venue.next_fill_ms() == NOW_MS + row
    assert [fill.at_ms for fill in told.play_to(7_000)] == [NOW_MS + row]
    assert told.venue.next_fill_ms() == NEVER


def test_a_cancelled_order_is_out_and_its_funds_are_free() -> None:
    told = Recording([(0, "99", "5", "101", "5")], [(5, "90", "100", True)])
    order = told.order(price="99.50")
    made = told.venue.cancel(order, told.permit(WriteKind.CANCEL, order))
    assert made == Canceled(executed_quantity=Decimal(0))
    assert told.play_to(5) == []
    assert told.venue.balances().free("TRY") == 10_000
    assert told.venue.next_fill_ms() == NEVER


@pytest.mark.parametrize(("value", "filled"), [("0", "0"), ("150", "1.4851")])
def test_where_no_quantity_was_recorded_only_an_assumed_value_is_shown(value: str, filled: str) -> None:
    rules = QuoteFillRules(maker=RULES.maker, taker=RULES.taker, value_unshown=Decimal(value))
    told = Recording([(0, "99", None, "101", None)], [], rules)
    told.order(price="101", quantity="2")
    assert sum(fill.quantity for fill in told.venue.trades(0)) == Decimal(filled)


def test_a_quote_that_cannot_be_is_no_market() -> None:
    told = Recording([(0, "99", "5", "101", "5"), (5, "102", "5", "98", "5")], [])
    told.order(price="100")
    assert told.play_to(5) == []


def test_behind_a_quote_that_cannot_be_stands_the_last_one_that_can() -> None:
    told = Recording([(0, "99", "5", "101", "5"), (5, "98", "5", "100", "5"), (6, "102", "5", "98", "5")], [])
    told.play_to(6)
    assert not told.venue.quotes(["ADATRY"])["ADATRY"].is_sane, "the bot is told what was recorded"
    told.order(price="100")
    assert [fill.price for fill in told.venue.trades(0)] == [100]


def test_what_was_taken_before_a_quiet_stretch_is_there_again_only_if_the_level_went() -> None:
    stands = [(0, "99", "5", "101", "2"), (5, "98", "5", "101", "2"), (9, "99", "5", "101", "2")]
    goes = [(0, "99", "5", "101", "2"), (5, "99", "5", "103", "2"), (9, "99", "5", "101", "2")]
    for quotes, filled in ((stands, 2), (goes, 4)):
        told = Recording(quotes, [])
        told.order(1, price="101", quantity="2")
        told.play_to(9)
        told.order(2, price="101", quantity="2")
        assert sum(fill.quantity for fill in told.venue.trades(0)) == filled


def _prices(least: int, most: int) -> st.SearchStrategy[str]:
    return st.integers(least, most).map(lambda cents: str(Decimal(cents).scaleb(-2)))


#: Few prices and few moments, so that much meets; some quotes are crossed, some tell no quantity.
_MOMENTS = st.integers(1, 40)
_AMOUNTS = st.sampled_from(["0", "0.5", "3", "7"])
_QUOTES = st.lists(
    st.tuples(_MOMENTS, _prices(9990, 10001), _AMOUNTS, _prices(10000, 10010), _AMOUNTS), min_size=1, max_size=25
)
_TRADES = st.lists(st.tuples(_MOMENTS, _prices(9990, 10010), st.sampled_from(["0.4", "9"]), st.booleans()), max_size=25)
_ORDERS = st.lists(st.tuples(_MOMENTS, st.sampled_from(Side), _prices(9988, 10012)), min_size=1, max_size=6)


def _in_time(quotes: list[QuoteRow], trades: list[TradeRow]) -> tuple[list[QuoteRow], list[TradeRow]]:
    return [(0, "99.50", "3", "100.50", "3"), *sorted(quotes)], sorted(trades, key=lambda row: row[0])


def _play(
    quotes: list[QuoteRow], trades: list[TradeRow], orders: list[tuple[int, Side, str]], step_ms: int
) -> Recording:
    """Orders come at their moments; between them, time is played in steps of so much."""
    told = Recording(*_in_time(quotes, trades))
    now_ms = 0
    for number, (moment, side, price) in enumerate(sorted(orders, key=lambda row: row[0]), 1):
        for stop_ms in [*range(now_ms, moment, step_ms), moment]:
            told.play_to(stop_ms)
        now_ms = moment
        told.order(number, price=price, quantity="4", side=side)
    for stop_ms in [*range(now_ms, 60, step_ms), 60]:
        told.play_to(stop_ms)
    return told


@given(_QUOTES, _TRADES, _ORDERS, st.integers(2, 60))
@example(  # a locked row reaches the resting sale; the row before it shows what the buy takes
    [(1, "99.90", "0", "100.00", "0"), (20, "99.90", "0", "100.00", "0.5"), (21, "100.00", "0", "100.00", "0")],
    [],
    [(1, Side.SELL, "99.91"), (21, Side.BUY, "100.00")],
    2,
)
@settings(max_examples=400, deadline=None)
def test_how_far_time_is_played_in_one_go_changes_nothing(
    quotes: list[QuoteRow], trades: list[TradeRow], orders: list[tuple[int, Side, str]], step_ms: int
) -> None:
    each, coarse = (_play(quotes, trades, orders, ms) for ms in (1, step_ms))
    assert list(coarse.venue.trades(0)) == list(each.venue.trades(0))
    assert coarse.venue.balances().balances == each.venue.balances().balances
    assert coarse.venue.quotes(["ADATRY"]) == each.venue.quotes(["ADATRY"])


@given(_QUOTES, _TRADES, _ORDERS)
@settings(max_examples=150, deadline=None)
def test_no_order_is_filled_before_the_moment_that_was_told(
    quotes: list[QuoteRow], trades: list[TradeRow], orders: list[tuple[int, Side, str]]
) -> None:
    told = Recording(*_in_time(quotes, trades))
    for number, (_, side, price) in enumerate(orders, 1):
        told.order(number, price=price, quantity="4", side=side)
    for moment in range(1, 61):
        not_before_ms = told.venue.next_fill_ms()
        assert all(fill.at_ms >= not_before_ms for fill in told.play_to(moment))
