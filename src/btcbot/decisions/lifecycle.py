"""Order upkeep: which working orders have stood too long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from btcbot.domain.orders import WORKING, Order


def stale_orders(orders: Iterable[Order], now_ms: int, ttl_ms: int, cancel_retry_ms: int) -> Sequence[Order]:
    """Working orders at least `ttl_ms` old whose cancellation is due, oldest first.

    A cancel is asynchronous and may get lost, so a PENDING_CANCEL order is asked for again, but never more often than
    every `cancel_retry_ms`: a venue that keeps refusing must not be hammered. A cancel that was asked for later than
    now was noted by a clock that ran ahead and has been set right since: nobody knows how long ago, so it is due.
    """

    def is_due(order: Order) -> bool:
        if order.status not in WORKING or order.venue_order_id is None:
            return False
        if order.cancel_requested_at_ms is not None:
            return not 0 <= now_ms - order.cancel_requested_at_ms < cancel_retry_ms
        return now_ms - order.created_at_ms >= ttl_ms

    return sorted(filter(is_due, orders), key=lambda order: order.created_at_ms)


def left_resting(orders: Iterable[Order]) -> Sequence[Order]:
    """Orders that stay at the venue when we stop now: what a farewell has to name."""
    return [order for order in orders if order.is_open]
