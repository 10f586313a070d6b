"""Stop orders: they wait outside the book until the price has come to them.

A triggered stop ends as Canceled, and a new order with a new id carries on under its client id and its stop price.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from btcturk_sim.clearing import Clearing
from btcturk_sim.floor import Floor
from btcturk_sim.matching import Matching
from btcturk_sim.orders import Method, Order, OrderRequest, Side, Status
from btcturk_sim.pair import Pair

#: Takes an order into the account: request, stop, hold, time.
Accept = Callable[[OrderRequest, Order, Decimal, int], Order]


class Stops:
    def __init__(self, floor: Floor, clearing: Clearing, matching: Matching, accept: Accept) -> None:
        self._floor = floor
        self._clearing = clearing
        self._matching = matching
        self._accept = accept

    def trigger(self, pair: Pair, now_ms: int) -> None:
        """Let the stops go off whose price is reached."""
        for stop in [order for order in pair.stops if self._is_due(pair, order)]:
            self._go_off(pair, stop, now_ms)

    def _is_due(self, pair: Pair, stop: Order) -> bool:
        if stop.stop_price is None:
            return False
        price = pair.stop_reference(stop.side) if self._floor.options.stop_reference == "book" else pair.price
        return price >= stop.stop_price if stop.side is Side.BUY else price <= stop.stop_price

    def _go_off(self, pair: Pair, stop: Order, now_ms: int) -> None:
        hold, budget, options = stop.hold, stop.budget, self._floor.options
        self._clearing.end(stop, Status.CANCELED, now_ms)
        request = OrderRequest(
            instrument=stop.instrument, side=stop.side, quantity=stop.quantity,
            method=Method.LIMIT if stop.method is Method.STOP_LIMIT else Method.MARKET,
            price=stop.price or None, stop_price=stop.stop_price, client_id=stop.client_id,
        )  # fmt: skip
        if hold == 0:
            # It has locked nothing so far: now it must, or it goes no further.
            hold = self._clearing.need_of(stop)
            if self._clearing.refusal(stop.account, stop.hold_asset, hold, now_ms) is not None:
                return
        if (
            request.method is Method.MARKET
            and options.market_remainder == "refused"
            and not self._matching.has_room_for(pair, request, budget)
        ):
            return
        self._matching.execute(pair, self._accept(request, stop, hold, now_ms), now_ms)
