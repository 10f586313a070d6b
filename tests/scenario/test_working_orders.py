"""Orders that stand: filled in parts, cancelled, filled while being cancelled, cancelled by others."""

from __future__ import annotations

from decimal import Decimal

import pytest

from btcbot.domain.intents import Intent, Side
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode

RESTING = ("buy", "0.0005", "1000000")


@pytest.fixture
def resting(rig):
    rig.wish(*RESTING)
    rig.cycle()
    return rig


def sell_into(rig, quantity):
    rig.venue.stranger_orders("sell", "BTCTRY", quantity, "1000000")
    rig.wait(1)


def test_a_part_and_then_the_rest(resting):
    sell_into(resting, "0.0002")
    resting.cycle()
    assert resting.order().status is OrderStatus.PARTIALLY_FILLED
    assert resting.order().leaves_quantity == Decimal("0.0003")
    assert resting.store.holds()[resting.order().client_order_id].amount == Decimal("300.72")
    sell_into(resting, "0.0003")
    resting.cycle()
    assert resting.order().status is OrderStatus.FILLED
    assert resting.store.fill_count() == 2
    resting.heal()
    assert resting.faults() == []


def test_equal_fills_of_one_moment_are_two(resting):
    resting.venue.stranger_orders("sell", "BTCTRY", "0.0002", "1000000")
    resting.venue.stranger_orders("sell", "BTCTRY", "0.0002", "1000000")
    resting.wait(1)
    resting.cycle()
    assert resting.order().filled_quantity == Decimal("0.0004")
    resting.heal()
    assert resting.faults() == []


def test_too_old_is_cancelled_and_final_only_when_the_venue_lists_it_so(resting):
    resting.cycle(6)
    assert resting.order().status is OrderStatus.PENDING_CANCEL
    assert resting.order().reason == ReasonCode.CANCEL_STALE.value
    resting.cycle()
    assert resting.order().status is OrderStatus.CANCELED
    assert resting.store.holds() == {}
    assert len(resting.venue.requests("DELETE")) == 1
    resting.heal()
    assert resting.faults() == []


def test_a_part_is_filled_and_the_rest_cancelled(resting):
    sell_into(resting, "0.0002")
    resting.cycle(8)
    assert resting.order().status is OrderStatus.CANCELED
    assert resting.order().filled_quantity == Decimal("0.0002")
    resting.heal()
    assert resting.faults() == []


@pytest.mark.parametrize(("quantity", "status"), [("0.0002", OrderStatus.CANCELED), ("0.0005", OrderStatus.FILLED)])
def test_filled_while_the_cancellation_is_under_way(resting, quantity, status):
    def meddle(name: str) -> None:
        if name.startswith("after DELETE"):  # asked for, not yet in effect
            resting.points.watch = None
            resting.venue.stranger_orders("sell", "BTCTRY", quantity, "1000000")

    resting.points.watch = meddle
    resting.cycle(8)
    assert resting.order().status is status
    resting.heal()
    assert resting.faults() == []


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("cancel_lost", {}),
        ("lost_before", {}),
        ("lost_after", {}),
        ("html_after", {"status": 502}),
        ("rate_limited", {"retry_after": 5}),
        ("unauthorized", {}),
    ],
)
def test_a_cancellation_that_goes_wrong_is_asked_for_again(resting, kind, params):
    resting.venue.fault(kind, "DELETE", **params)
    resting.cycle(16)
    assert resting.order().status is OrderStatus.CANCELED
    assert len(resting.venue.requests("DELETE")) <= 2
    resting.heal()
    assert resting.faults() == []


def test_somebody_else_cancels_our_order(resting):
    sell_into(resting, "0.0002")
    resting.venue.cancel(resting.order().venue_order_id)
    resting.wait(1)
    resting.cycle(4)
    assert resting.order().status is OrderStatus.CANCELED
    assert resting.order().reason == ReasonCode.CANCELED_AT_VENUE.value
    assert resting.order().filled_quantity == Decimal("0.0002")
    resting.heal()
    assert resting.faults() == []


def test_a_cancelled_order_is_told_a_fill_late(resting):
    """The single order says cancelled and nothing executed, because it lags; the trade turns up afterwards."""
    resting.venue.fault("hide_new", "GET", "/api/v1/users/transactions/trade", count=None, lag_ms=45_000)
    sell_into(resting, "0.0002")
    resting.venue.cancel(resting.order().venue_order_id)
    order = resting.order()
    shown = {"id": int(order.venue_order_id), "price": "1000000", "amount": "0.0005", "leftAmount": "0.0005",
             "quantity": "0.0005", "pairSymbol": "BTCTRY", "type": "buy", "method": "limit", "status": "Canceled",
             "orderClientId": order.client_order_id, "time": 0, "updateTime": 0}  # fmt: skip
    resting.venue.answer("/api/v1/order/", {"data": shown, "success": True, "message": None, "code": 0}, count=3)
    resting.wait(1)
    resting.cycle()
    assert resting.order().status is OrderStatus.CANCELED
    resting.cycle(6)
    assert resting.order().filled_quantity == Decimal("0.0002")
    assert resting.order().reason == f"{ReasonCode.CANCELED_AT_VENUE.value}; {ReasonCode.LATE_FILL.value}"
    resting.heal()
    assert resting.faults() == []


def test_the_operator_cancels_one_and_all(resting):
    assert resting.ask("cancel", client_order_id="all").done
    resting.cycle(2)
    assert resting.order().status is OrderStatus.CANCELED
    resting.heal()
    assert resting.faults() == []


class Patient:
    """Bids below the market wherever no order stands."""

    name = "patient"

    def generate(self, context):
        return [
            Intent(
                intent_id=f"{context.cycle_id}:{symbol}",
                cycle_id=context.cycle_id,
                strategy=self.name,
                symbol=symbol,
                side=Side.BUY,
                price=Decimal(990_000),
                quantity=Decimal("0.0005"),
                why="no order stands",
            )
            for symbol in context.symbols
            if symbol not in context.symbols_with_open_orders
        ]


def test_a_strategy_is_told_where_an_order_stands_and_where_none_does_any_more(make_rig):
    """Risk would take five orders of a pair; it is the strategy that wants no more than one."""
    rig = make_rig(strategy=lambda settings: Patient(), MAX_OPEN_ORDERS_PER_SYMBOL="5")
    rig.cycle(3)
    (order,) = rig.orders()
    assert order.status is OrderStatus.ACCEPTED
    rig.venue.cancel(rig.venue.working()[0].id)
    rig.cycle(3)
    assert rig.statuses() == [OrderStatus.CANCELED, OrderStatus.ACCEPTED]
    assert rig.faults() == []
