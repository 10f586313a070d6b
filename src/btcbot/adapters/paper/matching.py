"""When the market fills an order of ours that the market never saw: pure, one pair at a time, no clock and no I/O.

Prices come in as books and public trades; matches come out. Our orders are not in the real book, so whatever that book
would have done with them is decided against us:

- An order that can trade on arrival takes what is shown on the other side, level by level, best first, each at its own
  price, and no more than is shown. The rest rests at its limit.
- What an order of ours took from a level stays taken for as long as the book may still show that level: the same
  quantity is never taken twice.
- A resting order whose price the other side of the book reaches trades with what is shown there, at its *own* price.
- A resting order whose price a public trade went through fills at its own price.
- A public trade *at* its price fills it only after as much has traded there as stood ahead of it when it was placed;
  where that was not shown, nothing fills it there until its level is shown, and then all of that stands ahead.
- Of one public trade our orders together get at most `trade_share`, whole lots only, best price first and then the
  oldest, and only orders that stood there before it. A trade whose taker was on our side is not for us: what it took
  was in the book, and the book has offered it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final, NamedTuple, TypeAlias

import msgspec

from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Side

#: Prices at which something of ours was taken that are remembered for each side; beyond it the farthest is forgotten.
TAKEN_MAX: Final = 256


class Level(NamedTuple):
    """One price of a book and what is shown there; a quantity of zero was not told."""

    price: Decimal
    quantity: Decimal


#: One side of a book, the best price first.
Levels: TypeAlias = tuple[Level, ...]


class MarketTrade(msgspec.Struct, frozen=True, gc=False):
    """A trade of anybody, in venue time. `taker` is the side that took, None where nobody told."""

    at_ms: int
    price: Decimal
    quantity: Decimal
    taker: Side | None
    trade_id: str = ""


class PaperOrder(msgspec.Struct, kw_only=True):
    """An order at this venue. `number` is its age among all; `ahead` what stood before it at its price, None while that
    is not known. `locked` are the funds set aside for it, in quote for a buy, in base for a sell."""

    number: int
    venue_order_id: str
    client_order_id: str
    symbol: str
    base: str
    quote: str
    side: Side
    price: Decimal
    quantity: Decimal
    leaves: Decimal
    placed_at_ms: int
    updated_at_ms: int
    ahead: Decimal | None = None
    locked: Decimal = money.ZERO
    is_canceled: bool = False

    @property
    def is_open(self) -> bool:
        return not self.is_canceled and self.leaves > 0

    @property
    def locked_asset(self) -> str:
        return self.quote if self.side is Side.BUY else self.base


class Taken(NamedTuple):
    """What our orders took from a level that the book may still show; `side` is the book's."""

    side: Side
    price: Decimal
    quantity: Decimal


class Match(msgspec.Struct, frozen=True, gc=False):
    """So much of `order` traded at `price`, which left it with `leaves`."""

    order: PaperOrder
    price: Decimal
    quantity: Decimal
    leaves: Decimal
    is_maker: bool


