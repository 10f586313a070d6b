"""The venue of a backtest on recorded quotes and public trades: the same matching as in paper, on recorded time.

The engine moves its clock and calls `play_to`; between two calls the market stands still. At one millisecond, trades
come before quotes: what a quote shows, the trades before it have left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from btcbot.adapters.paper.exchange import VenueAccount
from btcbot.adapters.paper.matching import Level, MarketTrade, PaperOrder
from btcbot.adapters.paper.records import MemoryRecords
from btcbot.adapters.paper.venue import QuoteFillRules
from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Side
from btcbot.domain.market import Quote
from btcbot.domain.outcomes import Canceled, CancelOutcome
from btcbot.domain.permit import PermitScope
from btcbot.ports import Clock, VenueHealth

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from btcbot.adapters.replay.tables import QuoteColumns, TradeColumns

NEVER: Final = 1 << 62
#: Rows looked at in one go while the next that matters is searched for.
_STRIDE: Final = 1_024
_HEALTH: Final = VenueHealth(clock_skew_ms=0)


class _Lane:
    """One symbol's recording and how far it was played: the numbers of the next rows, and of those still to come on the
    way to where time is going that may change anything for our orders."""

    __slots__ = ("instrument", "next_quote", "next_trade", "quote", "quote_rows", "quotes", "trade_rows", "trades")

    def __init__(self, quotes: QuoteColumns, trades: TradeColumns | None, instrument: Instrument) -> None:
        self.quotes = quotes
        self.trades = trades
        self.instrument = instrument
        self.next_quote = 0
        self.next_trade = 0
        self.quote: Quote | None = None
        #: Newest first, to be taken from the end.
        self.quote_rows: list[int] = []
        self.trade_rows: list[int] = []

    def next_ms(self) -> int:
        """Time of the next row that may change anything; `NEVER` without one."""
        quote_ms = int(self.quotes.time_ms[self.quote_rows[-1]]) if self.quote_rows else NEVER
        return min(quote_ms, self.next_trade_ms())

    def next_trade_ms(self) -> int:
        """Of the trades among them."""
        if not self.trade_rows or self.trades is None:
            return NEVER
        return int(self.trades.time_ms[self.trade_rows[-1]])


class ReplayQuoteVenue(VenueAccount):
    """`Exchange` over recorded quotes and trades. `opening` is what the account holds, by asset."""

    def __init__(
        self,
        clock: Clock,
        quotes: Mapping[str, QuoteColumns],
        trades: Mapping[str, TradeColumns],
        instruments: Mapping[str, Instrument],
        opening: Mapping[str, Decimal],
        rules: QuoteFillRules,
        *,
        scope: PermitScope = PermitScope.VENUE,
    ) -> None:
        super().__init__(MemoryRecords(opening), rules, clock, scope)
        self._rules = rules
        self._pairs = instruments
        self._lanes = {symbol: _Lane(quotes[symbol], trades.get(symbol), instruments[symbol]) for symbol in quotes}
        self._last_stamp_ms = 0
        times = [columns.time_ms for columns in quotes.values() if len(columns)]
        self.first_quote_ms = min((int(column[0]) for column in times), default=NEVER)
        self.last_quote_ms = max((int(column[-1]) for column in times), default=0)

    # -- the market ----------------------------------------------------------------------------------------------------

    def play_to(self, now_ms: int) -> None:
        """Let everything happen that was recorded at or before `now_ms`."""
        for lane in self._lanes.values():
            self._plan(lane, now_ms)
        while True:
            # One clock for all symbols, so that fills are listed in the order of time.
            lane = min(self._lanes.values(), key=_Lane.next_ms)
            if lane.next_ms() == NEVER:
                break
            self._step(lane, now_ms)
        for lane in self._lanes.values():
            self._arrive(lane, now_ms)
        self._venue.commit()

    def next_fill_ms(self) -> int:
        """A moment before which no open order is filled; `NEVER` where the rest of the recording fills none."""
        found = NEVER
        for order in self._venue.open_paper_orders():
            lane = self._lanes[order.symbol]
            found = min(found, _first_reach(order, lane))
        return found

    def _plan(self, lane: _Lane, now_ms: int) -> None:
        """Which rows until then matter: those that reach an order's price, that show its queue, or that show that a
        level of which we took something has gone. All others change nothing and are passed over."""
        pair = self._venue.pair(lane.instrument.symbol)
        lane.quote_rows, lane.trade_rows = [], []
        if pair is None or not (pair.resting or pair.taken):
            return
        quotes, trades = lane.quotes, lane.trades
        first, last = lane.next_quote, int(quotes.time_ms.searchsorted(now_ms, side="right"))
        bids, asks = quotes.bid[first:last], quotes.ask[first:last]
        buys, sells = ([one for one in pair.resting if one.side is side] for side in Side)
        matters = bids != bids  # none, so far
        for order in buys:
            limit = _units(order, quotes.price_scale)
            matters |= asks <= limit if order.ahead is not None else (asks <= limit) | (bids <= limit)
        for order in sells:
            limit = _units(order, quotes.price_scale)
            matters |= bids >= limit if order.ahead is not None else (bids >= limit) | (asks >= limit)
        for side, price, _ in pair.taken:
            level = int(price.scaleb(quotes.price_scale))
            matters |= bids < level if side is Side.BUY else asks > level
        # A row that can be no book matters to nobody: going to it would pass over what stood before it.
        matters &= (bids > 0) & (asks > bids)
        lane.quote_rows = (matters.nonzero()[0][::-1] + first).tolist()
        if trades is None or not pair.resting:
            return
        first, last = lane.next_trade, int(trades.time_ms.searchsorted(now_ms, side="right"))
        prices = trades.price[first:last]
        matters = prices != prices
        if buys:
            matters |= prices <= max(_units(order, trades.price_scale) for order in buys)
        if sells:
            matters |= prices >= min(_units(order, trades.price_scale) for order in sells)
        lane.trade_rows = (matters.nonzero()[0][::-1] + first).tolist()

    def _step(self, lane: _Lane, now_ms: int) -> None:
        """The next row of a lane that matters; at one millisecond the trade."""
        trade_ms = lane.next_trade_ms()
        if trade_ms == lane.next_ms():
            assert lane.trades is not None, "it has a trade"
            index = lane.trade_rows.pop()
            lane.next_trade = index + 1
            self._venue.trade(lane.instrument, _trade(lane.trades, index, trade_ms), trade_ms)
            return
        index = lane.quote_rows.pop()
        lane.next_quote = index + 1
        waiting = self._without_queue(lane)
        if self._show(lane, index) or self._without_queue(lane) != waiting:
            self._plan(lane, now_ms)  # what was taken has to be seen to go, and a queue that is known needs no look

    def _without_queue(self, lane: _Lane) -> int:
        """How many orders wait for a look at their queue."""
        pair = self._venue.pair(lane.instrument.symbol)
        return 0 if pair is None else sum(order.ahead is None for order in pair.resting)

    def _arrive(self, lane: _Lane, now_ms: int) -> None:
        """Nothing that mattered is left: the book stands as the last quote shows it, or the last that can be one."""
        quotes, first = lane.quotes, lane.next_quote
        last = int(quotes.time_ms.searchsorted(now_ms, side="right"))
        if last > first:
            self._show(lane, last - 1)
            if lane.quote is not None and not lane.quote.is_sane:
                bids, asks = quotes.bid[first:last], quotes.ask[first:last]
                sane = ((bids > 0) & (asks > bids)).nonzero()[0]
                if len(sane):
                    newest = lane.quote
                    self._show(lane, first + int(sane[-1]))
                    lane.quote = newest
            lane.next_quote = last
        if lane.trades is not None:
            lane.next_trade = int(lane.trades.time_ms.searchsorted(now_ms, side="right"))

    def _show(self, lane: _Lane, index: int) -> int:
        """The book as this row shows it; how many fills that brought."""
        lane.quote = quote = self._quote(lane, index)
        if not quote.is_sane:
            return 0  # crossed or empty: nobody could have traded with it
        bids, asks = (Level(quote.bid, quote.bid_quantity),), (Level(quote.ask, quote.ask_quantity),)
        return self._venue.show(lane.instrument, bids, asks, quote.venue_time_ms)

    def _quote(self, lane: _Lane, index: int) -> Quote:
        quotes, instrument = lane.quotes, lane.instrument
        bid, ask = (Decimal(int(column[index])).scaleb(-quotes.price_scale) for column in (quotes.bid, quotes.ask))
        bid_quantity, ask_quantity = (
            (Decimal(int(column[index])).scaleb(-quotes.quantity_scale) if column is not None else money.ZERO)
            or self._unshown(price, instrument)
            for price, column in ((bid, quotes.bid_quantity), (ask, quotes.ask_quantity))
        )
        at_ms = int(quotes.time_ms[index])
        return Quote(
            symbol=instrument.symbol,
            bid=bid,
            bid_quantity=bid_quantity,
            ask=ask,
            ask_quantity=ask_quantity,
            venue_time_ms=at_ms,
            received_at_ms=at_ms,
        )

    def _unshown(self, price: Decimal, instrument: Instrument) -> Decimal:
        """What is taken to stand at a price where the recording does not tell."""
        if price <= 0:
            return money.ZERO
        return money.divide_down(self._rules.value_unshown, price, instrument.quantity_scale)

    # -- Exchange: the public half -------------------------------------------------------------------------------------

    def venue_time_ms(self) -> int:
        return self._clock.now_ms()

    def estimated_time_ms(self) -> int | None:
        return self._clock.now_ms()

    def instruments(self) -> Mapping[str, Instrument]:
        return self._pairs

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """The last recorded quote of each symbol, with its own time; one that has none so far is left out."""
        wanted = (self._lanes.get(symbol) for symbol in symbols)
        return {lane.instrument.symbol: lane.quote for lane in wanted if lane is not None and lane.quote is not None}

    def take_stamp(self) -> int:
        self._last_stamp_ms = max(self._clock.now_ms(), self._last_stamp_ms + 1)
        return self._last_stamp_ms

    def health(self) -> VenueHealth:
        return _HEALTH

    def close(self) -> None:
        """Nothing is held."""

    # -- what a kind of venue does its own way -------------------------------------------------------------------------

    def _now_ms(self) -> int:
        return self._clock.now_ms()

    def _listed(self) -> Mapping[str, Instrument]:
        return self._pairs

    def _catch_up(self, *, may_read: bool) -> None:
        """Time moves by `play_to` alone."""

    def _canceled(self, executed_quantity: Decimal) -> CancelOutcome:
        return Canceled(executed_quantity=executed_quantity)


def _units(order: PaperOrder, scale: int) -> int:
    """The order's price in units of a column, rounded to where it reaches as much: what is beyond cannot be traded."""
    scaled = order.price.scaleb(scale)
    return int(money.round_floor(scaled, 0) if order.side is Side.BUY else money.round_up(scaled, 0))


