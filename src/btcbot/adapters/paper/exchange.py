"""The port `Exchange` over a venue of our own: the account's half, and for paper the public half of the real one.

Of the real venue's client only public reads are kept, so that even a mistake in here could not reach an order there
(I13); its permits are those of the simulation, which no real venue takes. Whatever is told to the bot was kept first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from btcbot.adapters.paper.matching import Level, Levels, MarketTrade
from btcbot.adapters.paper.records import Records
from btcbot.adapters.paper.venue import QuoteFillRules, Venue, row_of
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.fills import VenueTrade
from btcbot.domain.instrument import Instrument
from btcbot.domain.market import Quote
from btcbot.domain.orders import Order
from btcbot.domain.outcomes import (
    CancelOutcome,
    CancelRequested,
    InDoubt,
    NotSent,
    Refused,
    SubmitOutcome,
)
from btcbot.domain.permit import Permit, PermitScope, WriteKind
from btcbot.domain.venue import Transfer, VenueOrder
from btcbot.errors import StoreFailed, VenueUnavailable
from btcbot.ports import Clock, Exchange, Log, VenueHealth

#: From one look at a pair's public trades over REST to the next, where no feed tells them.
BACK_FILL_MS: Final = 2_000
NO_SUCH_ORDER: Final = "NO_ORDER_MATCHES_YOUR_REQUEST"
TOO_OLD: Final = "its permit is too old: the gates would have to be asked again"


class VenueAccount(ABC):
    """The account's half of `Exchange` over a `Venue`. `scope` is that of the permits it takes."""

    def __init__(self, records: Records, rules: QuoteFillRules, clock: Clock, scope: PermitScope) -> None:
        self._records = records
        self._venue = Venue(records, rules)
        self._clock = clock
        self._scope = scope

    # -- what a kind of venue does its own way -------------------------------------------------------------------------

    @abstractmethod
    def _now_ms(self) -> int:
        """The venue's time."""

    @abstractmethod
    def _listed(self) -> Mapping[str, Instrument]:
        """The pairs as they are known, without asking."""

    @abstractmethod
    def _catch_up(self, *, may_read: bool) -> None:
        """Let everything happen that has happened at the market until now, and keep it. Raises StoreFailed."""

    @abstractmethod
    def _canceled(self, executed_quantity: Decimal) -> CancelOutcome:
        """What is said to a cancellation that succeeded."""

    # -- private reads -------------------------------------------------------------------------------------------------

    def balances(self) -> AccountSnapshot:
        asked_at_ms = self._clock.now_ms()
        self._catch_up(may_read=True)
        return AccountSnapshot(
            balances=dict(self._venue.balances), asked_at_ms=asked_at_ms, received_at_ms=self._clock.now_ms()
        )

    def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        self._catch_up(may_read=True)
        return self._venue.open_orders(symbol)

    def all_orders(self, symbol: str, since_ms: int) -> Sequence[VenueOrder]:
        self._catch_up(may_read=True)
        return [row_of(order) for order in self._records.orders(symbol, since_ms)]

    def order(self, venue_order_id: str) -> VenueOrder | None:
        self._catch_up(may_read=True)
        found = self._records.order(venue_order_id)
        return None if found is None else row_of(found)

    def trades(self, since_ms: int) -> Sequence[VenueTrade]:
        self._catch_up(may_read=True)
        return self._records.trades(since_ms)

    def trades_of(self, venue_order_id: str) -> Sequence[VenueTrade]:
        self._catch_up(may_read=True)
        return self._records.trades_of(venue_order_id)

    def transfers(self, since_ms: int) -> Sequence[Transfer]:
        return ()

    # -- writes --------------------------------------------------------------------------------------------------------

    def submit(self, order: Order, permit: Permit) -> SubmitOutcome:
        """Take it in, or refuse it. InvariantBroken only for a caller's mistake: permit, or an id that came before."""
        permit.demand(WriteKind.SUBMIT, self._scope, order.client_order_id)
        if not permit.is_fresh(self._clock.monotonic_ns() // 1_000_000):
            return NotSent(why=TOO_OLD)
        instrument = self._listed().get(order.symbol)
        if instrument is None:
            return Refused(code="FAILED_ORDER_PARAMETER", message=f"{order.symbol} is not listed")
        try:
            self._catch_up(may_read=False)  # what happened before it came is nothing to it
            made = self._venue.submit(order, instrument, self._now_ms())
            self._venue.commit()
        except StoreFailed as failed:
            return InDoubt(why=str(failed))
        return made

    def cancel(self, order: Order, permit: Permit) -> CancelOutcome:
        """Take it out at once. InvariantBroken only for a caller's mistake."""
        permit.demand(WriteKind.CANCEL, self._scope, order.client_order_id)
        if not permit.is_fresh(self._clock.monotonic_ns() // 1_000_000):
            return NotSent(why=TOO_OLD)
        try:
            self._catch_up(may_read=False)
            executed = self._venue.cancel(order, self._now_ms())
            self._venue.commit()
        except StoreFailed as failed:
            return InDoubt(why=str(failed))
        return Refused(code=NO_SUCH_ORDER) if executed is None else self._canceled(executed)

    @property
    def fees(self) -> Decimal:
        """Charged in all, tax included."""
        return self._venue.fees


class PaperExchange(VenueAccount):
    """`Exchange` for paper: the public half of `public`, and an account of our own.

    `read_trades` asks the real venue for a pair's last public trades (VenueUnavailable where it does not answer); it is
    asked only for pairs with open orders whose trades no feed tells. `take_over` is called before anything is decided:
    a feed hands over through `see` what it has seen until then.
    """

    def __init__(
        self,
        public: Exchange,
        records: Records,
        rules: QuoteFillRules,
        *,
        clock: Clock,
        log: Log,
        read_trades: Callable[[str], Sequence[MarketTrade]],
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(records, rules, clock, PermitScope.SIMULATION)
        self._venue_time_ms: Callable[[], int] = public.venue_time_ms
        self._estimated_time_ms: Callable[[], int | None] = public.estimated_time_ms
        self._instruments: Callable[[], Mapping[str, Instrument]] = public.instruments
        self._quotes: Callable[[Sequence[str]], Mapping[str, Quote]] = public.quotes
        self._health: Callable[[], VenueHealth] = public.health
        self._close: Callable[[], None] = public.close
        self._read_trades = read_trades
        self._on_close = on_close
        self._log = log
        self._known: Mapping[str, Instrument] = {}
        self._last_stamp_ms = 0
        self._is_closed = False
        self._asked_at_ms: dict[str, int] = {}
        self.take_over: Callable[[], None] = lambda: None
        #: Pairs whose books and trades a feed tells at present: REST is not needed for what fills their orders.
        self.fed_symbols: frozenset[str] = frozenset()

    # -- the public half -----------------------------------------------------------------------------------------------

    def venue_time_ms(self) -> int:
        return self._venue_time_ms()

    def estimated_time_ms(self) -> int | None:
        return self._estimated_time_ms()

    def instruments(self) -> Mapping[str, Instrument]:
        listed = self._instruments()
        if listed is not self._known:
            self._known = listed
            self._venue.list_pairs(listed)
        return listed

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """As the real venue tells them; where no feed shows the book, they are the market that orders here meet."""
        quotes = self._quotes(symbols)
        for symbol, quote in quotes.items():
            if symbol not in self.fed_symbols and quote.is_sane:
                bids, asks = (Level(quote.bid, quote.bid_quantity),), (Level(quote.ask, quote.ask_quantity),)
                self._show(symbol, bids, asks)
        self._venue.commit_fills()
        return quotes

    def take_stamp(self) -> int:
        self._last_stamp_ms = max(self._estimated_time_ms() or self._venue_time_ms(), self._last_stamp_ms + 1)
        return self._last_stamp_ms

    def health(self) -> VenueHealth:
        return self._health()

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._venue.commit()
        except StoreFailed as failed:
            self._log.error("paper_venue_not_kept", why=str(failed))
        self._records.close()
        self._on_close()
        self._close()

    # -- the market ----------------------------------------------------------------------------------------------------

    def see(self, symbol: str, trades: Iterable[MarketTrade], books: Iterable[tuple[Levels, Levels]]) -> None:
        """What a feed has seen of a pair since the last time: public trades, then books (bids, asks), oldest first."""
        instrument = self._known.get(symbol)
        if instrument is None:
            return
        self._venue.trades(instrument, trades, self._now_ms())
        for bids, asks in books:
            self._show(symbol, bids, asks)

    def keep(self) -> Sequence[VenueTrade]:
        """Keep what `see` brought; the new fills. Raises StoreFailed."""
        return self._venue.commit_fills()

    def newest_trade_ms(self, symbol: str) -> int:
        """Venue time of the newest public trade that was used."""
        return self._venue.newest_trade_ms(symbol)

    def _show(self, symbol: str, bids: Levels, asks: Levels) -> None:
        instrument = self._known.get(symbol)
        if instrument is not None:
            self._venue.show(instrument, bids, asks, self._now_ms())

    def _now_ms(self) -> int:
        return self._estimated_time_ms() or self._clock.now_ms()

    def _listed(self) -> Mapping[str, Instrument]:
        return self._known

    def _catch_up(self, *, may_read: bool) -> None:
        self.take_over()
        if may_read:
            self._back_fill()
        self._venue.commit_fills()

    def _back_fill(self) -> None:
        """Public trades over REST, for open orders whose pairs no feed tells of now. Trouble only puts it off."""
        now_ms = self._clock.monotonic_ns() // 1_000_000
        wanting = self._venue.open_symbols - self.fed_symbols
        for symbol in sorted(wanting, key=lambda one: (self._asked_at_ms.get(one, 0), one)):
            instrument, asked_at_ms = self._known.get(symbol), self._asked_at_ms.get(symbol)
            if instrument is None or (asked_at_ms is not None and now_ms - asked_at_ms < BACK_FILL_MS):
                continue
            self._asked_at_ms[symbol] = now_ms
            try:
                trades = self._read_trades(symbol)
            except VenueUnavailable as unavailable:
                self._log.warning("public_trades_not_read", symbol=symbol, why=unavailable.reason)
                return
            self._venue.trades(instrument, trades, self._now_ms())

    def _canceled(self, executed_quantity: Decimal) -> CancelOutcome:
        return CancelRequested()  # as BtcTurk says it: the lists have the last word
