"""Order upkeep: which working orders have stood too long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from btcbot.domain.orders import WORKING, Order, OrderStatus

#: A cancel that had no effect is asked for again after this at the latest.
CANCEL_RETRY_MS_MAX: Final = 60_000


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
            return _is_due_again(order, now_ms, cancel_retry_ms)
        return now_ms - order.created_at_ms >= ttl_ms

    return sorted(filter(is_due, orders), key=lambda order: order.created_at_ms)


def cancels_due_again(orders: Iterable[Order], now_ms: int, cancel_retry_ms: int) -> Sequence[Order]:
    """Working orders whose cancellation was asked for, had no effect, and is due again; oldest first.

    A PENDING_CANCEL order without the time of the wish was asked for again, and that request never left: it is due.
    """
    due = (
        order
        for order in orders
        if order.status in WORKING
        and order.venue_order_id is not None
        and _is_due_again(order, now_ms, cancel_retry_ms)
    )
    return sorted(due, key=lambda order: order.created_at_ms)


def cancel_retry_ms(ttl_ms: int, settle_horizon_ms: int) -> int:
    """How long a cancellation is waited for before it is asked for again: not before the lists can show it."""
    return max(settle_horizon_ms, min(ttl_ms, CANCEL_RETRY_MS_MAX))


def _is_due_again(order: Order, now_ms: int, retry_ms: int) -> bool:
    asked_ms = order.cancel_requested_at_ms
    if asked_ms is None:
        return order.status is OrderStatus.PENDING_CANCEL
    return not 0 <= now_ms - asked_ms < retry_ms


def left_resting(orders: Iterable[Order]) -> Sequence[Order]:
    """Orders that stay at the venue when we stop now: what a farewell has to name."""
    return [order for order in orders if order.is_open]
