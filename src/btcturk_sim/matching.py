"""Who trades with whom: orders on arrival, resting orders when the market moves.

Price first, then time; at one price the clients' orders come before the synthetic level. A market order takes nothing
worse than 5 % from the best price at its submission.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from btcturk_sim.book import Level
from btcturk_sim.clearing import Clearing
from btcturk_sim.events import OrderClosed
from btcturk_sim.floor import Floor
from btcturk_sim.money import ZERO, decimals_of, divide_down, round_down
from btcturk_sim.orders import Method, Order, OrderRequest, Side, Status
from btcturk_sim.pair import Pair

_COLLAR_UP: Final = Decimal("1.05")
_COLLAR_DOWN: Final = Decimal("0.95")
# At a touched, not crossed, price a resting order stands in a queue with others: it gets a quarter of the flow.
_TOUCH_SHARE: Final = Decimal(4)
_ALL_LEVELS: Final = 1_000_000


def collar(pair: Pair, side: Side) -> Decimal | None:
    """The worst price that a market order of this side takes now; None if there is nobody to trade with."""
    best = pair.best_ask() if side is Side.BUY else pair.best_bid()
    return None if best is None else best * (_COLLAR_UP if side is Side.BUY else _COLLAR_DOWN)


class Matching:
    def __init__(self, floor: Floor, clearing: Clearing) -> None:
        self._floor = floor
        self._clearing = clearing

    def execute(self, pair: Pair, order: Order, now_ms: int) -> None:
        """Match on arrival; rest what is left of a limit order, end what is left of a market order."""
        self._match(pair, order, now_ms)
        if not order.status.is_open:
            return
        if order.method is Method.LIMIT:
            if order.side is Side.BUY:
                hold = self._clearing.hold_for(order.instrument, order.price, order.left, maker=True)
                self._clearing.set_hold(order, hold, now_ms)
            order.resting = True
            pair.clients.add(order)
        elif order.filled and self._floor.options.market_remainder == "closed":
            order.unfilled = order.left
            self._close(order, now_ms)
        else:
            self._clearing.end(order, Status.CANCELED, now_ms)

    def has_room_for(self, pair: Pair, request: OrderRequest, budget: Decimal | None) -> bool:
        """Whether the book within the collar can take the whole market order."""
        worst = collar(pair, request.side)
        if worst is None:
            return False
        buying = request.side is Side.BUY
        found = ZERO
        for price, quantity in pair.levels(request.side.opposite, _ALL_LEVELS):
            if price > worst if buying else price < worst:
                break
            found += quantity if budget is None else quantity * price
        return found >= (request.quantity if budget is None else budget)

    def _close(self, order: Order, now_ms: int) -> None:
        self._clearing.end(order, Status.CLOSED, now_ms)
        self._floor.tell(OrderClosed(order, now_ms))

    def _match(self, pair: Pair, order: Order, now_ms: int) -> None:
        worst = order.price if order.method is Method.LIMIT else collar(pair, order.side)
        buying = order.side is Side.BUY
        against = order.side.opposite
        while order.status.is_open and worst is not None:
            resting = pair.clients.best(against)
            level = pair.book.best(against)
            # At one price the clients' orders come first: they were there before this step's synthetic level.
            if resting is not None and (
                level is None or (resting.price <= level.price if buying else resting.price >= level.price)
            ):
                price = resting.price
            elif level is not None:
                price, resting = level.price, None
            else:
                break
            if price > worst if buying else price < worst:
                break
            if resting is not None and resting.account is order.account and self._is_prevented(order, resting, now_ms):
                continue
            if not self._take(pair, order, resting, level, price, now_ms):
                break

    def _is_prevented(self, order: Order, resting: Order, now_ms: int) -> bool:
        """An account has met itself: end one of the two orders where the exchange forbids that."""
        rule = self._floor.options.self_trades
        if rule == "allowed":
            return False
        self._clearing.end(order if rule == "cancel-incoming" else resting, Status.CANCELED, now_ms)
        return True

    def _take(
        self, pair: Pair, order: Order, resting: Order | None, level: Level | None, price: Decimal, now_ms: int
    ) -> bool:
        """Trade once at `price`; False when the order has come to its end by dust."""
        scale = order.instrument.quantity_scale
        if resting is not None:
            wanted = self._wanted(order, price)
            quantity = min(resting.left, wanted if order.budget is None else round_down(wanted, scale))
        else:
            assert level is not None
            if order.budget is None and decimals_of(level.quantity) > scale:
                # A market buy left a fraction behind; limit orders trade in whole steps.
                level.quantity = round_down(level.quantity, scale)
                if level.quantity == 0:
                    return True
            quantity = min(level.quantity, self._wanted(order, price))
        clearing = self._clearing
        if quantity <= 0:
            if order.budget is not None:
                if order.filled:
                    self._close(order, now_ms)
                else:
                    clearing.end(order, Status.CANCELED, now_ms)
            return False
        match_id = clearing.next_public_id
        if resting is not None:
            clearing.fill(resting, quantity, price, maker=True, now_ms=now_ms, match_id=match_id)
        elif level is not None:
            level.quantity -= quantity
        clearing.fill(order, quantity, price, maker=False, now_ms=now_ms, match_id=match_id)
        clearing.print_trade(pair, price, quantity, order.side, now_ms)
        return True

    @staticmethod
    def _wanted(order: Order, price: Decimal) -> Decimal:
        if order.budget is None:
            return order.left
        return divide_down(order.budget, price, order.instrument.fill_scale)

    def trade_through(self, pair: Pair, flow: Decimal, now_ms: int) -> None:
        """The bar's trades at this price hit resting orders that are as good or better, as far as volume goes."""
        for side in (Side.BUY, Side.SELL):
            queueing = False
            while flow > 0:
                order = pair.clients.best(side)
                if order is None or (order.price < pair.price if side is Side.BUY else order.price > pair.price):
                    break
                if order.price == pair.price and not queueing:
                    queueing = True
                    flow = divide_down(flow, _TOUCH_SHARE, order.instrument.quantity_scale)
                quantity = min(order.left, flow)
                if quantity <= 0:
                    break
                # The public saw it as a part of the bar's own flow.
                self._clearing.fill(order, quantity, order.price, maker=True, now_ms=now_ms, match_id=None)
                flow -= quantity

    def uncross(self, pair: Pair, now_ms: int) -> None:
        """Where the new synthetic book would cross resting orders, its levels trade with them at their price."""
        clearing = self._clearing
        for side in (Side.BUY, Side.SELL):
            while (order := pair.clients.best(side)) is not None:
                level = pair.book.best(side.opposite)
                if level is None or (order.price < level.price if side is Side.BUY else order.price > level.price):
                    break
                quantity = min(order.left, round_down(level.quantity, order.instrument.quantity_scale))
                level.quantity -= quantity
                if quantity == 0:
                    level.quantity = ZERO
                    continue
                clearing.fill(order, quantity, order.price, maker=True, now_ms=now_ms, match_id=clearing.next_public_id)
                clearing.print_trade(pair, order.price, quantity, side.opposite, now_ms)
