"""What can never be true is true: nothing is written any more, the evidence stays, and only a human reopens."""

from __future__ import annotations

import pytest

from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.ledger import Hold
from btcbot.domain.money import ZERO
from btcbot.domain.orders import OrderEvent, OrderStatus, apply
from btcbot.domain.reasons import TradingState

RESTING = ("buy", "0.0005", "1000000")
TAKING = ("buy", "0.0005", "1000500")


@pytest.mark.parametrize("answer", ["told", "lost"])
@pytest.mark.parametrize("wish", [RESTING, TAKING], ids=["resting", "taking"])
def test_one_request_becomes_two_orders_at_the_venue(rig, wish, answer):
    rig.venue.fault("duplicate", "POST")
    if answer == "lost":
        rig.venue.fault("lost_after", "POST")
    rig.wish(*wish)
    rig.cycle()
    report = rig.cycle()
    assert report.outcome is CycleOutcome.HALTED
    assert "I1_TWO_ORDERS" in report.reasons[-1]
    state, evidence = rig.store.trading_state()
    assert state is TradingState.HALTED
    assert rig.order().client_order_id in evidence
    rig.restart()
    rig.wish(*TAKING)
    rig.cycle(2)
    assert rig.state() is TradingState.HALTED
    assert len(rig.venue.requests("POST")) == 1
    assert "stands 2 times at the venue" in " ".join(rig.faults())


@pytest.mark.parametrize("wish", [RESTING, TAKING], ids=["resting", "taking"])
def test_a_human_disowns_the_second_of_two_orders_and_trading_goes_on(rig, wish):
    rig.venue.fault("duplicate", "POST")
    rig.wish(*wish)
    rig.cycle(2)
    assert rig.state() is TradingState.HALTED
    ours = rig.order()
    second = next(row for row in rig.venue.orders() if str(row["id"]) != ours.venue_order_id)
    assert not rig.ask("disown", venue_order_id=ours.venue_order_id, reason="the wrong one").done
    assert rig.ask("disown", venue_order_id=str(second["id"]), reason="delivered twice").done
    assert rig.ask("resume", reason="looked at both").done
    rig.cycle(4)
    assert rig.state() is TradingState.ACTIVE
    foreign = [entry.entry_id.split(":")[1] for entry in rig.store.entries() if entry.entry_id.startswith("foreign:")]
    expected = {f"intent {ours.intent_id} stands 2 times at the venue", *(f"trade {t} is not booked" for t in foreign)}
    assert set(rig.faults()) == expected


def test_a_trade_of_another_side_than_its_order(rig):
    rig.wish(*RESTING)
    rig.cycle()
    order = rig.order()
    trade = {"price": "1000000", "numeratorSymbol": "BTC", "denominatorSymbol": "TRY", "orderType": "sell",
             "orderId": int(order.venue_order_id), "id": 99, "timestamp": rig.clock.true_ms(), "amount": "-0.0001",
             "fee": "0", "tax": "0", "orderClientId": order.client_order_id}  # fmt: skip
    rig.venue.answer(
        "/api/v1/users/transactions/trade", {"data": [trade], "success": True, "message": "SUCCESS", "code": 0}
    )
    report = rig.cycle()
    assert report.outcome is CycleOutcome.HALTED
    rig.wish(*TAKING)
    rig.cycle(2)
    assert rig.state() is TradingState.HALTED
    assert len(rig.orders()) == 1
    assert rig.ask("resume", reason="the venue has taken it back").done
    rig.cycle()
    assert rig.state() is TradingState.ACTIVE
    rig.heal()
    assert rig.statuses()[0] is OrderStatus.CANCELED
    assert rig.faults() == []


def test_a_closed_order_that_the_venue_still_works_is_an_alarm(rig):
    """However it came about: funds that nobody watches are worth a halt. A list that merely lags is not."""
    rig.wish(*RESTING)
    rig.cycle()
    order = rig.order()
    with rig.store.transaction() as tx:
        tx.update_order(apply(order, OrderEvent.CANCEL, rig.clock.now_ms()))
        tx.put_hold(Hold(client_order_id=order.client_order_id, asset="TRY", amount=ZERO))
    rig.cycle()
    assert rig.state() is TradingState.ACTIVE
    rig.wait(61)
    report = rig.cycle()
    assert report.outcome is CycleOutcome.HALTED
    assert "I7_CLOSED_ORDER_OPEN" in report.reasons[-1]
    rig.venue.cancel(order.venue_order_id)
    assert rig.ask("resume", reason="cancelled by hand").done
    rig.wait(1)
    assert rig.cycle().outcome is CycleOutcome.COMPLETED


def test_the_state_tells_the_trouble_of_now_and_no_trouble_when_it_is_over(rig) -> None:
    """`btcbot status` used to name the first trouble for as long as any lasted, and a gate long open again."""
    rig.venue.fault("status_before", "GET", "/api/v1/users/balances", count=None, status=502)
    rig.cycle()
    first = rig.store.trading_state()
    rig.venue.clear_faults()
    rig.venue.fault("status_before", "GET", "/api/v1/openOrders", count=None, status=502)
    rig.cycle()
    second = rig.store.trading_state()
    rig.venue.clear_faults()
    rig.wait(120)
    rig.kill_switch().turn_on("a look", rig.clock.now_ms())
    rig.cycle()  # well again, with a gate that stands closed

    assert first[0] is second[0] is TradingState.OBSERVE_ONLY
    assert "balances" in first[1] and "open_orders" in second[1]
    assert rig.store.trading_state() == (TradingState.ACTIVE, "")
