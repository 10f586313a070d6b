"""The venue's lists show own orders that are closed, too: in a complete listing, or because a list lags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from tests.builders import BOOK_ID, NOW_MS, RATES, a_venue_order, an_account, an_instrument, an_order

from btcbot.adapters.store import MemoryStore
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.venue import VenueOrder, VenueOrderStatus
from btcbot.services.order_lifecycle import OrderLifecycle


class QuietLog:
    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


class StandingClock:
    def now_ms(self) -> int:
        return NOW_MS + 20_000

    def monotonic_ns(self) -> int:
        return 0


class Venue:
    """Lists what it is told to list."""

    def __init__(self, is_open: Sequence[VenueOrder] = (), listed: Sequence[VenueOrder] = ()) -> None:
        self.is_open, self.listed = is_open, listed

    def venue_time_ms(self) -> int:
        return NOW_MS + 20_000

    def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        return self.is_open

    def all_orders(self, symbol: str, since_ms: int) -> Sequence[VenueOrder]:
        return self.listed

    def instruments(self) -> Any:
        return {"ADATRY": an_instrument()}


def compare(store: MemoryStore, venue: Venue) -> None:
    lifecycle = OrderLifecycle(
        store, cast(Any, venue), cast(Any, StandingClock()), QuietLog(), BOOK_ID, lambda: RATES, 2_000
    )
    lifecycle.refresh(an_account(TRY="1000"), {"ADATRY": an_instrument()}, lambda order: 0)


def a_store_with(*orders: Order) -> MemoryStore:
    store = MemoryStore()
    with store.transaction() as tx:
        for order in orders:
            tx.insert_order(order)
    return store


DONE = pytest.mark.parametrize(
    "done",
    [an_order(1, status=OrderStatus.FILLED, filled="2"), an_order(1, status=OrderStatus.CANCELED)],
    ids=["filled", "canceled"],
)


@DONE
def test_a_closed_order_in_a_complete_listing_is_not_adopted_a_second_time(done: Order) -> None:
    """While the fate of one order is open its symbol is listed in full, and an order that was done lately is in it."""
    in_doubt = an_order(2, status=OrderStatus.UNKNOWN)
    store = a_store_with(done, in_doubt)
    shown = a_venue_order(done, executed=str(done.filled_quantity), status=VenueOrderStatus.CLOSED)

    compare(store, Venue(listed=[shown]))

    assert store.order(done.client_order_id) == done
    unknown = store.order(in_doubt.client_order_id)
    assert unknown is not None and unknown.absent_count == 1


@DONE
def test_an_order_that_a_lagging_list_still_shows_as_open_is_not_adopted_a_second_time(done: Order) -> None:
    """The trade list told the last fill before the list of open orders forgot the order."""
    store = a_store_with(done)

    compare(store, Venue(is_open=[a_venue_order(done)]))

    assert store.order(done.client_order_id) == done
