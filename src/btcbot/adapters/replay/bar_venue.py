"""The venue of a backtest: recorded bars, an account that really moves, orders that rest, fill and are cancelled.

It implements the port `Exchange`, so that the cycle that trades on BtcTurk trades here. What it does with money is what
BtcTurk does: funds are locked when an order is placed, at the taker's rate, fees and taxes are taken in the quote
asset and rounded half up to eight decimals, an order below the minimum or beyond the funds is refused. What a bar does
not tell is decided against us; see `fills`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Final

import msgspec

from btcbot.adapters.replay import fills
from btcbot.adapters.replay.clock import ReplayClock
from btcbot.adapters.replay.columns import BarColumns, Cursor
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot, Balance
from btcbot.domain.fills import VenueTrade
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Side
from btcbot.domain.market import Quote
from btcbot.domain.orders import Order
from btcbot.domain.outcomes import Accepted, Canceled, CancelOutcome, Refused, SubmitOutcome
from btcbot.domain.permit import Permit, PermitScope, WriteKind
from btcbot.domain.venue import Transfer, VenueOrder, VenueOrderStatus
from btcbot.ports import VenueHealth

#: The share of a charge that is the fee; the rest is its tax: 20 % on the fee.
TAX_RATE: Final = Decimal("0.2")
CHARGE_PLACES: Final = 8
#: The venue would be asked for trades at least so far back (accounting looks ten minutes behind its cursor).
TRADES_KEPT_MS: Final = 86_400_000
NEVER: Final = 1 << 62

_HEALTH: Final = VenueHealth(clock_skew_ms=0)
_AT_MS: Final = attrgetter("at_ms")
_NO_TRANSFERS: Final[Sequence[Transfer]] = ()


class FillRules(msgspec.Struct, frozen=True, kw_only=True):
    """What bars do not tell. `half_spread` and `volume_share` are fractions; `maker` and `taker` charge, tax included.

    `volume_share`: the most of a bar's volume that our orders may take. `fills_at_touch`: a resting order fills when a
    bar touches its price, although others may have come first.
    """

    maker: Decimal
    taker: Decimal
    half_spread: Decimal
    volume_share: Decimal
    fills_at_touch: bool = False


class _Lane:
    """One symbol's columns and where it stands in them. Scalars are read through memoryviews: twice as fast."""

    __slots__ = (
        "bars",
        "closes",
        "cursor",
        "highs",
        "instrument",
        "lows",
        "opens",
        "quote",
        "times",
        "unit",
        "volume_unit",
        "volumes",
    )

    def __init__(self, bars: BarColumns, instrument: Instrument) -> None:
        self.bars = bars
        self.instrument = instrument
        self.times = bars.open_time_ms.data
        self.opens = bars.open.data
        self.highs = bars.high.data
        self.lows = bars.low.data
        self.closes = bars.close.data
        self.volumes = bars.volume.data
        self.unit = money.unit(bars.price_scale)
        self.volume_unit = money.unit(bars.volume_scale)
        self.cursor = Cursor(bars)
        self.quote: Quote | None = None


class _Resting:
    """An order at this venue."""

    __slots__ = ("filled", "from_bar", "is_buy", "is_taker", "left", "limit", "locked", "order", "venue_order_id")

    def __init__(self, order: Order, venue_order_id: str, limit: int, from_bar: int, *, is_taker: bool) -> None:
        self.order = order
        self.venue_order_id = venue_order_id
        self.is_buy = order.side is Side.BUY
        #: In units of the columns.
        self.limit = limit
        #: The first bar that may fill it.
        self.from_bar = from_bar
        #: It could trade on arrival, and the next open has not been seen yet.
        self.is_taker = is_taker
        self.left = order.quantity
        self.filled = money.ZERO
        self.locked = money.ZERO


