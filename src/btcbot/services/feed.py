"""FeedService: looks at the live feed for the core. Which books may be traded on, and what it tells of our account.

The feed is believed only where REST agrees. Its books are compared with REST in turn, a few each cycle; whatever a
quote is made from, the cycle says. What it tells of our account is never booked: it is logged at once and brings the
next comparison with the venue's lists forward, and those lists are the truth. So a lost, doubled, early or invented
event changes nothing but when we look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from btcbot.decisions import book_trust, booking
from btcbot.decisions.book_trust import Comparison, Finding, TrustLimits
from btcbot.domain.feed import AccountEvent, AccountEventKind, FeedView, Wake
from btcbot.domain.market import Quote
from btcbot.errors import VenueUnavailable
from btcbot.ports import Clock, Exchange, Log, MarketFeed, Metrics, StateStore, StopSignal

#: One pair that REST cannot show is that pair's trouble; so many in one turn are the venue's, which is left in peace.
UNANSWERED_MAX: Final = 2
#: Order-book requests for comparisons: at most so many a minute, and so many in one cycle.
CHECKS_PER_MINUTE_MAX: Final = 30
CHECKS_PER_CYCLE_MAX: Final = 5
#: A book that differs once is not traded on until REST agrees again; one that differs so often is thrown away.
DIFFERS_MAX: Final = 2
#: What is news to whoever reads the log; the rest is there for those who look closer.
NEWS: Final = frozenset({AccountEventKind.FILL, AccountEventKind.MATCH, AccountEventKind.DELETED})
#: A trade that the feed told and the list does not show yet is looked for so often, and so long.
LOOK_AGAIN_MS: Final = 1_000
AWAITED_MS_MAX: Final = 30_000
AWAITED_MAX: Final = 1_000


def books_compared_max(check_seconds: int, cycle_seconds: float) -> int:
    """How many books REST can be asked for before what it said of the first of them is no longer believed."""
    in_time, in_cycles = CHECKS_PER_MINUTE_MAX * check_seconds // 60, int(check_seconds // cycle_seconds)
    return min(in_time, CHECKS_PER_CYCLE_MAX * in_cycles)


class FeedQuotes(msgspec.Struct, frozen=True, kw_only=True):
    """Quotes of the symbols whose books may be traded on, and why the others' may not."""

    quotes: Mapping[str, Quote]
    distrusted: Mapping[str, str]


