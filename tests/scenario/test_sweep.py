"""The sweep is a plan like any other: it is really carried out."""

from __future__ import annotations

from decimal import Decimal

import pytest

from btcbot.domain.orders import OrderStatus


def test_idle_cash_becomes_resting_bids(make_rig):
    rig = make_rig(symbols=("BTCTRY", "ETHTRY"), balances={"TRY": "1000"}, SWEEP_ENABLED="true")
    rig.cycle()
    assert rig.statuses() == [OrderStatus.ACCEPTED, OrderStatus.ACCEPTED]
    assert {order.strategy for order in rig.orders()} == {"sweep"}
    assert all(order.price == Decimal(997_501) for order in rig.orders())
    rig.cycle(2)
    assert len(rig.orders()) == 2
    rig.heal()
    assert rig.faults() == []


def test_cash_far_above_the_caps_is_swept_in_steps_and_no_wish_is_refused(make_rig):
    """A cycle may spend 600, a pair hold 450: wishes beyond that would be refused whole, in every cycle again."""
    rig = make_rig(
        symbols=("BTCTRY", "ETHTRY"),
        balances={"TRY": "50000"},
        SWEEP_ENABLED="true",
        NOTIONAL_CAP_TRY_PER_CYCLE="600",
        MAX_POSITION_TRY_PER_SYMBOL="450",
        ENTRY_BUDGET_TRY="400",
    )
    rig.cycle()
    assert [order.strategy for order in rig.orders()] == ["sweep", "sweep"]
    assert all(295 < order.value <= 300 for order in rig.orders())
    rig.cycle(3)
    verdicts = [one for report in rig.store.cycles(10) for one in rig.store.verdicts(report.cycle_id)]
    assert all(one.allowed for one in verdicts if ":sweep:" in one.intent_id)
    rig.heal()
    assert rig.faults() == []


@pytest.mark.parametrize(("target", "reserve"), [("600", "300"), ("300", "600")])
def test_the_larger_of_what_a_sweep_and_what_any_buy_leaves_untouched_stays(make_rig, target, reserve):
    """Of 1,000 TRY 600 stay, whichever setting says so: a wish for more would spend them, or be refused whole."""
    rig = make_rig(balances={"TRY": "1000"}, SWEEP_ENABLED="true", TARGET_TRY=target, TRY_CASH_TARGET=reserve)
    rig.cycle()
    (order,) = rig.orders()
    assert order.strategy == "sweep"
    assert 395 < order.value * Decimal("1.0024") <= 400
    assert rig.faults() == []


def test_cash_that_stands_in_an_order_is_not_idle(make_rig):
    """Of 1,000 TRY the venue has locked 300.36 for an order, and 300 stay: 399.64 are idle."""
    rig = make_rig(symbols=("BTCTRY", "ETHTRY"), balances={"TRY": "1000"})
    rig.wish("buy", "0.0003", "1000000")
    rig.cycle()
    rig.restart(SWEEP_ENABLED="true")
    rig.cycle()
    resting, swept = rig.orders()
    assert (resting.symbol, swept.symbol, swept.strategy) == ("BTCTRY", "ETHTRY", "sweep")
    assert 395 < swept.value * Decimal("1.0024") <= Decimal("399.64")
    assert rig.faults() == []