class BarVenue:
    """`Exchange` over recorded bars. `play_to` lets the market move; between two calls it stands still."""

    def __init__(
        self,
        clock: ReplayClock,
        bars: Mapping[str, BarColumns],
        instruments: Mapping[str, Instrument],
        opening: Mapping[str, Decimal],
        rules: FillRules,
    ) -> None:
        self._clock = clock
        self._rules = rules
        self._instruments = instruments
        self._lanes = {symbol: _Lane(columns, instruments[symbol]) for symbol, columns in bars.items()}
        self._free = dict(opening)
        self._locked: dict[str, Decimal] = dict.fromkeys(opening, money.ZERO)
        for instrument in instruments.values():
            for asset in (instrument.base, instrument.quote):
                self._free.setdefault(asset, money.ZERO)
                self._locked.setdefault(asset, money.ZERO)
        self._snapshot: dict[str, Balance] = {}
        self._touched = set(self._free)
        self._open: dict[str, _Resting] = {}
        self._closed: dict[str, VenueOrder] = {}
        self._trades: list[VenueTrade] = []
        self._fresh: list[VenueTrade] = []
        self._orders_made = 0
        self._trades_made = 0
        self._last_stamp_ms = 0
        #: What was charged in all, tax included.
        self.fees = money.ZERO
        self._charges: dict[bool, tuple[Decimal, Decimal]] = {}
        for is_maker, rate in ((True, rules.maker), (False, rules.taker)):
            fee = money.divide_half_even(rate, money.ONE + TAX_RATE, 8)
            self._charges[is_maker] = (fee, rate - fee)

    # -- the market ----------------------------------------------------------------------------------------------

    def play_to(self, now_ms: int) -> None:
        """Let every bar happen that has closed by `now_ms`, and fill what it fills."""
        for symbol, lane in self._lanes.items():
            before = lane.cursor.at
            at = lane.cursor.move_to(now_ms)
            if at != before:
                lane.quote = None
                if self._open:
                    self._fill(symbol, lane, before + 1, at)
        if self._fresh:
            self._list_fresh()

    def next_fill_ms(self) -> int:
        """When the first of the open orders may be filled at least in part: the close of that bar, or never."""
        found = NEVER
        for resting in self._open.values():
            lane = self._lanes[resting.order.symbol]
            index = self._next_bar(resting, lane, lane.cursor.at + 1)
            if index < len(lane.times):
                found = min(found, lane.times[index] + lane.bars.interval_ms)
        return found

    def is_filled_by(self, venue_order_id: str, at_ms: int) -> bool:
        """Whether an open order is certain to be filled whole by a bar that closes at or before then.

        Certain is what needs no other order's share of the volume: the very next bar takes it at its open.
        """
        resting = self._open[venue_order_id]
        lane = self._lanes[resting.order.symbol]
        at = max(lane.cursor.at + 1, resting.from_bar)
        if not resting.is_taker or len(self._open) > 1 or at >= len(lane.times):
            return False
        if lane.times[at] + lane.bars.interval_ms > at_ms:
            return False
        share = lane.instrument.quantity_down(lane.volumes[at] * lane.volume_unit * self._rules.volume_share)
        return resting.left <= share and self._open_price(resting, lane, at) is not None

    def _open_price(self, resting: _Resting, lane: _Lane, at: int) -> Decimal | None:
        """The price of taking at a bar's open, None where the limit does not allow it."""
        price, is_buy = lane.opens[at] * lane.unit, resting.is_buy
        if self._rules.half_spread:
            price = fills.open_price(is_buy, price, self._rules.half_spread)
            price = lane.instrument.price_up(price) if is_buy else lane.instrument.price_down(price)
        return price if (price <= resting.order.price if is_buy else price >= resting.order.price) else None

    def _next_bar(self, resting: _Resting, lane: _Lane, first: int) -> int:
        """The first bar from `first` on that may fill it; the number of bars when none does."""
        first = max(first, resting.from_bar)
        if resting.is_taker:
            return first
        bars = lane.bars
        return fills.first_reach(
            resting.is_buy, resting.limit, bars.low, bars.high, first, at_touch=self._rules.fills_at_touch
        )

    def _fill(self, symbol: str, lane: _Lane, first: int, last: int) -> None:
        """Give the bars `first` to `last` to the open orders of the symbol: bar by bar, the oldest order first."""
        waiting = [resting for resting in self._open.values() if resting.order.symbol == symbol]
        if not waiting:
            return
        at = first
        while waiting and at <= last:
            if first != last:  # leave out the bars in which nothing can happen
                at = min(self._next_bar(resting, lane, at) for resting in waiting)
                if at > last:
                    return
            share: Decimal | None = None
            for resting in waiting:
                if at < resting.from_bar:
                    continue
                price = self._price_in(resting, lane, at)
                if price is None:
                    continue
                if share is None:
                    volume = lane.volumes[at] * lane.volume_unit
                    share = lane.instrument.quantity_down(volume * self._rules.volume_share)
                quantity = min(resting.left, share)
                if quantity <= 0:
                    break
                share -= quantity
                is_at_open, resting.is_taker = resting.is_taker, False
                at_ms = lane.times[at] + 1 if is_at_open else lane.times[at] + lane.bars.interval_ms - 1
                self._trade(resting, lane, price, quantity, at_ms, is_maker=not is_at_open)
            waiting = [resting for resting in waiting if resting.left]
            at += 1

    def _price_in(self, resting: _Resting, lane: _Lane, at: int) -> Decimal | None:
        """The price at which this bar trades with the order, None where it does not."""
        if resting.is_taker:
            price = self._open_price(resting, lane, at)
            if price is not None:
                return price
            resting.is_taker = False  # the market opened beyond its limit: from now on it rests
        touches = fills.reaches(
            resting.is_buy, resting.limit, lane.lows[at], lane.highs[at], at_touch=self._rules.fills_at_touch
        )
        return resting.order.price if touches else None

    def _trade(
        self, resting: _Resting, lane: _Lane, price: Decimal, quantity: Decimal, at_ms: int, *, is_maker: bool
    ) -> None:
        order, instrument = resting.order, lane.instrument
        value = price * quantity
        fee_rate, tax_rate = self._charges[is_maker]
        fee = money.round_half_up(value * fee_rate, CHARGE_PLACES)
        tax = money.round_half_up(value * (fee_rate + tax_rate), CHARGE_PLACES) - fee
        resting.left -= quantity
        resting.filled += quantity
        base, quote = instrument.base, instrument.quote
        if resting.is_buy:
            self._free[base] += quantity
            locked = self._lock_of(order, resting.left) if resting.left else money.ZERO
            released = resting.locked - locked
            self._locked[quote] -= released
            self._free[quote] += released - value - fee - tax
            resting.locked = locked
        else:
            self._locked[base] -= quantity
            resting.locked -= quantity
            self._free[quote] += value - fee - tax
        assert self._free[quote] >= 0, "a lock covers the worth of the order and the taker's charge"
        self._touched.update((base, quote))
        self.fees += fee + tax
        self._fresh.append(
            VenueTrade(
                trade_id="",
                venue_order_id=resting.venue_order_id,
                client_order_id=order.client_order_id,
                symbol=order.symbol,
                base=base,
                quote=quote,
                side=order.side,
                price=price,
                quantity=quantity,
                fee=fee,
                tax=tax,
                at_ms=at_ms,
            )
        )
        if not resting.left:
            self._close(resting, VenueOrderStatus.CLOSED, at_ms)

    def _list_fresh(self) -> None:
        """Name the trades of this move in the order of their times, however many bars it took in at once."""
        self._fresh.sort(key=lambda trade: (trade.at_ms, trade.symbol))
        for trade in self._fresh:
            self._trades_made += 1
            self._trades.append(msgspec.structs.replace(trade, trade_id=f"t{self._trades_made}"))
        self._fresh.clear()

    def _close(self, resting: _Resting, status: VenueOrderStatus, at_ms: int) -> None:
        del self._open[resting.venue_order_id]
        if len(self._closed) > 1_000:
            self._closed.clear()
        self._closed[resting.venue_order_id] = _row(resting, status, at_ms)

    def _lock_of(self, order: Order, left: Decimal) -> Decimal:
        if order.side is Side.SELL:
            return left
        return order.price * left * (money.ONE + self._rules.taker)

    # -- Exchange ------------------------------------------------------------------------------------------------

    def venue_time_ms(self) -> int:
        return self._clock.now_ms()

    def estimated_time_ms(self) -> int | None:
        return self._clock.now_ms()

    def instruments(self) -> Mapping[str, Instrument]:
        return self._instruments

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """The close of the last bar, less and plus half the spread; a tick apart at least.

        A symbol without a bar so far is left out; one whose last bar lies back carries that bar's time.
        """
        quotes: dict[str, Quote] = {}
        for symbol in symbols:
            lane = self._lanes.get(symbol)
            if lane is not None and lane.cursor.at >= 0:
                quotes[symbol] = lane.quote or self._quote(symbol, lane)
        return quotes

    def _quote(self, symbol: str, lane: _Lane) -> Quote:
        close, instrument = lane.closes[lane.cursor.at] * lane.unit, lane.instrument
        bid = ask = close
        if self._rules.half_spread or instrument.price_scale < lane.bars.price_scale:
            half = close * self._rules.half_spread
            bid, ask = instrument.price_down(close - half), instrument.price_up(close + half)
        at_ms = lane.times[lane.cursor.at] + lane.bars.interval_ms
        volume = lane.volumes[lane.cursor.at] * lane.volume_unit
        lane.quote = Quote(
            symbol=symbol,
            bid=bid,
            bid_quantity=volume,
            ask=ask if ask > bid else bid + instrument.tick,
            ask_quantity=volume,
            venue_time_ms=at_ms,
            received_at_ms=at_ms,
        )
        return lane.quote

    def balances(self) -> AccountSnapshot:
        for asset in self._touched:
            self._snapshot[asset] = Balance(asset, self._free[asset], self._locked[asset])
        self._touched.clear()
        now_ms = self._clock.now_ms()
        return AccountSnapshot(balances=dict(self._snapshot), asked_at_ms=now_ms, received_at_ms=now_ms)

    def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        return [
            _row(resting, VenueOrderStatus.PARTIAL if resting.filled else VenueOrderStatus.UNTOUCHED, 0)
            for resting in self._open.values()
            if symbol is None or resting.order.symbol == symbol
        ]

    def all_orders(self, symbol: str, since_ms: int) -> Sequence[VenueOrder]:
        closed = [row for row in self._closed.values() if row.symbol == symbol and row.updated_at_ms >= since_ms]
        return [*self.open_orders(symbol), *closed]

    def order(self, venue_order_id: str) -> VenueOrder | None:
        resting = self._open.get(venue_order_id)
        if resting is None:
            return self._closed.get(venue_order_id)
        return _row(resting, VenueOrderStatus.PARTIAL if resting.filled else VenueOrderStatus.UNTOUCHED, 0)

    def trades(self, since_ms: int) -> Sequence[VenueTrade]:
        """Oldest first; those of the last day are kept."""
        trades = self._trades
        if trades and trades[0].at_ms < since_ms - TRADES_KEPT_MS:
            del trades[: bisect_left(trades, since_ms - TRADES_KEPT_MS, key=_AT_MS)]
        return trades[bisect_left(trades, since_ms, key=_AT_MS) :]

    def trades_of(self, venue_order_id: str) -> Sequence[VenueTrade]:
        return [trade for trade in self._trades if trade.venue_order_id == venue_order_id]

    def transfers(self, since_ms: int) -> Sequence[Transfer]:
        return _NO_TRANSFERS

    def submit(self, order: Order, permit: Permit) -> SubmitOutcome:
        """Lock the funds and take the order in; the next bar is the first that may fill it."""
        permit.demand(WriteKind.SUBMIT, PermitScope.VENUE, order.client_order_id)
        lane = self._lanes[order.symbol]
        instrument = lane.instrument
        if order.value < instrument.value_min:
            return Refused(code="FAILED_MIN_TOTAL_AMOUNT")
        asset = instrument.quote if order.side is Side.BUY else instrument.base
        lock = self._lock_of(order, order.quantity)
        if lock > self._free[asset]:
            return Refused(code="BALANCE_NOT_ENOUGH")
        quote = lane.quote or self._quote(order.symbol, lane)
        is_taker = order.price >= quote.ask if order.side is Side.BUY else order.price <= quote.bid
        self._orders_made += 1
        limit = order.price.scaleb(lane.bars.price_scale)
        resting = _Resting(
            order, f"v{self._orders_made}", _limit(limit, order.side), lane.cursor.at + 1, is_taker=is_taker
        )
        resting.locked = lock
        self._free[asset] -= lock
        self._locked[asset] += lock
        self._touched.add(asset)
        self._open[resting.venue_order_id] = resting
        return Accepted(venue_order_id=resting.venue_order_id)

    def cancel(self, order: Order, permit: Permit) -> CancelOutcome:
        """Take the order out, at once and for good."""
        permit.demand(WriteKind.CANCEL, PermitScope.VENUE, order.client_order_id)
        assert order.venue_order_id is not None, "only an order that this venue named is cancelled"
        resting = self._open.get(order.venue_order_id)
        if resting is None:
            return Refused(code="ORDER_NOT_FOUND")
        instrument = self._lanes[order.symbol].instrument
        asset = instrument.quote if resting.is_buy else instrument.base
        self._locked[asset] -= resting.locked
        self._free[asset] += resting.locked
        self._touched.add(asset)
        self._close(resting, VenueOrderStatus.CANCELED, self._clock.now_ms())
        return Canceled(executed_quantity=resting.filled)

    def take_stamp(self) -> int:
        self._last_stamp_ms = max(self._clock.now_ms(), self._last_stamp_ms + 1)
        return self._last_stamp_ms

    def health(self) -> VenueHealth:
        return _HEALTH

    def close(self) -> None:
        """Nothing is held."""


def _limit(scaled: Decimal, side: Side) -> int:
    """A limit in units of the columns, rounded against us where the instrument's tick is finer than theirs."""
    whole = int(scaled)
    return whole if whole == scaled or side is Side.BUY else whole + 1


def _row(resting: _Resting, status: VenueOrderStatus, at_ms: int) -> VenueOrder:
    order = resting.order
    return VenueOrder(
        venue_order_id=resting.venue_order_id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        method="limit",
        price=order.price,
        quantity=order.quantity,
        leaves_quantity=resting.left,
        status=status,
        updated_at_ms=at_ms,
    )