class FeedService:
    """One for each bot with a feed. All of its methods belong to the core's thread."""

    def __init__(
        self,
        feed: MarketFeed,
        exchange: Exchange,
        store: StateStore,
        clock: Clock,
        metrics: Metrics,
        log: Log,
        limits: TrustLimits,
    ) -> None:
        self._feed = feed
        self._exchange = exchange
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._limits = limits
        self._view = feed.view()
        #: When REST last agreed with the book that is shown now, by symbol.
        self._compared_at_ms: dict[str, int] = {}
        self._pending: dict[str, Comparison] = {}
        self._differed: dict[str, int] = {}
        #: When REST last failed to answer for a symbol, by symbol; gone once it answers.
        self._unanswered_at_ms: dict[str, int] = {}
        self._told: dict[str, str | None] = {}
        self._awaited: dict[str, AccountEvent] = {}
        self._look_again_at_ms = 0
        self._checks_left = CHECKS_PER_CYCLE_MAX
        self._checks_counted_at_ms = self._now_ms()

    # -- books -------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Take over what the feed shows now, and what comparisons that were still open come to."""
        self._view = view = self._feed.view()
        for event in view.events:
            self._note(event)
        for symbol, pending in list(self._pending.items()):
            self._judge(pending)
            if view.books.get(symbol) is None:
                self._pending.pop(symbol, None)

    def quotes(self, symbols: Sequence[str], venue_now_ms: int) -> FeedQuotes:
        """Best prices of the books that may be traded on; as old as the connection's last sign of life."""
        now_ms, view = self._now_ms(), self._view
        quotes: dict[str, Quote] = {}
        distrusted: dict[str, str] = {}
        for symbol in symbols:
            why = self._distrust(symbol)
            self._tell(symbol, why)
            if why is not None:
                distrusted[symbol] = why
                continue
            assert view.alive_at_ms is not None, "a book is trusted on a living connection only"
            top, age_ms = view.books[symbol].top, now_ms - view.alive_at_ms
            quotes[symbol] = Quote(
                symbol=symbol,
                bid=top.bid,
                bid_quantity=top.bid_quantity,
                ask=top.ask,
                ask_quantity=top.ask_quantity,
                venue_time_ms=venue_now_ms - age_ms,
                received_at_ms=self._clock.now_ms() - age_ms,
            )
        return FeedQuotes(quotes=quotes, distrusted=distrusted)

    def compare(self, quotes: Mapping[str, Quote], asked_at_ms: int) -> None:
        """Hold best prices that REST has just told against the books of the feed. `asked_at_ms` is monotonic, and
        of the first of them."""
        now_ms, wall_ms, venue_ms = self._now_ms(), self._clock.now_ms(), self._exchange.estimated_time_ms()
        self.look()  # what the feed sent while REST answered belongs to the same moment
        for symbol, quote in quotes.items():  # in the order in which they were asked for, one after the other
            answered_at_ms = now_ms - max(wall_ms - quote.received_at_ms, 0)
            began_at_ms, asked_at_ms = min(asked_at_ms, answered_at_ms), answered_at_ms
            # A quote of the ticker for all pairs has no quantities, and may be older than any book.
            if symbol in self._view.books and quote.bid_quantity and quote.ask_quantity:
                made_at_ms = answered_at_ms if venue_ms is None else now_ms - (venue_ms - quote.venue_time_ms)
                self._pending[symbol] = comparison = Comparison(
                    symbol=symbol,
                    bid=quote.bid,
                    ask=quote.ask,
                    asked_at_ms=began_at_ms,
                    answered_at_ms=answered_at_ms,
                    made_at_ms=made_at_ms,
                )
                self._judge(comparison)

    def check_due(self, symbols: Sequence[str]) -> frozenset[str]:
        """Compare the books whose turn it is, as far as requests allow. A venue in trouble only puts it off.

        Symbols of which REST has shown no whole book at this occasion: one side is empty, or it cannot be read.
        """
        without_book: set[str] = set()
        unanswered = 0
        now_ms = self._now_ms()
        earned = (now_ms - self._checks_counted_at_ms) * CHECKS_PER_MINUTE_MAX // 60_000
        if earned:
            self._checks_left = min(self._checks_left + earned, CHECKS_PER_CYCLE_MAX)
            self._checks_counted_at_ms = now_ms
        due = book_trust.due(symbols, self._view, self._compared_at_ms, self._limits, now_ms)
        # One that REST did not answer for lets the others go first: it must not cost them their trust as well.
        for symbol in sorted(due, key=lambda symbol: self._unanswered_at_ms.get(symbol, -1)):
            if symbol in self._pending:
                continue
            if not self._checks_left:
                break
            self._checks_left -= 1
            told = self._check(symbol)
            if told is None:
                unanswered += 1
                if unanswered == UNANSWERED_MAX:
                    break
            elif symbol not in told:
                without_book.add(symbol)
        return frozenset(without_book)

    def confirm(self, quote: Quote, *, may_read: bool) -> bool:
        """Whether an order may leave at this very moment on a quote that was made from a book a while ago.

        It may not where the best prices are other ones by now: what was decided on the old ones has to be decided anew,
        and their change wakes the cycle that does. A pair that has been silent is compared with REST first; where
        nothing may be read, it waits for a cycle that may.
        """
        self.look()
        if not self._still_shows(quote):
            return False
        symbol = quote.symbol
        book = self._view.books[symbol]
        if not book_trust.is_silent(book, self._compared_at_ms[symbol], self._limits, self._now_ms()):
            return True
        if not may_read or symbol not in (self._check(symbol) or ()):
            return False
        return symbol not in self._pending and self._still_shows(quote)

    def _still_shows(self, quote: Quote) -> bool:
        if self._distrust(quote.symbol) is not None:
            return False
        top = self._view.books[quote.symbol].top
        return top.bid == quote.bid and top.ask == quote.ask

    def _check(self, symbol: str) -> Mapping[str, Quote] | None:
        """Ask REST for one book, and compare; what it told, None when it does not answer."""
        asked_at_ms = self._now_ms()
        try:
            quotes = self._exchange.quotes([symbol])
        except VenueUnavailable as unavailable:
            self._log.warning("book_not_compared", symbol=symbol, why=unavailable.reason)
            self._unanswered_at_ms[symbol] = self._now_ms()
            return None
        self._unanswered_at_ms.pop(symbol, None)
        self.compare(quotes, asked_at_ms)
        return quotes

    def _judge(self, comparison: Comparison) -> None:
        symbol, book = comparison.symbol, self._view.books.get(comparison.symbol)
        if book is None:
            return
        finding = book_trust.compare(comparison, book, self._now_ms())
        if finding is Finding.TOO_EARLY:
            return
        self._pending.pop(symbol, None)
        self._metrics.count("btcbot_book_comparisons_total", finding=finding.value)
        if finding is Finding.AGREES:
            self._differed.pop(symbol, None)
            self._compared_at_ms[symbol] = max(comparison.answered_at_ms, book.snapshot_at_ms)
        elif finding is Finding.DIFFERS:
            self._compared_at_ms.pop(symbol, None)
            self._differed[symbol] = times = self._differed.get(symbol, 0) + 1
            self._log.warning(
                "book_differs_from_rest",
                symbol=symbol,
                rest=f"{comparison.bid}/{comparison.ask}",
                feed=f"{book.top.bid}/{book.top.ask}",
            )
            if times >= DIFFERS_MAX:
                del self._differed[symbol]
                self._feed.resync(symbol)

    def _distrust(self, symbol: str) -> str | None:
        return book_trust.distrust(symbol, self._view, self._compared_at_ms, self._limits, self._now_ms())

    def _tell(self, symbol: str, why: str | None) -> None:
        """One line for each change, none for each look; the numbers in a reason change and are no news."""
        self._metrics.gauge("btcbot_book_trusted", int(why is None), symbol=symbol)
        if symbol not in self._told or (self._told[symbol] is None) != (why is None):
            if why is None:
                self._log.info("book_trusted", symbol=symbol)
            else:
                tell = self._log.warning if symbol in self._told else self._log.info  # a start trusts nothing yet
                tell("book_not_trusted", symbol=symbol, why=why)
        self._told[symbol] = why

    # -- our account -------------------------------------------------------------------------------------------------

    def _note(self, event: AccountEvent) -> None:
        self._metrics.count("btcbot_feed_account_events_total", kind=event.kind.value)
        tell = self._log.info if event.kind in NEWS else self._log.debug
        tell(
            "told_by_feed",
            kind=event.kind.value,
            symbol=event.symbol,
            client_order_id=event.client_order_id,
            venue_order_id=event.venue_order_id,
            trade_id=event.trade_id,
        )
        if event.trade_id is not None and len(self._awaited) < AWAITED_MAX:
            if not self._awaited:
                self._look_again_soon()
            self._awaited.setdefault(event.trade_id, event)

    def reconciled(self) -> None:
        """The venue's lists have just been read: which trades that the feed told are still missing from them?"""
        for trade_id, event in list(self._awaited.items()):
            if self._store.has_fill(trade_id) or self._store.has_entry(booking.foreign_entry_id(trade_id)):
                del self._awaited[trade_id]
            elif self._now_ms() - event.received_at_ms > AWAITED_MS_MAX:
                # Of another hand's order, or never true: whichever, the lists are what is booked.
                del self._awaited[trade_id]
                self._log.warning("told_but_not_listed", trade_id=trade_id, client_order_id=event.client_order_id)

        if self._awaited:
            self._look_again_soon()

    def _look_again_soon(self) -> None:
        self._look_again_at_ms = self._now_ms() + LOOK_AGAIN_MS

    def wait(self, seconds: float, stop: StopSignal, *, for_market: bool) -> Wake:
        """As the feed's own, and back in time to look again for a trade that the lists have yet to show."""
        left_s = (self._look_again_at_ms - self._now_ms()) / 1_000
        if not self._awaited or seconds < left_s:
            return self._feed.wait(seconds, stop, for_market=for_market)
        if left_s <= 0:
            return Wake.ACCOUNT  # however often prices have ended a wait meanwhile
        wake = self._feed.wait(left_s, stop, for_market=for_market)
        return Wake.ACCOUNT if wake is Wake.TIME else wake

    def start(self) -> None:
        self._feed.start()

    def close(self) -> None:
        self._feed.close()

    @property
    def view(self) -> FeedView:
        """What the last look saw."""
        return self._view

    def _now_ms(self) -> int:
        return self._clock.monotonic_ns() // 1_000_000
