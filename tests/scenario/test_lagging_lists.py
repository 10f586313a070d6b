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


@pytest.mark.parametrize("wrong_s", [-3_600, -120, -30, 30, 3_600])
def test_our_clock_is_set_right_while_every_list_lags(make_rig, wrong_s):
    """A booked trade is told no more for a while, which a clock that was behind takes for long."""
    rig = make_rig(SETTLE_HORIZON_SECONDS="30")
    rig.cycle()
    rig.cycle_seconds = 2.0
    rig.venue.human_orders("buy", "BTCTRY", *TAKING[1:])
    rig.cycle(2)
    rig.venue.fault("lag", "GET", "/api/v1", count=None, lag_ms=20_000)
    rig.clock.step(wrong_s)
    rig.cycle()
    assert {difference.asset for difference in rig.store.discrepancies()} == {"BTC", "TRY"}
    rig.clock.set_right()
    rig.cycle(6)
    assert rig.state() is not TradingState.FROZEN
    rig.heal()
    assert rig.faults() == []


def test_a_crash_between_two_equal_trades_does_not_make_two_differences_one(make_rig):
    """The same purchase twice, each told no more for a while: the second difference is as large, and not as old."""
    rig = make_rig(SETTLE_HORIZON_SECONDS="30")
    rig.cycle()
    rig.cycle_seconds = 2.0
    rig.venue.human_orders("buy", "BTCTRY", *TAKING[1:])
    rig.cycle(2)
    rig.venue.fault("lag", "GET", "/api/v1", count=None, lag_ms=20_000)
    rig.cycle()
    first = rig.store.discrepancies()
    rig.venue.clear_faults()
    rig.venue.fault("html_before", "GET", "/api/v1/openOrders", count=None, status=503)
    rig.wait(40)
    rig.venue.human_orders("buy", "BTCTRY", *TAKING[1:])
    rig.cycle(2)  # the trade is booked, and nothing can be compared
    rig.crash()
    rig.start()
    rig.venue.clear_faults()
    rig.venue.fault("lag", "GET", "/api/v1", count=None, lag_ms=20_000)
    rig.cycle()
    second = rig.store.discrepancies()
    assert [each.amount for each in second] == [each.amount for each in first]
    rig.cycle(4)
    assert rig.state() is not TradingState.FROZEN
    rig.heal()
    assert rig.faults() == []


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


@pytest.mark.parametrize("step_s", [0, 120])
def test_a_filled_order_in_a_lagging_list_halts_nobody_whatever_becomes_of_our_clock(make_rig, step_s):
    """How long the list lags is a matter of the venue's time: setting our own clock makes no list older."""
    rig = make_rig(SETTLE_HORIZON_SECONDS="30")
    rig.cycle()
    rig.cycle_seconds = 2.0
    rig.wish("buy", "0.0005", "1000000")
    rig.cycle(15)
    rig.venue.fault("lag", "GET", "/api/v1/openOrders", count=None, lag_ms=20_000)
    rig.venue.price("BTCTRY", "998000")
    rig.wait(1)
    rig.cycle()
    assert rig.order().status is OrderStatus.FILLED

    rig.clock.step(step_s)
    rig.cycle()

    assert rig.state() is not TradingState.HALTED
