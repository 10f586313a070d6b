"""Nothing goes wrong."""

from __future__ import annotations

from decimal import Decimal

from btcbot.bootstrap import strategy_of
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.orders import OrderStatus
from btcbot.profiles import RUN


def test_buys_what_is_flat_and_sells_a_slice_in_profit(make_rig):
    rig = make_rig(strategy=lambda settings: strategy_of(RUN, settings), COOLDOWN_SECONDS="60")
    assert rig.cycle().counts["accepted"] == 1
    assert rig.cycle().counts["fills"] == 1
    bought = rig.position().quantity
    assert rig.order().status is OrderStatus.FILLED
    assert bought * 1_000_500 + rig.position().fees_paid + rig.position().taxes_paid <= 500

    rig.venue.price("BTCTRY", "1020000")
    rig.cycle()
    report = rig.cycle()
    assert report.outcome is CycleOutcome.COMPLETED
    assert [order.side for order in rig.orders()] == ["buy", "sell"]
    assert rig.order().price == Decimal(1_019_490)
    assert rig.position().quantity < bought
    assert report.realized_pnl_try > 0
    rig.heal()
    assert rig.faults() == []


def test_a_market_that_does_not_move_is_left_alone(make_rig):
    rig = make_rig(strategy=lambda settings: strategy_of(RUN, settings))
    rig.cycle(5)
    assert rig.statuses() == [OrderStatus.FILLED]
    rig.heal()
    assert rig.faults() == []


def test_an_order_rests_fills_later_and_pays_the_maker_fee(rig):
    rig.wish("buy", "0.0005", "1000000")
    rig.cycle(2)
    assert rig.order().status is OrderStatus.ACCEPTED
    held = rig.store.holds()[rig.order().client_order_id]
    assert held.amount == Decimal("0.0005") * 1_000_000 * Decimal("1.0024")
    rig.venue.price("BTCTRY", "998000")
    rig.cycle(2)
    assert rig.order().status is OrderStatus.FILLED
    assert rig.store.holds() == {}
    assert rig.position().average_cost < Decimal(1_002_400)
    rig.heal()
    assert rig.faults() == []


def test_orders_of_several_pairs_share_one_budget(make_rig):
    rig = make_rig(symbols=("BTCTRY", "ETHTRY", "XRPTRY"), balances={"TRY": "1600"}, MAX_ORDERS_PER_CYCLE="5")
    for symbol in rig.symbols:
        rig.wish("buy", "0.0005", "1000500", symbol)
    rig.cycle(2)
    assert [order.symbol for order in rig.orders()] == ["BTCTRY"]  # the cap of 1,000 TRY per cycle
    rig.heal()
    assert rig.faults() == []
