"""The paper venue between the bot, the real venue's public data and the public feed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from tests.unit.btcturk.support import NOW_MS, Call, Rig, no, ok
from tests.unit.btcturk.test_wire import PAIR

from btcbot.adapters.btcturk.feed_book import Depth
from btcbot.adapters.btcturk.feed_frames import Level as FeedLevel
from btcbot.adapters.btcturk.feed_frames import PublicTrade
from btcbot.adapters.btcturk.requester import Timing
from btcbot.adapters.paper.exchange import PaperExchange
from btcbot.adapters.paper.feed import PaperFeed
from btcbot.adapters.paper.file_records import FileRecords
from btcbot.adapters.paper.public_trades import PublicTrades
from btcbot.adapters.paper.records import MemoryRecords, Records
from btcbot.adapters.paper.venue import QuoteFillRules
from btcbot.domain.feed import AccountEventKind, FeedBook, FeedView, Top, Wake
from btcbot.domain.fills import VenueTrade
from btcbot.domain.intents import Side
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.outcomes import Accepted, CancelRequested, InDoubt, NotSent, Refused
from btcbot.domain.permit import Permit, PermitScope, WriteKind
from btcbot.domain.venue import VenueOrderStatus
from btcbot.errors import StoreFailed, VenueUnavailable
from btcbot.ports import StopSignal

RULES = QuoteFillRules(maker=Decimal("0.0012"), taker=Decimal("0.0024"))


class Market:
    """BtcTurk's public side, as the tests set it."""

    def __init__(self) -> None:
        self.bid, self.ask = ("3700000", "1"), ("3710000", "1")
        self.trades: list[dict[str, Any]] = []
        self.is_down = False

    def __call__(self, call: Call) -> Any:
        if self.is_down:
            return 503, no("Service Unavailable", 503)
        match call.path:
            case "/api/v2/server/exchangeinfo":
                return ok({"symbols": [PAIR]})
            case "/api/v2/orderbook":
                return ok({"timestamp": NOW_MS, "bids": [self.bid], "asks": [self.ask]})
            case "/api/v2/trades":
                assert call.params == {"pairSymbol": "BTCTRY", "last": "50"}
                return ok(self.trades)
        raise AssertionError(f"paper asked for {call}")

    def trade(self, number: int, at_ms: int, price: str, amount: str, side: str = "sell") -> None:
        """Newest first, as BtcTurk lists them."""
        row = {"pair": "BTCTRY", "date": at_ms, "tid": str(number), "price": price, "amount": amount, "side": side}
        self.trades.insert(0, row)


class Desk:
    """A paper exchange with one pair, and the bot's hand."""

    def __init__(self, records: Records | None = None) -> None:
        self.market = Market()
        self.rig = Rig(self.market, has_key=False)
        self.clock = self.rig.clock
        tape = PublicTrades(
            "https://api.btcturk.com",
            clock=self.clock,
            stop=threading.Event(),
            metrics=self.rig.metrics,
            log=structlog.wrap_logger(None, processors=[self.rig.log]),
            timing=Timing(attempts_max=1),
            transport=httpx2.MockTransport(self.rig.venue.handle),
        )
        self.exchange = PaperExchange(
            self.rig.client,
            records or MemoryRecords({"TRY": Decimal(10_000)}),
            RULES,
            clock=self.clock,
            log=structlog.wrap_logger(None, processors=[self.rig.log]),
            read_trades=tape.of,
        )
        self.exchange.venue_time_ms()
        self.exchange.instruments()

    def order(self, number: int = 1, price: str = "3700000", quantity: str = "0.001", side: Side = Side.BUY) -> Order:
        now_ms = self.clock.now_ms()
        return Order(
            client_order_id=f"btcbot-test-19a-{number}",
            intent_id="intent",
            cycle_id="cycle",
            strategy="test",
            symbol="BTCTRY",
            side=side,
            price=Decimal(price),
            quantity=Decimal(quantity),
            status=OrderStatus.SUBMITTED,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        )

    def permit(self, order: Order, kind: WriteKind = WriteKind.SUBMIT, age_ms: int = 0) -> Permit:
        return Permit(
            kind=kind,
            scope=PermitScope.SIMULATION,
            client_order_id=order.client_order_id,
            issued_at_ms=self.clock.monotonic_ns() // 1_000_000 - age_ms,
        )

    def submit(self, order: Order) -> Accepted:
        made = self.exchange.submit(order, self.permit(order))
        assert isinstance(made, Accepted), made
        return made

    def fills(self) -> list[tuple[Decimal, Decimal]]:
        return [(fill.price, fill.quantity) for fill in self.exchange.trades(0)]

    def paths(self) -> list[str]:
        return [call.path for call in self.rig.calls]


