"""One symbol of a venue that plays bars: where it stands in them, what it quotes, and what a bar gives an order."""

from __future__ import annotations

from decimal import Decimal

from btcbot.adapters.replay import fills
from btcbot.adapters.replay.columns import BarColumns, BarRows, Cursor
from btcbot.adapters.replay.fills import FillRules
from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Side
from btcbot.domain.market import NOT_TOLD, Quote
from btcbot.domain.orders import Order


class Resting:
    """An order at this venue."""

    __slots__ = ("filled", "from_bar", "is_buy", "is_taker", "left", "limit", "locked", "order", "venue_order_id")

    def __init__(self, order: Order, venue_order_id: str, lane: BarLane, locked: Decimal) -> None:
        quote = lane.quote()
        self.order = order
        self.venue_order_id = venue_order_id
        self.is_buy = order.side is Side.BUY
        #: In units of the columns.
        self.limit = lane.limit_of(order)
        #: The next bar that may fill it.
        self.from_bar = lane.cursor.at + 1
        #: It could trade on arrival, and the next open has not been seen yet.
        self.is_taker = order.price >= quote.ask if self.is_buy else order.price <= quote.bid
        self.left = order.quantity
        self.filled = money.ZERO
        self.locked = locked


class BarLane(BarRows):
    """One symbol's bars and the clock's place in them, which it may share with other symbols."""

    __slots__ = (
        "_at_touch",
        "_half_spread",
        "_is_exact",
        "_price_scale",
        "_quote",
        "_quoted_at",
        "_share",
        "_tick",
        "bars",
        "cursor",
        "instrument",
    )

    def __init__(self, bars: BarColumns, instrument: Instrument, rules: FillRules, cursor: Cursor) -> None:
        super().__init__(bars)
        self.bars = bars
        self.instrument = instrument
        self.cursor = cursor
        self._tick = instrument.tick
        self._price_scale = bars.price_scale
        self._half_spread = rules.half_spread
        self._at_touch = rules.fills_at_touch
        #: A volume of the columns times this is what our orders may take of it.
        self._share = self.volume_unit * rules.volume_share
        #: A price of a bar is a price of the venue: no spread is put on it, and every digit fits the tick.
        self._is_exact = not rules.half_spread and instrument.price_scale >= bars.price_scale
        self._quote: Quote | None = None
        self._quoted_at = -1

    def quote(self) -> Quote:
        """The close of the last bar, less and plus half the spread; a tick apart at least. There is a bar.

        What stood at these prices no bar tells.
        """
        cursor = self.cursor
        at, quote = cursor.at, self._quote
        if quote is not None and self._quoted_at == at:
            return quote
        close = self.closes[at] * self.unit
        if self._is_exact:
            bid, ask = close, close + self._tick
        else:
            half = close * self._half_spread
            bid, ask = self.instrument.price_down(close - half), self.instrument.price_up(close + half)
            if ask <= bid:
                ask = bid + self._tick
        at_ms = cursor.closed_at_ms
        self._quoted_at = at
        self._quote = quote = Quote(
            symbol=self.symbol,
            bid=bid,
            bid_quantity=NOT_TOLD,
            ask=ask,
            ask_quantity=NOT_TOLD,
            venue_time_ms=at_ms,
            received_at_ms=at_ms,
        )
        return quote

    def limit_of(self, order: Order) -> int:
        """An order's limit in units of the columns, rounded against us where the tick is finer than theirs."""
        scaled = order.price.scaleb(self._price_scale)
        whole = int(scaled)
        return whole if whole == scaled or order.side is Side.BUY else whole + 1

    def next_bar(self, resting: Resting, first: int) -> int:
        """The first bar from `first` on that may fill it; the number of bars when none does."""
        first = max(first, resting.from_bar)
        if resting.is_taker:
            return first
        bars = self.bars
        return fills.first_reach(resting.is_buy, resting.limit, bars.low, bars.high, first, at_touch=self._at_touch)

    def price_in(self, resting: Resting, at: int) -> Decimal | None:
        """The price at which a bar trades with the order, None where it does not."""
        if resting.is_taker:
            return self._open_price(resting, at)
        touches = fills.reaches(resting.is_buy, resting.limit, self.lows[at], self.highs[at], at_touch=self._at_touch)
        return resting.order.price if touches else None

    def _open_price(self, resting: Resting, at: int) -> Decimal | None:
        """The price of taking at a bar's open, None where the limit does not allow it."""
        price, is_buy = self.opens[at] * self.unit, resting.is_buy
        if self._half_spread:
            price = fills.open_price(is_buy, price, self._half_spread)
            price = self.instrument.price_up(price) if is_buy else self.instrument.price_down(price)
        return price if (price <= resting.order.price if is_buy else price >= resting.order.price) else None

    def available(self, at: int) -> Decimal:
        """What our orders may take of a bar's volume, not put on the lot yet."""
        return self.volumes[at] * self._share

    def taken(self, wanted: Decimal, available: Decimal) -> Decimal:
        """What an order gets of it: all that it wants, which is whole lots, or as many lots as there are."""
        return wanted if wanted <= available else self.instrument.quantity_down(available)