def _trade(trades: TradeColumns, index: int, at_ms: int) -> MarketTrade:
    taker = None
    if trades.is_buyer_maker is not None:
        taker = Side.SELL if trades.is_buyer_maker[index] else Side.BUY
    return MarketTrade(
        at_ms,
        Decimal(int(trades.price[index])).scaleb(-trades.price_scale),
        Decimal(int(trades.quantity[index])).scaleb(-trades.quantity_scale),
        taker,
    )


def _first_reach(order: PaperOrder, lane: _Lane) -> int:
    """Time of the first row to come that reaches the order's price."""
    quotes, trades = lane.quotes, lane.trades
    is_buy = order.side is Side.BUY
    found = _first(quotes.time_ms, quotes.ask if is_buy else quotes.bid, order, quotes.price_scale, lane.next_quote)
    if trades is not None:
        found = min(found, _first(trades.time_ms, trades.price, order, trades.price_scale, lane.next_trade))
    return found


def _first(times: npt.NDArray[np.int64], prices: npt.NDArray[np.int64], order: PaperOrder, scale: int, at: int) -> int:
    """Time of the first price from row `at` on that the order could trade at; looked for in growing strides."""
    limit = _units(order, scale)
    stride = _STRIDE
    while at < len(prices):
        part = prices[at : at + stride]
        hits = part <= limit if order.side is Side.BUY else part >= limit
        index = int(hits.argmax())
        if hits[index]:
            return int(times[at + index])
        at += stride
        stride *= 2
    return NEVER