@pytest.fixture
def desk() -> Desk:
    return Desk()


# -- without a feed: REST ----------------------------------------------------------------------------------------------


def test_what_rest_shows_fills_a_marketable_order(desk: Desk) -> None:
    desk.exchange.quotes(["BTCTRY"])
    desk.submit(desk.order(price="3720000"))
    assert desk.fills() == [(Decimal(3710000), Decimal("0.001"))]


def test_public_trades_are_asked_for_while_an_order_rests_and_each_is_used_once(desk: Desk) -> None:
    desk.exchange.quotes(["BTCTRY"])
    assert desk.fills() == []
    assert "/api/v2/trades" not in desk.paths(), "nothing rests: nobody needs to know"
    desk.market.trade(1, NOW_MS - 5, "3600000", "1")
    desk.submit(desk.order(price="3700001", quantity="0.002"))
    desk.market.trade(2, NOW_MS + 50, "3600000", "0.004")
    assert desk.fills() == [(Decimal(3700001), Decimal("0.001"))]  # a quarter of the one that came after it
    assert desk.fills() == [(Decimal(3700001), Decimal("0.001"))]
    desk.clock.pass_ms(2_000)
    desk.market.trade(3, NOW_MS + 1_000, "3600000", "0.0004")
    assert desk.fills()[1:] == [(Decimal(3700001), Decimal("0.0001"))]
    assert desk.paths().count("/api/v2/trades") == 2


def test_a_real_venue_in_trouble_only_puts_fills_off(desk: Desk) -> None:
    desk.exchange.quotes(["BTCTRY"])
    desk.submit(desk.order(price="3700001"))
    desk.market.is_down = True
    desk.market.trade(2, NOW_MS + 50, "3600000", "1")
    assert desk.fills() == []
    assert desk.exchange.balances().locked("TRY") > 0
    with pytest.raises(VenueUnavailable):
        desk.exchange.quotes(["BTCTRY"])
    desk.market.is_down = False
    desk.clock.pass_ms(60_000)
    assert desk.fills() == [(Decimal(3700001), Decimal("0.001"))]


def test_the_side_of_a_public_trade_decides_for_whom_it_is(desk: Desk) -> None:
    desk.exchange.quotes(["BTCTRY"])
    desk.submit(desk.order(price="3700001"))
    desk.market.trade(2, NOW_MS + 50, "3600000", "1", side="buy")
    assert desk.fills() == []


# -- lists and writes --------------------------------------------------------------------------------------------------


def test_an_order_lives_in_the_lists_as_at_btcturk(desk: Desk) -> None:
    exchange = desk.exchange
    exchange.quotes(["BTCTRY"])
    order = desk.order(price="3700001", quantity="0.002")
    placed = desk.submit(order)
    [shown] = exchange.open_orders()
    assert (shown.venue_order_id, shown.client_order_id) == (placed.venue_order_id, order.client_order_id)
    assert shown.status is VenueOrderStatus.UNTOUCHED
    desk.market.trade(2, NOW_MS + 50, "3600000", "0.002")
    desk.clock.pass_ms(2_000)
    assert exchange.open_orders("BTCTRY")[0].status is VenueOrderStatus.PARTIAL
    assert exchange.open_orders("ETHTRY") == []

    made = exchange.cancel(order, desk.permit(order, WriteKind.CANCEL))  # by our id, while theirs is not known
    assert made == CancelRequested()
    assert exchange.open_orders() == []
    found = exchange.order(placed.venue_order_id)
    assert found is not None
    assert (found.status, found.executed_quantity) == (VenueOrderStatus.CANCELED, Decimal("0.0005"))
    assert [row.status for row in exchange.all_orders("BTCTRY", NOW_MS)] == [VenueOrderStatus.CANCELED]
    assert exchange.all_orders("BTCTRY", NOW_MS + 60_000) == []
    [fill] = exchange.trades_of(placed.venue_order_id)
    assert isinstance(fill, VenueTrade)
    assert exchange.trades(fill.at_ms + 1) == []
    assert exchange.cancel(order, desk.permit(order, WriteKind.CANCEL)) == Refused(code="NO_ORDER_MATCHES_YOUR_REQUEST")


def test_a_pair_that_is_not_listed_is_refused(desk: Desk) -> None:
    order = desk.order()
    other = Order(**{**{f: getattr(order, f) for f in order.__struct_fields__}, "symbol": "NOPETRY"})
    assert isinstance(desk.exchange.submit(other, desk.permit(other)), Refused)


def test_an_old_permit_opens_nothing(desk: Desk) -> None:
    order = desk.order()
    assert isinstance(desk.exchange.submit(order, desk.permit(order, age_ms=1_001)), NotSent)
    assert desk.exchange.open_orders() == []


