"""From what symbols are worth to the orders that bring them where they are to be.

Each symbol has a corridor of values. Below it the symbol is bought up to its lower edge, above it sold down to its
upper edge; sells come first, then buys, the larger difference before the smaller. So there is at most one wish for a
symbol, and never one to buy it and one to sell it.

A working order that goes the right way is wished again, as far as it is still needed: whoever looks after orders then
leaves it, or moves its price, and what is missing beyond it follows when it is filled. Symbols that are busy with an
order that cannot be judged are left alone. The caps on turnover and on the number of orders count what is new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent, Side
from btcbot.domain.market import Quote
from btcbot.strategies import holdings
from btcbot.strategies.base import StrategyContext
from btcbot.strategies.targets import Picture


class Corridor(NamedTuple):
    """Values in TRY between which a symbol is left alone, and why they are where they are."""

    least: Decimal
    most: Decimal
    why: str = ""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How to trade. Amounts in TRY; None for `turnover_max` or `orders_max` means no such cap.

    `band`: share of the corridor's edge that a value may lie beyond it and be left alone. `offset_bps`: buys lie so far
    below the mid and sells above it; at zero, buys are at the ask and sells at the bid.
    """

    name: str
    band: Decimal
    offset_bps: Decimal
    order_value_min: Decimal
    turnover_max: Decimal | None
    orders_max: int | None
    spread_bps_max: Decimal
    position_value_max: Decimal


class _Working(NamedTuple):
    """Orders of ours on one side of a symbol: what is left of them, its value, and for buys the cash that it locks."""

    quantity: Decimal
    value: Decimal
    locked: Decimal


_NONE = _Working(money.ZERO, money.ZERO, money.ZERO)


def wishes_towards(
    context: StrategyContext, picture: Picture, corridors: Mapping[str, Corridor], terms: Terms
) -> Sequence[Intent]:
    """Wishes, most wanted first; none for a symbol that is not in `picture`."""
    working = _working(context)
    busy = context.symbols_with_open_orders | {order.symbol for order in context.open_orders if order.is_in_doubt}
    away: list[tuple[Side, Decimal, str]] = []
    for symbol in corridors.keys() & picture.values.keys() - busy:
        value, (least, most, _) = picture.values[symbol], corridors[symbol]
        side = Side.SELL if value > most else Side.BUY
        difference, edge = (value - most, most) if side is Side.SELL else (least - value, least)
        # What was begun is brought to its end; only a beginning is worth a band.
        if difference > (money.ZERO if (symbol, side) in working else terms.band * edge):
            away.append((side, difference, symbol))
    away.sort(key=lambda one: (one[0] is Side.BUY, -one[1], one[2]))
    desk = _Desk(context, picture, terms, working)
    wishes = []
    for side, difference, symbol in away:
        corridor = corridors[symbol]
        size = desk.sell_size if side is Side.SELL else desk.buy_size
        price = price_of(context.quotes[symbol], context.instruments[symbol], side, terms.offset_bps)
        quantity = size(symbol, price, difference, corridor) if price > 0 else money.ZERO
        if quantity <= 0 or not desk.has_place(symbol, side):
            continue
        target = corridor.most if side is Side.SELL else corridor.least
        why = f"{picture.share(picture.values[symbol])} of the account, wanted {picture.share(target)}{corridor.why}"
        wish = holdings.wish(context, terms.name, context.quotes[symbol], side, price, quantity, why)
        desk.take(wish)
        wishes.append(wish)
    return wishes


def price_of(quote: Quote, instrument: Instrument, side: Side, offset_bps: Decimal) -> Decimal:
    """Where to order: `offset_bps` from the mid, on the tick, away from the other side."""
    if not offset_bps:
        return quote.ask if side is Side.BUY else quote.bid
    offset = offset_bps * money.BPS
    if side is Side.BUY:
        return instrument.price_down(quote.mid * (money.ONE - offset))
    return instrument.price_up(quote.mid * (money.ONE + offset))


