"""The venue's lists tell the past, each another past. What is booked is what happened, once."""

from __future__ import annotations

import pytest

from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import TradingState

RESTING = ("buy", "0.0005", "1000000")
TAKING = ("buy", "0.0005", "1000500")
LISTS = {
    "open orders": "/api/v1/openOrders",
    "all orders": "/api/v1/allOrders",
    "single orders": "/api/v1/order/",
    "trades": "/api/v1/users/transactions/trade",
    "balances": "/api/v1/users/balances",
    "every list": "/api/v1",
}


@pytest.mark.parametrize("lag_ms", [3_000, 12_000, 25_000])
@pytest.mark.parametrize("kind", ["lag", "hide_new"])
@pytest.mark.parametrize("path", LISTS.values(), ids=LISTS)
def test_a_buy_and_a_sell_while_a_list_lags(rig, path, kind, lag_ms):
    rig.venue.fault(kind, "GET", path, count=None, lag_ms=lag_ms)
    rig.wish(*TAKING)
    rig.cycle(6)
    rig.wish("sell", "0.0002", "999500")
    rig.cycle(6)
    assert rig.state() not in {TradingState.HALTED, TradingState.FROZEN}
    rig.heal()
    assert rig.faults() == []
    assert rig.statuses() == [OrderStatus.FILLED, OrderStatus.FILLED]


@pytest.mark.parametrize("lag_ms", [12_000, 25_000])
@pytest.mark.parametrize("path", LISTS.values(), ids=LISTS)
def test_a_resting_order_is_filled_by_and_by_while_a_list_lags(rig, path, lag_ms):
    rig.venue.fault("lag", "GET", path, count=None, lag_ms=lag_ms)
    rig.wish(*RESTING)
    rig.cycle(2)
    rig.venue.stranger_orders("sell", "BTCTRY", "0.0002", "1000000")
    rig.cycle(2)
    rig.venue.stranger_orders("sell", "BTCTRY", "0.0003", "1000000")
    rig.cycle(4)
    rig.heal()
    assert rig.statuses() == [OrderStatus.FILLED]
    assert rig.faults() == []


@pytest.mark.parametrize("lag_ms", [12_000, 25_000])
@pytest.mark.parametrize("path", LISTS.values(), ids=LISTS)
def test_a_stale_order_is_cancelled_while_a_list_lags(make_rig, path, lag_ms):
    rig = make_rig(TTL_SECONDS="15")
    rig.cycle()
    rig.venue.fault("lag", "GET", path, count=None, lag_ms=lag_ms)
    rig.wish(*RESTING)
    rig.cycle(2)
    rig.venue.stranger_orders("sell", "BTCTRY", "0.0002", "1000000")
    rig.cycle(8)
    rig.heal()
    assert rig.statuses() == [OrderStatus.CANCELED]
    assert rig.faults() == []


@pytest.mark.parametrize("wish", [RESTING, TAKING], ids=["resting", "taking"])
@pytest.mark.parametrize("path", LISTS.values(), ids=LISTS)
def test_a_lost_answer_while_a_list_lags(rig, path, wish):
    rig.venue.fault("lost_after", "POST")
    rig.venue.fault("lag", "GET", path, count=None, lag_ms=25_000)
    rig.wish(*wish)
    rig.cycle(8)
    rig.heal()
    assert rig.order().venue_order_id is not None
    assert rig.faults() == []


def test_the_trade_list_tells_of_a_fill_before_any_list_shows_the_order(rig):
    rig.venue.fault("lost_after", "POST")
    rig.venue.fault("hide_new", "GET", "/api/v1/openOrders", count=None, lag_ms=60_000)
    rig.venue.fault("hide_new", "GET", "/api/v1/allOrders", count=None, lag_ms=60_000)
    rig.wish(*TAKING)
    rig.cycle()
    assert rig.order().status is OrderStatus.UNKNOWN
    assert rig.cycle().counts["fills"] == 1
    assert rig.order().status is OrderStatus.FILLED
    rig.heal()
    assert rig.faults() == []


def test_open_orders_still_show_an_order_that_we_have_booked_as_filled(rig):
    rig.wish(*RESTING)
    rig.cycle(3)
    rig.venue.fault("lag", "GET", "/api/v1/openOrders", count=None, lag_ms=25_000)
    rig.venue.price("BTCTRY", "998000")
    rig.wait(1)
    rig.cycle()
    assert rig.order().status is OrderStatus.FILLED
    rig.cycle(2)
    rig.heal()
    assert rig.faults() == []


def test_a_listing_for_one_order_in_doubt_shows_another_that_is_done(rig):
    """Two orders of one symbol within five seconds: the complete listing for the second shows the first as well."""
    rig.cycle_seconds = 1.0
    rig.wish(*TAKING)
    rig.cycle(3)
    assert rig.order().status is OrderStatus.FILLED
    rig.venue.fault("lost_before", "POST")
    rig.wish(*TAKING)
    rig.cycle(3)
    assert rig.statuses() == [OrderStatus.FILLED, OrderStatus.UNKNOWN]
    rig.cycle_seconds = 10.0
    rig.heal()
    assert rig.statuses() == [OrderStatus.FILLED, OrderStatus.NOT_PLACED]
    assert rig.faults() == []