class PairMatching:
    """One pair: its book as last shown, what we took from it, and our orders that rest."""

    def __init__(self, instrument: Instrument, trade_share: Decimal) -> None:
        self.instrument = instrument
        self.bids: Levels = ()
        self.asks: Levels = ()
        self._trade_share = trade_share
        self._resting: list[PaperOrder] = []
        #: By the book's side: price → what our orders took there and the book may still show.
        self._taken: dict[Side, dict[Decimal, Decimal]] = {Side.BUY: {}, Side.SELL: {}}

    @property
    def resting(self) -> Sequence[PaperOrder]:
        return self._resting

    @property
    def taken(self) -> tuple[Taken, ...]:
        """What we took and the book may still show."""
        return tuple(Taken(side, *level) for side, levels in self._taken.items() for level in levels.items())

    # -- our orders ----------------------------------------------------------------------------------------------------

    def place(self, order: PaperOrder) -> list[Match]:
        """A new order: what it takes on arrival. What is left of it rests."""
        matches = []
        for level in self._opposite(order.side):
            if not _crosses(order, level.price):
                break
            match = self._take(order, level, level.price, is_maker=False)
            if match is not None:
                matches.append(match)
            if not order.leaves:
                return matches
        order.ahead = self._shown_ahead(order)
        self._resting.append(order)
        return matches

    def restore(self, orders: Sequence[PaperOrder], taken: Sequence[Taken]) -> None:
        """As it was before a restart, but for the book."""
        self._resting += orders
        for side, price, quantity in taken:
            self._taken[side][price] = quantity

    # -- the market ----------------------------------------------------------------------------------------------------

    def show(self, bids: Levels, asks: Levels) -> list[Match]:
        """The book as it is now, from the best levels on as far as it is known. A side without levels is unknown."""
        self.bids, self.asks = bids, asks
        self._forget_taken()
        if not self._resting:
            return []
        matches = []
        for order in self._by_priority(self._resting):
            if order.ahead is None:
                order.ahead = self._shown_ahead(order)
            for level in self._opposite(order.side):
                if not order.leaves or not _crosses(order, level.price):
                    break
                match = self._take(order, level, order.price, is_maker=True)
                if match is not None:
                    matches.append(match)
        self.drop_closed()
        return matches

    def trade(self, trade: MarketTrade) -> list[Match]:
        """A public trade happened."""
        if not self._resting:
            return []
        matches = []
        left = self.instrument.quantity_down(self._for_us(trade) * self._trade_share)
        given = money.ZERO
        for order in self._by_priority(self._resting):
            if order.placed_at_ms >= trade.at_ms or trade.taker is order.side:
                continue
            if order.price == trade.price:
                if order.ahead is None:
                    continue
                behind = max(trade.quantity - order.ahead - given, money.ZERO)
                order.ahead = max(order.ahead - trade.quantity, money.ZERO)
                quantity = min(order.leaves, left, self.instrument.quantity_down(behind))
            elif _crosses(order, trade.price):
                order.ahead = money.ZERO  # whoever stood at its price has traded
                quantity = min(order.leaves, left)
            else:
                continue
            if quantity > 0:
                left, given = left - quantity, given + quantity
                order.leaves -= quantity
                matches.append(Match(order, order.price, quantity, order.leaves, is_maker=True))
        self.drop_closed()
        return matches

    # -- inside --------------------------------------------------------------------------------------------------------

    def _opposite(self, side: Side) -> Levels:
        return self.asks if side is Side.BUY else self.bids

    def _take(self, order: PaperOrder, level: Level, price: Decimal, *, is_maker: bool) -> Match | None:
        """Let the order trade with a level, as far as that is not taken yet."""
        taken = self._taken[_other(order.side)]
        free = self.instrument.quantity_down(max(level.quantity - taken.get(level.price, money.ZERO), money.ZERO))
        quantity = min(order.leaves, free)
        if quantity <= 0:
            return None
        taken[level.price] = taken.get(level.price, money.ZERO) + quantity
        if len(taken) > TAKEN_MAX:
            del taken[max(taken) if order.side is Side.BUY else min(taken)]
        order.leaves -= quantity
        return Match(order, price, quantity, order.leaves, is_maker)

    def _forget_taken(self) -> None:
        """A price better than the best is in the book no more: whatever is shown there later is new."""
        for side, levels in ((Side.BUY, self.bids), (Side.SELL, self.asks)):
            taken = self._taken[side]
            if taken and levels:
                best = levels[0].price
                for price in [price for price in taken if (price > best if side is Side.BUY else price < best)]:
                    del taken[price]

    def _shown_ahead(self, order: PaperOrder) -> Decimal | None:
        """What stands at the order's price on its own side; None where the book is not shown that far."""
        levels = self.bids if order.side is Side.BUY else self.asks
        for level in levels:
            if level.price == order.price:
                return level.quantity or None
            if _is_better(order, level.price):
                return money.ZERO  # its price lies between two levels, or before the first
        return None

    def _for_us(self, trade: MarketTrade) -> Decimal:
        """What of a trade was not taken by us already: where nobody told its taker, it may be what we took."""
        if trade.taker is not None:
            return trade.quantity
        taken = max(side.get(trade.price, money.ZERO) for side in self._taken.values())
        return max(trade.quantity - taken, money.ZERO)

    def _by_priority(self, orders: Sequence[PaperOrder]) -> Iterator[PaperOrder]:
        """Best price first, then the oldest."""
        if len(orders) == 1:
            return iter(orders)
        return iter(sorted(orders, key=lambda one: (one.price if one.side is Side.SELL else -one.price, one.number)))

    def drop_closed(self) -> None:
        """Orders that were filled or cancelled rest no more."""
        if any(not order.is_open for order in self._resting):
            self._resting = [order for order in self._resting if order.is_open]


def _other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


def _crosses(order: PaperOrder, price: Decimal) -> bool:
    """Whether the order would trade with somebody at `price`."""
    return price <= order.price if order.side is Side.BUY else price >= order.price


def _is_better(order: PaperOrder, price: Decimal) -> bool:
    """Whether the order's price is better than `price` on its own side of the book."""
    return order.price > price if order.side is Side.BUY else order.price < price
