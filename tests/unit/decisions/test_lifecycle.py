"""Which orders have stood too long."""

from __future__ import annotations

import pytest
from tests.builders import NOW_MS, an_order

from btcbot.decisions.lifecycle import left_resting, stale_orders
from btcbot.domain.orders import CLOSED, OPEN, WORKING, OrderStatus

TTL_MS, RETRY_MS = 60_000, 30_000


def stale(*orders: object, at_ms: int = NOW_MS) -> list[str]:
    return [order.client_order_id for order in stale_orders(orders, at_ms, TTL_MS, RETRY_MS)]  # type: ignore[arg-type]


@pytest.mark.parametrize(("age_ms", "is_stale"), [(TTL_MS - 1, False), (TTL_MS, True), (TTL_MS + 1, True)])
def test_an_order_is_stale_once_it_is_as_old_as_the_limit(age_ms: int, is_stale: bool) -> None:
    assert bool(stale(an_order(created_at_ms=NOW_MS - age_ms))) is is_stale


@pytest.mark.parametrize("status", OrderStatus)
def test_only_working_orders_are_cancelled(status: OrderStatus) -> None:
    old = an_order(status=status, created_at_ms=0, venue_order_id="v1")

    assert bool(stale(old)) is (status in WORKING)


def test_an_order_without_a_venue_order_id_cannot_be_cancelled() -> None:
    assert not stale(an_order(created_at_ms=0, venue_order_id=None))


@pytest.mark.parametrize("status", [OrderStatus.PENDING_CANCEL, OrderStatus.ACCEPTED])
@pytest.mark.parametrize(("since_ms", "is_due"), [(RETRY_MS - 1, False), (RETRY_MS, True)])
def test_a_cancel_that_changed_nothing_is_asked_again_but_not_hammered(
    status: OrderStatus, since_ms: int, is_due: bool
) -> None:
    """A lost request leaves PENDING_CANCEL, a refused one leaves the order ACCEPTED; both wait before the next."""
    asked = an_order(status=status, created_at_ms=0, cancel_requested_at_ms=NOW_MS - since_ms)

    assert bool(stale(asked)) is is_due


@pytest.mark.parametrize(("ahead_ms", "is_due"), [(0, False), (1, True), (3_600_000, True)])
def test_a_cancel_that_was_noted_by_a_clock_ahead_of_ours_is_due(ahead_ms: int, is_due: bool) -> None:
    """Asked for at this very millisecond, it waits its time; asked for later than now, nobody knows when it was."""
    asked = an_order(status=OrderStatus.PENDING_CANCEL, created_at_ms=0, cancel_requested_at_ms=NOW_MS + ahead_ms)

    assert bool(stale(asked)) is is_due


def test_the_oldest_goes_first() -> None:
    orders = [an_order(number, created_at_ms=NOW_MS - TTL_MS - number) for number in (1, 3, 2)]

    assert stale(*orders) == [orders[1].client_order_id, orders[2].client_order_id, orders[0].client_order_id]


def test_a_farewell_names_every_open_order_and_no_closed_one() -> None:
    orders = [an_order(number, status=status) for number, status in enumerate(OrderStatus)]

    assert {order.status for order in left_resting(orders)} == OPEN
    assert not left_resting([an_order(status=status) for status in CLOSED])
