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