def test_a_file_that_cannot_be_written_leaves_an_order_in_doubt_and_then_tells_nothing(tmp_path: Path) -> None:
    records = FileRecords.open(tmp_path / "p.venue", "book", {"TRY": Decimal(10_000)}, is_new_book=True)
    desk = Desk(records)
    records.save = _fails  # type: ignore[method-assign]
    order = desk.order()
    assert isinstance(desk.exchange.submit(order, desk.permit(order)), InDoubt)
    for read in (desk.exchange.balances, desk.exchange.open_orders):
        with pytest.raises(StoreFailed, match="disk"):
            read()
    desk.exchange.close()
    assert any(entry["event"] == "paper_venue_not_kept" for entry in desk.rig.log.entries)


def _fails(*changes: object) -> None:
    raise StoreFailed("no room on the disk")


# -- the feed ----------------------------------------------------------------------------------------------------------


class Tape:
    """A public feed in the test's hand. Times are monotonic milliseconds, those of trades the venue's."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.books: dict[str, FeedBook] = {}
        self.prints: list[PublicTrade] = []
        self.levels: Depth | None = None
        self.waits: list[float] = []
        #: What happens while somebody waits.
        self.meanwhile: list[Any] = []
        self.wakes: list[Wake] = []

    def start(self) -> None: ...

    def show(self, *tops: tuple[str, str, str, str]) -> None:
        """Best prices one after the other: bid, its quantity, ask, its quantity."""
        now_ms = self.desk.clock.monotonic_ns() // 1_000_000
        made = tuple(Top(now_ms + n, *map(Decimal, top)) for n, top in enumerate(tops, 1))
        self.desk.clock.pass_ms(len(tops))
        self.books["BTCTRY"] = FeedBook(symbol="BTCTRY", tops=made, snapshot_at_ms=now_ms, changed_at_ms=now_ms)

    def print(self, number: int, price: str, quantity: str, *, is_buy: bool = False) -> None:
        self.desk.clock.pass_ms(1)
        self.prints.append(
            PublicTrade(str(number), self.desk.clock.now_ms(), Decimal(price), Decimal(quantity), is_buy)
        )

    def view(self) -> FeedView:
        return FeedView(
            connection=1,
            alive_at_ms=1,
            why_down="",
            is_logged_in=False,
            books=dict(self.books),
            without_book={},
        )

    def trades(self, symbol: str) -> tuple[PublicTrade, ...]:
        return tuple(self.prints)

    def depth(self, symbol: str, levels: int) -> Depth | None:
        return self.levels

    def resync(self, symbol: str) -> None: ...

    def wait(self, seconds: float, stop: StopSignal, *, for_market: bool = True) -> Wake:
        self.waits.append(seconds)
        self.desk.clock.pass_ms(round(seconds * 1000))
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return self.wakes.pop(0) if self.wakes else Wake.TIME

    def close(self) -> None: ...


@pytest.fixture
def tape(desk: Desk) -> Tape:
    return Tape(desk)


@pytest.fixture
def feed(desk: Desk, tape: Tape) -> PaperFeed:
    made = PaperFeed(tape, desk.exchange, desk.clock)
    tape.show(("3700000", "1", "3710000", "1"))
    made.view()
    return made


STOP = threading.Event()


def test_a_fill_while_the_bot_waits_ends_the_wait_and_is_told_once(desk: Desk, tape: Tape, feed: PaperFeed) -> None:
    desk.submit(desk.order(price="3700001"))
    tape.meanwhile = [lambda: None, lambda: tape.print(7, "3690000", "1")]
    assert feed.wait(10.0, STOP, for_market=False) is Wake.ACCOUNT
    assert sum(tape.waits) < 1.1, "it looked before the time was up"
    [event] = feed.view().events
    assert event.kind is AccountEventKind.FILL
    assert event.client_order_id == "btcbot-test-19a-1"
    assert [fill.trade_id for fill in desk.exchange.trades(0)] == [event.trade_id]
    assert feed.view().events == ()


def test_while_the_feed_tells_a_pairs_trades_rest_is_not_asked(desk: Desk, tape: Tape, feed: PaperFeed) -> None:
    desk.submit(desk.order(price="3700001"))
    desk.exchange.balances()
    assert "/api/v2/trades" not in desk.paths()
    tape.books.clear()
    desk.exchange.balances()
    assert desk.paths().count("/api/v2/trades") == 1


def test_a_trade_that_the_feed_and_rest_both_tell_is_used_once(desk: Desk, tape: Tape, feed: PaperFeed) -> None:
    desk.submit(desk.order(price="3700001", quantity="0.002"))
    tape.print(7, "3690000", "0.004")
    feed.view()
    [printed] = tape.prints
    tape.books.clear()  # the connection is gone: REST fills the gap
    feed.view()
    desk.market.trade(7, printed.at_ms, "3690000", "0.004")
    desk.market.trade(8, printed.at_ms + 1, "3690000", "0.0004")
    assert desk.fills() == [(Decimal(3700001), Decimal("0.001")), (Decimal(3700001), Decimal("0.0001"))]
    tape.print(8, "3690000", "0.0004")
    tape.show(("3700000", "1", "3710000", "1"))
    tape.prints[1] = PublicTrade("8", printed.at_ms + 1, Decimal(3690000), Decimal("0.0004"), is_buy=False)
    feed.view()
    assert len(desk.fills()) == 2


def test_prices_that_came_and_went_between_two_looks_count(desk: Desk, tape: Tape, feed: PaperFeed) -> None:
    desk.submit(desk.order(price="3700001"))
    tape.show(("3690000", "1", "3695000", "0.0004"), ("3700000", "1", "3710000", "1"))
    feed.view()
    assert desk.fills() == [(Decimal(3700001), Decimal("0.0004"))]


def test_prices_from_before_an_order_do_not(desk: Desk, tape: Tape, feed: PaperFeed) -> None:
    tape.show(("3690000", "1", "3695000", "0.0004"), ("3700000", "1", "3710000", "1"))
    desk.submit(desk.order(price="3700001"))
    feed.view()
    assert desk.fills() == []


def test_an_order_walks_the_levels_that_the_feed_shows(desk: Desk, tape: Tape, feed: PaperFeed) -> None:
    def level(price: str, quantity: str) -> FeedLevel:
        return FeedLevel(Decimal(price), Decimal(quantity))

    tape.levels = Depth(asks=(level("3710000", "0.0004"), level("3711000", "9")), bids=(level("3700000", "1"),))
    desk.submit(desk.order(price="3720000"))
    assert desk.fills() == [(Decimal(3710000), Decimal("0.0004")), (Decimal(3711000), Decimal("0.0006"))]


def test_rest_does_not_speak_for_a_book_that_the_feed_shows(desk: Desk, tape: Tape, feed: PaperFeed) -> None:
    desk.submit(desk.order(price="3700001"))
    desk.market.bid, desk.market.ask = ("3690000", "1"), ("3695000", "1")  # an older answer than the feed's book
    desk.exchange.quotes(["BTCTRY"])
    assert desk.fills() == []


def test_a_change_of_prices_that_the_paper_venue_looked_at_still_wakes(desk: Desk, tape: Tape, feed: PaperFeed) -> None:
    tape.meanwhile = [lambda: tape.show(("3701000", "1", "3711000", "1"))]
    assert feed.wait(1.0, STOP, for_market=False) is Wake.TIME
    assert feed.wait(1.0, STOP) is Wake.MARKET
    feed.view()
    assert feed.wait(1.0, STOP) is Wake.TIME


def test_every_other_word_of_the_feed_passes_and_a_stop_is_heard(desk: Desk, tape: Tape, feed: PaperFeed) -> None:
    tape.wakes = [Wake.MARKET]
    assert feed.wait(5.0, STOP) is Wake.MARKET
    stop = threading.Event()
    stop.set()
    assert feed.wait(5.0, stop) is Wake.STOP


# -- what REST tells ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows",
    [
        [{"date": NOW_MS, "tid": "1", "price": "0", "amount": "1", "side": "buy"}],
        [{"date": NOW_MS, "tid": "1", "price": "1", "amount": "-1", "side": "buy"}],
        [{"date": "soon", "tid": "1", "price": "1", "amount": "1"}],
        [{"date": NOW_MS, "price": "1", "amount": "1"}],
        {"a": 1},
    ],
    ids=["no price", "negative", "no time", "no id", "no list"],
)
def test_trades_that_cannot_be_read_are_no_trades(desk: Desk, rows: Any) -> None:
    desk.exchange.quotes(["BTCTRY"])
    desk.submit(desk.order(price="3700001"))
    desk.market.trades = rows
    assert desk.fills() == []
    assert any(entry["event"] == "public_trades_not_read" for entry in desk.rig.log.entries)


def test_an_older_answer_without_sides_is_read(desk: Desk) -> None:
    desk.exchange.quotes(["BTCTRY"])
    desk.submit(desk.order(price="3700001"))
    rows: Sequence[dict[str, Any]] = [{"date": NOW_MS + 9, "tid": "636", "price": "3690000", "amount": "0.0008"}]
    desk.market.trades = list(rows)
    assert desk.fills() == [(Decimal(3700001), Decimal("0.0002"))]
