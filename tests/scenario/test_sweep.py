"""The sweep is a plan like any other: it is really carried out."""

from __future__ import annotations

from decimal import Decimal

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