def _working(context: StrategyContext) -> Mapping[tuple[str, Side], _Working]:
    found: dict[tuple[str, Side], _Working] = {}
    for order in context.open_orders:
        if not order.is_open or order.is_in_doubt:
            continue
        key = order.symbol, order.side
        before, value = found.get(key, _NONE), order.price * order.leaves_quantity
        locked = value * (money.ONE + context.taker_rate) if order.side is Side.BUY else money.ZERO
        found[key] = _Working(before.quantity + order.leaves_quantity, before.value + value, before.locked + locked)
    return found


class _Desk:
    """What is left of cash, turnover and places for the wishes still to come. Lives for one call."""

    def __init__(
        self,
        context: StrategyContext,
        picture: Picture,
        terms: Terms,
        working: Mapping[tuple[str, Side], _Working],
    ) -> None:
        self._context = context
        self._picture = picture
        self._terms = terms
        self._working = working
        self._cash = picture.new_cash
        self._turnover = terms.turnover_max
        self._orders = 0

    def has_place(self, symbol: str, side: Side) -> bool:
        most = self._terms.orders_max
        return most is None or self._orders < most or (symbol, side) in self._working

    def take(self, wish: Intent) -> None:
        own = self._working.get((wish.symbol, wish.side))
        if own is None:
            self._orders += 1
            own = _NONE
        if self._turnover is not None:
            self._turnover -= max(wish.value - own.value, money.ZERO)
        if wish.side is Side.BUY:
            cost = wish.value * (money.ONE + self._context.taker_rate)
            self._cash -= max(cost - own.locked, money.ZERO)

    def sell_size(self, symbol: str, price: Decimal, difference: Decimal, corridor: Corridor) -> Decimal:
        """Zero where nothing is to be sold, or nothing that makes an order. A rest that could never be sold goes along,
        unless that would lead further away than it was."""
        instrument, least = self._least(symbol, price)
        held, mid = holdings.held_of(self._context, symbol), self._context.quotes[symbol].mid
        wanted = min(money.divide_down(difference, mid, instrument.quantity_scale), held) if corridor.most else held
        if 0 < held - wanted < least:
            if self._picture.values[symbol] <= 2 * corridor.most:
                return money.ZERO
            wanted = held
        quantity = self._within(symbol, Side.SELL, wanted, price, least)
        if quantity < wanted and 0 < held - quantity < least:
            quantity = held - least
        return quantity if quantity >= least else money.ZERO

    def buy_size(self, symbol: str, price: Decimal, difference: Decimal, corridor: Corridor) -> Decimal:
        """Zero where the spread is too wide, or where cash, room or turnover leave less than an order."""
        instrument, least = self._least(symbol, price)
        quote, position = self._context.quotes[symbol], self._context.positions.get(symbol)
        if quote.spread_bps > self._terms.spread_bps_max:
            return money.ZERO
        cost = position.cost if position is not None and position.quantity else money.ZERO
        # The caps on a position count what was paid for it, where that is more than it is worth now.
        invested = max(cost, position.quantity * quote.ask if position is not None else money.ZERO)
        own = self._working.get((symbol, Side.BUY), _NONE)
        room = min(self._terms.position_value_max - invested, self._cash + own.locked)
        if room <= 0:
            return money.ZERO
        wanted = min(
            money.divide_down(difference, quote.mid, instrument.quantity_scale),
            money.divide_down(room, price * (money.ONE + self._context.taker_rate), instrument.quantity_scale),
        )
        quantity = self._within(symbol, Side.BUY, wanted, price, least)
        return quantity if quantity >= least else money.ZERO

    def _least(self, symbol: str, price: Decimal) -> tuple[Instrument, Decimal]:
        instrument = self._context.instruments[symbol]
        value = max(instrument.value_min, self._terms.order_value_min)
        return instrument, max(money.divide_up(value, price, instrument.quantity_scale), instrument.lot)

    def _within(self, symbol: str, side: Side, wanted: Decimal, price: Decimal, least: Decimal) -> Decimal:
        """No more than the order that works already, where that is one; else no more than the turnover that is left."""
        own = self._working.get((symbol, side), _NONE)
        if own.quantity >= least:
            return min(wanted, own.quantity)
        if self._turnover is None:
            return wanted
        scale = self._context.instruments[symbol].quantity_scale
        return min(wanted, money.divide_down(max(self._turnover, money.ZERO) + own.value, price, scale))
