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

from btcbot.adapters.replay.bar_lane import BarLane, Resting
from btcbot.adapters.replay.clock import ReplayClock
from btcbot.adapters.replay.columns import BarColumns, cursors_of
from btcbot.adapters.replay.fills import FillRules
from btcbot.adapters.replay.funds import Funds
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
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
CLOSED_KEPT_MAX: Final = 1_000
NEVER: Final = 1 << 62

_HEALTH: Final = VenueHealth(clock_skew_ms=0)
_AT_MS: Final = attrgetter("at_ms")
_NO_TRANSFERS: Final[Sequence[Transfer]] = ()


class _Traded(msgspec.Struct, frozen=True, gc=False):
    """A trade that has no number yet."""

    resting: Resting
    instrument: Instrument
    price: Decimal
    quantity: Decimal
    fee: Decimal
    tax: Decimal
    at_ms: int


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
        #: The venue's clock is the one of the recording.
        self.venue_time_ms = self.estimated_time_ms = clock.now_ms
        self._instruments = instruments
        cursors = cursors_of(bars)
        self._cursors = list(dict.fromkeys(cursors.values()))
        self._lanes = {
            symbol: BarLane(columns, instruments[symbol], rules, cursors[symbol]) for symbol, columns in bars.items()
        }
        assets = [asset for instrument in instruments.values() for asset in (instrument.base, instrument.quote)]
        self._funds = Funds(opening, assets)
        self._open: dict[str, Resting] = {}
        self._closed: dict[str, tuple[Resting, VenueOrderStatus, int]] = {}
        self._trades: list[VenueTrade] = []
        self._fresh: list[_Traded] = []
        self._orders_made = 0
        self._trades_made = 0
        self._last_stamp_ms = 0
        #: What was charged in all, tax included.
        self.fees = money.ZERO
        #: What a buy locks, for each unit of its worth.
        self._lock_rate = money.ONE + rules.taker
        #: (fee, fee and tax) by whether the order was the maker.
        self._charges: dict[bool, tuple[Decimal, Decimal]] = {}
        for is_maker, rate in ((True, rules.maker), (False, rules.taker)):
            self._charges[is_maker] = (money.divide_half_even(rate, money.ONE + TAX_RATE, 8), rate)

    # -- the market ----------------------------------------------------------------------------------------------

    def play_to(self, now_ms: int) -> None:
        """Let every bar happen that has closed by `now_ms`, and fill what it fills."""
        for cursor in self._cursors:
            cursor.move_to(now_ms)
        if not self._open:
            return
        for symbol in dict.fromkeys([resting.order.symbol for resting in self._open.values()]):
            self._fill(symbol, self._lanes[symbol])
        if self._fresh:
            self._list_fresh()

    def next_fill_ms(self) -> int:
        """When the first of the open orders may be filled at least in part: the close of that bar, or never."""
        found = NEVER
        for resting in self._open.values():
            lane = self._lanes[resting.order.symbol]
            index = lane.next_bar(resting, lane.cursor.at + 1)
            if index < len(lane.times):
                found = min(found, lane.times[index] + lane.interval_ms)
        return found

    def is_filled_by(self, venue_order_id: str, at_ms: int) -> bool:
        """Whether an open order is certain to be filled whole by a bar that closes at or before then.

        Certain is what needs no other order's share of the volume: the very next bar takes it at its open.
        """
        resting = self._open[venue_order_id]
        if not resting.is_taker or len(self._open) > 1:
            return False
        lane, at = self._lanes[resting.order.symbol], resting.from_bar
        if at >= len(lane.times) or lane.times[at] + lane.interval_ms > at_ms:
            return False
        return resting.left <= lane.available(at) and lane.price_in(resting, at) is not None

    def _fill(self, symbol: str, lane: BarLane) -> None:
        """Give the bars since the last time to the open orders of the symbol: bar by bar, the oldest order first."""
        waiting = [resting for resting in self._open.values() if resting.order.symbol == symbol]
        at, last = min([resting.from_bar for resting in waiting]), lane.cursor.at
        skips = at < last  # leave out the bars in which nothing can happen
        while waiting and at <= last:
            if skips:
                at = min([lane.next_bar(resting, at) for resting in waiting])
                if at > last:
                    break
            available: Decimal | None = None
            for resting in waiting:
                if at < resting.from_bar:
                    continue
                is_at_open = resting.is_taker
                price = lane.price_in(resting, at)
                if price is None and is_at_open:
                    resting.is_taker = is_at_open = False  # the market opened beyond its limit: from now on it rests
                    price = lane.price_in(resting, at)
                if price is None:
                    continue
                if available is None:
                    available = lane.available(at)
                quantity = lane.taken(resting.left, available)
                if quantity <= money.ZERO:
                    break
                available -= quantity
                resting.is_taker = False
                at_ms = lane.times[at] + 1 if is_at_open else lane.times[at] + lane.interval_ms - 1
                self._trade(resting, lane.instrument, price, quantity, at_ms, is_maker=not is_at_open)
            waiting = [resting for resting in waiting if resting.left]
            at += 1
        for resting in waiting:
            resting.from_bar = last + 1

    def _trade(
        self, resting: Resting, instrument: Instrument, price: Decimal, quantity: Decimal, at_ms: int, *, is_maker: bool
    ) -> None:
        value = price * quantity
        fee_rate, charge_rate = self._charges[is_maker]
        fee = money.round_half_up(value * fee_rate, CHARGE_PLACES)
        charge = money.round_half_up(value * charge_rate, CHARGE_PLACES)
        resting.left -= quantity
        resting.filled += quantity
        if resting.is_buy:
            locked = self._lock_of(resting.order, resting.left) if resting.left else money.ZERO
            released = resting.locked - locked
            resting.locked = locked
            self._funds.move(instrument.base, quantity, money.ZERO)
            self._funds.move(instrument.quote, released - value - charge, -released)
        else:
            resting.locked -= quantity
            self._funds.move(instrument.base, money.ZERO, -quantity)
            self._funds.move(instrument.quote, value - charge, money.ZERO)
        self.fees += charge
        self._fresh.append(_Traded(resting, instrument, price, quantity, fee, charge - fee, at_ms))
        if not resting.left:
            self._close(resting, VenueOrderStatus.CLOSED, at_ms)

    def _list_fresh(self) -> None:
        """Name the trades of this move in the order of their times, however many bars it took in at once."""
        fresh = self._fresh
        if len(fresh) > 1:
            fresh.sort(key=lambda traded: (traded.at_ms, traded.instrument.symbol))
        for traded in fresh:
            self._trades_made += 1
            order, instrument = traded.resting.order, traded.instrument
            self._trades.append(
                VenueTrade(
                    trade_id=f"t{self._trades_made}",
                    venue_order_id=traded.resting.venue_order_id,
                    client_order_id=order.client_order_id,
                    symbol=order.symbol,
                    base=instrument.base,
                    quote=instrument.quote,
                    side=order.side,
                    price=traded.price,
                    quantity=traded.quantity,
                    fee=traded.fee,
                    tax=traded.tax,
                    at_ms=traded.at_ms,
                )
            )
        fresh.clear()

    def _close(self, resting: Resting, status: VenueOrderStatus, at_ms: int) -> None:
        del self._open[resting.venue_order_id]
        if len(self._closed) > CLOSED_KEPT_MAX:
            self._closed.clear()
        self._closed[resting.venue_order_id] = (resting, status, at_ms)

    def _lock_of(self, order: Order, left: Decimal) -> Decimal:
        return left if order.side is Side.SELL else order.price * left * self._lock_rate

    # -- Exchange ------------------------------------------------------------------------------------------------

    def instruments(self) -> Mapping[str, Instrument]:
        return self._instruments

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """The close of the last bar, less and plus half the spread; a tick apart at least.

        A symbol without a bar so far is left out; one whose last bar lies back carries that bar's time.
        """
        quotes: dict[str, Quote] = {}
        lanes = self._lanes
        for symbol in symbols:
            lane = lanes.get(symbol)
            if lane is not None and lane.cursor.at >= 0:
                quotes[symbol] = lane.quote()
        return quotes

    def balances(self) -> AccountSnapshot:
        now_ms = self._clock.now_ms()
        return AccountSnapshot(balances=self._funds.balances(), asked_at_ms=now_ms, received_at_ms=now_ms)

    def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        return [
            _open_row(resting) for resting in self._open.values() if symbol is None or resting.order.symbol == symbol
        ]

    def all_orders(self, symbol: str, since_ms: int) -> Sequence[VenueOrder]:
        closed = [_row(*each) for each in self._closed.values() if each[0].order.symbol == symbol]
        return [*self.open_orders(symbol), *(row for row in closed if row.updated_at_ms >= since_ms)]

    def order(self, venue_order_id: str) -> VenueOrder | None:
        resting = self._open.get(venue_order_id)
        if resting is not None:
            return _open_row(resting)
        closed = self._closed.get(venue_order_id)
        return None if closed is None else _row(*closed)

    def trades(self, since_ms: int) -> Sequence[VenueTrade]:
        """Oldest first; those of the last day are kept, and of one more day at most."""
        trades = self._trades
        first = len(trades)
        while first and trades[first - 1].at_ms >= since_ms:  # few are as late as what is asked for
            first -= 1
        found = trades[first:]
        if trades and trades[0].at_ms < since_ms - 2 * TRADES_KEPT_MS:
            del trades[: bisect_left(trades, since_ms - TRADES_KEPT_MS, key=_AT_MS)]
        return found

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
        if lock > self._funds.free(asset):
            return Refused(code="BALANCE_NOT_ENOUGH")
        self._orders_made += 1
        venue_order_id = f"v{self._orders_made}"
        self._open[venue_order_id] = Resting(order, venue_order_id, lane, lock)
        self._funds.move(asset, -lock, lock)
        return Accepted(venue_order_id=venue_order_id)

    def cancel(self, order: Order, permit: Permit) -> CancelOutcome:
        """Take the order out, at once and for good."""
        permit.demand(WriteKind.CANCEL, PermitScope.VENUE, order.client_order_id)
        assert order.venue_order_id is not None, "only an order that this venue named is cancelled"
        resting = self._open.get(order.venue_order_id)
        if resting is None:
            return Refused(code="ORDER_NOT_FOUND")
        instrument = self._lanes[order.symbol].instrument
        asset = instrument.quote if resting.is_buy else instrument.base
        self._funds.move(asset, resting.locked, -resting.locked)
        self._close(resting, VenueOrderStatus.CANCELED, self._clock.now_ms())
        return Canceled(executed_quantity=resting.filled)

    def take_stamp(self) -> int:
        self._last_stamp_ms = max(self._clock.now_ms(), self._last_stamp_ms + 1)
        return self._last_stamp_ms

    def health(self) -> VenueHealth:
        return _HEALTH

    def close(self) -> None:
        """Nothing is held."""


def _open_row(resting: Resting) -> VenueOrder:
    return _row(resting, VenueOrderStatus.PARTIAL if resting.filled else VenueOrderStatus.UNTOUCHED, 0)


def _row(resting: Resting, status: VenueOrderStatus, at_ms: int) -> VenueOrder:
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
