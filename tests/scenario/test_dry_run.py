"""A dry run decides like a live one, writes down what it would have done, and sends nothing."""

from __future__ import annotations

from btcbot.bootstrap import strategy_of
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode
from btcbot.profiles import RUN

DRY = {"DRY_RUN": "true", "LIVE_TRADING": "false", "COOLDOWN_SECONDS": "60"}


def test_records_its_orders_and_leaves_the_account_alone(make_rig):
    rig = make_rig(strategy=lambda settings: strategy_of(RUN, settings), balances={"TRY": "1000"}, **DRY)
    assert rig.cycle().counts["simulated"] == 1
    assert rig.statuses() == [OrderStatus.SIMULATED]
    rig.cycle(2)
    assert rig.verdicts() == [ReasonCode.COOLDOWN.value]
    rig.cycle(4)
    assert rig.statuses() == [OrderStatus.SIMULATED] * 2
    assert rig.store.holds() == {}
    assert rig.position().quantity == 0
    assert rig.venue.requests("POST") == rig.venue.requests("DELETE") == []
    assert all(one.key is None for one in rig.venue.requests("GET"))
    rig.heal()
    assert rig.faults() == []


def test_a_dry_run_that_dies_between_reserve_and_record(make_rig):
    rig = make_rig(strategy=lambda settings: strategy_of(RUN, settings), balances={"TRY": "1000"}, **DRY)
    rig.points.crash_when(lambda name: name == "after commit" and OrderStatus.SUBMITTED in rig.statuses())
    rig.crashing_cycle()
    rig.heal()
    assert rig.statuses() == [OrderStatus.NOT_PLACED]
    assert rig.faults() == []


def test_the_brakes_hold_in_a_dry_run_too(make_rig):
    rig = make_rig(strategy=lambda settings: strategy_of(RUN, settings), balances={"TRY": "1000"}, **DRY)
    rig.kill_switch().turn_on("no", rig.clock.now_ms())
    rig.cycle(2)
    assert rig.orders() == []
    rig.heal()
    assert rig.faults() == []


def test_another_imagined_balance_is_booked_as_a_transfer(make_rig):
    rig = make_rig(balances={"TRY": "1500"}, **DRY)
    rig.cycle()
    rig.restart(DRY_RUN_TRY_BALANCE="1500")
    rig.cycle()
    rig.heal()
    assert rig.faults() == []
