"""FeedService by example: what comparing with REST does to a book, and what becomes of a trade that the feed tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.stop import StopFlag
from btcbot.adapters.store.memory import MemoryStore
from btcbot.decisions import booking
from btcbot.decisions.book_trust import APART_MS, TrustLimits
from btcbot.domain.feed import AccountEvent, AccountEventKind, FeedBook, FeedView, Top, Wake
from btcbot.domain.ledger import Account, Entry, EntryKind, Posting
from btcbot.domain.market import Quote
from btcbot.errors import VenueUnavailable
from btcbot.ports import StopSignal
from btcbot.services.feed import AWAITED_MS_MAX, CHECKS_PER_CYCLE_MAX, LOOK_AGAIN_MS, FeedService
from btcbot.testing.in_process_rig import ListLog
from btcbot.testing.manual_clock import ManualClock

ONE = Decimal(1)
SYMBOLS = tuple(f"{base}TRY" for base in ("BTC", "ETH", "SOL", "AVAX", "XRP", "ADA", "DOGE"))


def a_quote(symbol: str, bid: str = "99", ask: str = "101", quantity: Decimal = ONE) -> Quote:
    return Quote(
        symbol=symbol,
        bid=Decimal(bid),
        bid_quantity=quantity,
        ask=Decimal(ask),
        ask_quantity=quantity,
        venue_time_ms=0,
        received_at_ms=0,
    )


class Bench:
    """A feed whose books stand at 99/101 since the beginning, and a REST interface that shows the same: until a test
    says otherwise."""

    def __init__(self, symbols: Sequence[str] = ("BTCTRY",)) -> None:
        self.clock = ManualClock()
        self.clock.advance(100)
        self.log, self.metrics, self.store = ListLog(), MemoryMetrics(), MemoryStore()
        self.books = {symbol: self._book(symbol, "99", "101", 1_000) for symbol in symbols}
        self.events: list[AccountEvent] = []
        self.resynced: list[str] = []
        self.waited: list[float] = []
        self.rest: dict[str, Quote] = {symbol: a_quote(symbol) for symbol in symbols}
        self.asked: list[str] = []
        self.is_down = False
        #: The venue's clock, as the client reckons it.
        self.venue_now_ms: int | None = None
        self.silent: set[str] = set()  # pairs of which REST cannot show the book
        anything: Any = self
        self.service = FeedService(
            anything,
            anything,
            self.store,
            self.clock,
            self.metrics,
            self.log,
            TrustLimits(silence_ms_max=15_000, check_ms_max=60_000),
        )

    @property
    def now_ms(self) -> int:
        return self.clock.monotonic_ns() // 1_000_000

    def _book(self, symbol: str, bid: str, ask: str, at_ms: int) -> FeedBook:
        top = Top(at_ms, Decimal(bid), ONE, Decimal(ask), ONE)
        return FeedBook(symbol=symbol, tops=(top,), snapshot_at_ms=at_ms, changed_at_ms=at_ms)

    # the feed
    def view(self) -> FeedView:
        events, self.events = tuple(self.events), []
        return FeedView(
            connection=1,
            alive_at_ms=self.now_ms - 200,
            why_down="",
            is_logged_in=True,
            books=dict(self.books),
            without_book={},
            events=events,
        )

    def resync(self, symbol: str) -> None:
        self.resynced.append(symbol)

    def wait(self, seconds: float, stop: StopSignal, *, for_market: bool = True) -> Wake:
        self.waited.append(seconds)
        return Wake.TIME

    # REST
    def estimated_time_ms(self) -> int | None:
        return self.venue_now_ms

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        self.asked += symbols
        if self.is_down or self.silent & set(symbols):
            raise VenueUnavailable("no answer")
        now_ms = self.clock.now_ms()
        told = {symbol: self.rest[symbol] for symbol in symbols if symbol in self.rest}
        return {symbol: msgspec.structs.replace(quote, received_at_ms=now_ms) for symbol, quote in told.items()}

    def told(self, trade_id: str) -> None:
        event = AccountEvent(kind=AccountEventKind.FILL, received_at_ms=self.now_ms, trade_id=trade_id)
        self.events.append(event)
        self.service.look()

    def distrusted(self, *symbols: str) -> Mapping[str, str]:
        self.service.look()
        return self.service.quotes(symbols or ("BTCTRY",), venue_now_ms=0).distrusted


@pytest.fixture
def bench() -> Bench:
    return Bench()


class TestComparing:
    def test_a_book_is_trusted_once_rest_has_agreed(self, bench: Bench) -> None:
        assert "not yet been compared" in bench.distrusted()["BTCTRY"]

        bench.service.check_due(["BTCTRY"])

        assert bench.distrusted() == {}
        assert bench.metrics.value("btcbot_book_comparisons_total", finding="agrees") == 1

    def test_its_quote_is_as_old_as_the_connections_last_sign_of_life(self, bench: Bench) -> None:
        bench.service.check_due(["BTCTRY"])

        quote = bench.service.quotes(["BTCTRY"], venue_now_ms=5_000_000).quotes["BTCTRY"]

        assert (quote.bid, quote.ask) == (Decimal(99), Decimal(101))
        assert quote.venue_time_ms == 5_000_000 - 200
        assert quote.received_at_ms == bench.clock.now_ms() - 200

    def test_what_differs_is_not_judged_before_the_feed_had_time_to_catch_up(self, bench: Bench) -> None:
        bench.service.check_due(["BTCTRY"])
        bench.rest["BTCTRY"] = a_quote("BTCTRY", "100", "102")
        bench.service.compare(bench.quotes(["BTCTRY"]), bench.now_ms)

        assert bench.distrusted() == {}
        bench.clock.advance(APART_MS / 1_000 + 0.001)
        assert "not yet been compared" in bench.distrusted()["BTCTRY"]

    def test_the_second_difference_in_a_row_costs_the_book(self, bench: Bench) -> None:
        bench.rest["BTCTRY"] = a_quote("BTCTRY", "100", "102")
        for expected in ([], ["BTCTRY"]):
            bench.service.check_due(["BTCTRY"])
            bench.clock.advance(3)
            bench.service.look()
            assert bench.resynced == expected
        assert len(bench.log.events("book_differs_from_rest")) == 2

    def test_an_agreement_in_between_forgives(self, bench: Bench) -> None:
        for bid, ask in (("100", "102"), ("99", "101"), ("100", "102")):
            bench.rest["BTCTRY"] = a_quote("BTCTRY", bid, ask)
            bench.service.compare(bench.quotes(["BTCTRY"]), bench.now_ms)
            bench.clock.advance(3)
            bench.service.look()
        assert bench.resynced == []

    def test_each_book_is_compared_at_the_time_of_its_own_answer(self) -> None:
        """The second answer takes eight seconds; a snapshot that came meanwhile is younger than the first one."""
        bench = Bench(("BTCTRY", "ETHTRY"))
        asked_at_ms = bench.now_ms
        answers = dict(bench.quotes(["BTCTRY"]))
        bench.clock.advance(8)
        answers |= bench.quotes(["ETHTRY"])
        snapshot_at_ms = asked_at_ms + 1_000
        bench.books = {
            symbol: msgspec.structs.replace(book, snapshot_at_ms=snapshot_at_ms) for symbol, book in bench.books.items()
        }

        bench.service.compare(answers, asked_at_ms)

        assert set(bench.distrusted("BTCTRY", "ETHTRY")) == {"BTCTRY"}

    def test_a_quote_without_quantities_says_nothing_about_a_book(self, bench: Bench) -> None:
        """The ticker for all pairs has none, and may be older than any book."""
        bench.service.compare({"BTCTRY": a_quote("BTCTRY", "50", "60", Decimal(0))}, bench.now_ms)
        bench.clock.advance(3)
        bench.service.look()

        assert bench.metrics.value("btcbot_book_comparisons_total", finding="differs") is None

    def test_a_venue_that_does_not_answer_only_puts_it_off(self, bench: Bench) -> None:
        bench.is_down = True
        bench.service.check_due(["BTCTRY"])
        bench.is_down = False
        bench.service.check_due(["BTCTRY"])

        assert bench.asked == ["BTCTRY"] * 2
        assert bench.distrusted() == {}

    def test_one_pair_that_rest_cannot_show_does_not_cost_the_others_their_trust(self) -> None:
        bench = Bench(("BTCTRY", "ETHTRY", "SOLTRY"))
        bench.silent = {"BTCTRY"}

        for _ in range(20):
            bench.service.check_due(["BTCTRY", "ETHTRY", "SOLTRY"])
            bench.clock.advance(5)
        assert set(bench.distrusted("BTCTRY", "ETHTRY", "SOLTRY")) == {"BTCTRY"}

        bench.silent = set()
        bench.service.check_due(["BTCTRY", "ETHTRY", "SOLTRY"])
        assert bench.distrusted("BTCTRY", "ETHTRY", "SOLTRY") == {}

    def test_a_venue_that_shows_no_book_at_all_is_asked_for_two_and_left_in_peace(self) -> None:
        bench = Bench(("BTCTRY", "ETHTRY", "SOLTRY"))
        bench.is_down = True

        bench.service.check_due(["BTCTRY", "ETHTRY", "SOLTRY"])
        assert bench.asked == ["BTCTRY", "ETHTRY"]
        bench.service.check_due(["BTCTRY", "ETHTRY", "SOLTRY"])
        assert bench.asked[2:] == ["SOLTRY", "BTCTRY"], "those that were not asked for come first"

    def test_it_says_of_which_symbols_rest_shows_no_whole_book(self) -> None:
        bench = Bench(("BTCTRY", "ETHTRY"))
        del bench.rest["ETHTRY"]  # one side is empty

        assert bench.service.check_due(["BTCTRY", "ETHTRY"]) == {"ETHTRY"}
        assert set(bench.distrusted("BTCTRY", "ETHTRY")) == {"ETHTRY"}

    def test_one_cycle_asks_for_a_few_and_a_minute_for_thirty(self) -> None:
        bench = Bench(SYMBOLS)

        bench.service.check_due(SYMBOLS)
        assert len(bench.asked) == CHECKS_PER_CYCLE_MAX
        bench.service.check_due(SYMBOLS)
        assert len(bench.asked) == CHECKS_PER_CYCLE_MAX, "nothing was earned meanwhile"
        bench.clock.advance(4)
        bench.service.check_due(SYMBOLS)
        assert sorted(bench.asked) == sorted(SYMBOLS), "one each two seconds"

    def test_it_is_told_once_when_a_book_is_trusted_and_when_not(self, bench: Bench) -> None:
        bench.distrusted()
        bench.service.check_due(["BTCTRY"])
        for _ in range(3):
            bench.distrusted()
        bench.clock.advance(61)
        for _ in range(3):
            bench.distrusted()

        assert [event for event, _ in bench.log.lines] == ["book_not_trusted", "book_trusted", "book_not_trusted"]


class TestConfirming:
    def test_a_book_that_moved_lately_needs_no_comparison(self, bench: Bench) -> None:
        bench.service.check_due(["BTCTRY"])
        bench.asked.clear()

        assert bench.service.confirm(a_quote("BTCTRY"), may_read=True)
        assert bench.asked == []

    def test_a_silent_one_is_compared_first(self, bench: Bench) -> None:
        bench.service.check_due(["BTCTRY"])
        bench.clock.advance(20)
        bench.asked.clear()

        assert bench.service.confirm(a_quote("BTCTRY"), may_read=True)
        assert bench.asked == ["BTCTRY"]
        assert bench.service.confirm(a_quote("BTCTRY"), may_read=False), "the comparison is a fresh one now"

    @pytest.mark.parametrize(
        ("may_read", "is_down", "rest"),
        [(False, False, ("99", "101")), (True, True, ("99", "101")), (True, False, ("100", "102"))],
        ids=["nothing may be read", "REST does not answer", "REST shows something else"],
    )
    def test_and_else_no_order_leaves_on_it(
        self, bench: Bench, may_read: bool, is_down: bool, rest: tuple[str, str]
    ) -> None:
        bench.service.check_due(["BTCTRY"])
        bench.clock.advance(20)
        bench.is_down = is_down
        bench.rest["BTCTRY"] = a_quote("BTCTRY", *rest)

        assert not bench.service.confirm(a_quote("BTCTRY"), may_read=may_read)

    def test_nor_where_rest_shows_one_side_only(self, bench: Bench) -> None:
        bench.service.check_due(["BTCTRY"])
        bench.clock.advance(20)
        bench.rest.clear()

        assert not bench.service.confirm(a_quote("BTCTRY"), may_read=True)

    @pytest.mark.parametrize(("bid", "ask"), [("98", "101"), ("99", "102")])
    def test_nor_at_prices_that_the_book_no_longer_shows(self, bench: Bench, bid: str, ask: str) -> None:
        """A slow answer about another pair may lie between the decision and the order."""
        bench.service.check_due(["BTCTRY"])
        book = bench.books["BTCTRY"]
        moved = Top(bench.now_ms, Decimal(bid), ONE, Decimal(ask), ONE)
        bench.books["BTCTRY"] = msgspec.structs.replace(book, tops=(*book.tops, moved), changed_at_ms=bench.now_ms)

        assert not bench.service.confirm(a_quote("BTCTRY"), may_read=True)
        assert bench.service.confirm(a_quote("BTCTRY", bid, ask), may_read=True)

    def test_nor_on_one_that_is_gone(self, bench: Bench) -> None:
        bench.service.check_due(["BTCTRY"])
        bench.books.clear()

        assert not bench.service.confirm(a_quote("BTCTRY"), may_read=True)


class TestToldTrades:
    def test_the_wait_is_short_until_the_list_shows_what_the_feed_told(self, bench: Bench) -> None:
        bench.told("77")

        assert bench.service.wait(10.0, StopFlag(), for_market=True) is Wake.ACCOUNT
        assert bench.waited == [LOOK_AGAIN_MS / 1_000]

        entry = Entry(
            entry_id=booking.foreign_entry_id("77"),
            kind=EntryKind.FOREIGN,
            at_ms=1,
            postings=(Posting(Account.VENUE, "TRY", ONE), Posting(Account.FOREIGN, "TRY", -ONE)),
            memo="",
        )
        with bench.store.transaction() as tx:
            tx.insert_entry(entry)
        bench.service.reconciled()
        assert bench.service.wait(10.0, StopFlag(), for_market=True) is Wake.TIME
        assert bench.waited[-1] == 10.0

    def test_one_that_is_never_listed_is_told_and_forgotten(self, bench: Bench) -> None:
        bench.told("77")
        bench.clock.advance(AWAITED_MS_MAX / 1_000)
        bench.service.reconciled()
        assert bench.log.events("told_but_not_listed") == []

        bench.clock.advance(0.001)
        bench.service.reconciled()

        (line,) = bench.log.events("told_but_not_listed")
        assert line["trade_id"] == "77"
        assert bench.service.wait(10.0, StopFlag(), for_market=True) is Wake.TIME

    def test_what_is_told_twice_is_awaited_once_and_counts_from_the_first_time(self, bench: Bench) -> None:
        bench.told("77")
        bench.clock.advance(20)
        bench.told("77")
        bench.clock.advance(11)
        bench.service.reconciled()

        assert len(bench.log.events("told_but_not_listed")) == 1

    def test_prices_that_end_every_wait_do_not_put_it_off(self, bench: Bench) -> None:
        bench.told("77")
        assert bench.service.wait(0.6, StopFlag(), for_market=True) is Wake.TIME
        bench.clock.advance(0.6)
        assert bench.service.wait(0.6, StopFlag(), for_market=True) is Wake.ACCOUNT
        assert bench.waited == [0.6, 0.4], "to the second since it was told"
        bench.clock.advance(0.6)
        assert bench.service.wait(0.6, StopFlag(), for_market=True) is Wake.ACCOUNT
        assert len(bench.waited) == 2, "at once, when that has passed"

    def test_nor_is_it_looked_for_without_a_pause(self, bench: Bench) -> None:
        bench.told("77")
        bench.clock.advance(2)
        bench.service.reconciled()

        bench.service.wait(10.0, StopFlag(), for_market=True)
        assert bench.waited == [LOOK_AGAIN_MS / 1_000]

    def test_a_short_wait_stays_what_it_is(self, bench: Bench) -> None:
        bench.told("77")

        assert bench.service.wait(0.5, StopFlag(), for_market=True) is Wake.TIME
        assert bench.waited == [0.5]


def test_a_comparison_of_a_book_that_began_anew_meanwhile_is_void(bench: Bench) -> None:
    bench.rest["BTCTRY"] = a_quote("BTCTRY", "100", "102")
    bench.service.check_due(["BTCTRY"])
    bench.clock.advance(1)
    bench.books["BTCTRY"] = msgspec.structs.replace(bench.books["BTCTRY"], snapshot_at_ms=bench.now_ms)
    bench.clock.advance(3)
    bench.service.look()

    assert bench.metrics.value("btcbot_book_comparisons_total", finding="void") == 1
    assert "not yet been compared" in bench.distrusted()["BTCTRY"]


@pytest.mark.parametrize(("made_ms_ago", "finding"), [(14_900, "agrees"), (15_100, "void")])
def test_an_answer_that_the_venue_made_before_the_book_came_says_nothing_of_it(
    bench: Bench, made_ms_ago: int, finding: str
) -> None:
    """The process stood still before it read it: a new book may agree with it by chance alone."""
    bench.books["BTCTRY"] = bench._book("BTCTRY", "99", "101", bench.now_ms - 5_000)
    bench.venue_now_ms = 1_790_000_000_000
    bench.rest["BTCTRY"] = msgspec.structs.replace(a_quote("BTCTRY"), venue_time_ms=bench.venue_now_ms - made_ms_ago)
    bench.service.check_due(["BTCTRY"])

    assert bench.metrics.value("btcbot_book_comparisons_total", finding=finding) == 1
    assert ("BTCTRY" in bench.distrusted()) is (finding == "void")
