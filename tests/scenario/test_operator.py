"""What a human says is checked against the venue where it can be, and every knot has an end to pull."""

from __future__ import annotations

from decimal import Decimal

import pytest

from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import TradingState

RESTING = ("buy", "0.0005", "999000")
TAKING = ("buy", "0.0005", "1000500")


def lose_an_order(rig):
    rig.venue.fault("lost_before", "POST")
    rig.wish(*RESTING)
    rig.cycle()
    assert rig.order().status is OrderStatus.UNKNOWN
    return rig.order().client_order_id


def test_a_wrong_venue_order_id_is_not_believed(rig):
    client_order_id = lose_an_order(rig)
    someone_elses = rig.venue.human_orders("buy", "BTCTRY", "0.0003", "999000")
    for venue_order_id, why in ((str(someone_elses), "is a buy of 0.0003 BTCTRY"), ("1", "knows no order 1")):
        answer = rig.ask(
            "resolve", client_order_id=client_order_id, outcome="placed", venue_order_id=venue_order_id, reason="x"
        )
        assert not answer.done
        assert why in answer.text
    assert rig.order().status is OrderStatus.UNKNOWN
    rig.venue.cancel(someone_elses)
    rig.heal()
    assert rig.faults() == []


def test_a_human_proves_an_order_not_placed_while_the_lists_are_down(rig):
    client_order_id = lose_an_order(rig)
    rig.venue.fault("status_before", "GET", "/api/v1/openOrders", count=None, status=503)
    answer = rig.ask(
        "resolve", client_order_id=client_order_id, outcome="not-placed", venue_order_id="", reason="support said so"
    )
    assert answer.done, answer.text
    assert rig.order().status is OrderStatus.NOT_PLACED
    rig.heal()
    assert rig.faults() == []


def test_an_order_that_the_venue_forgets_is_closed_by_hand(rig):
    rig.wish(*RESTING)
    rig.cycle()
    order = rig.order()
    closed = {"client_order_id": order.client_order_id, "outcome": "closed", "venue_order_id": "", "reason": "gone"}
    assert not rig.ask("resolve", **closed).done  # the venue works it
    rig.venue.cancel(order.venue_order_id)
    rig.wait(1)
    forgotten = '{"data":null,"success":false,"message":"NO_ORDER_MATCHES_YOUR_REQUEST","code":1052}'
    rig.venue.fault("raw_body", "GET", "/api/v1/order/", count=None, status=400, body=forgotten)
    rig.cycle(3)
    assert rig.order().is_open
    assert rig.ask("resolve", **closed).done
    assert rig.order().status is OrderStatus.CANCELED
    assert not rig.store.holds()


def test_coins_bought_by_hand_are_adopted_and_given_back(rig):
    rig.venue.human_orders("buy", "BTCTRY", "0.0010", "1001000")
    rig.cycle(3)
    assert not rig.ask("adopt", symbol="BTCTRY", quantity="0.0011", cost="1100").done
    assert not rig.ask("adopt", symbol="BTCTRY", quantity="0.000000000000000001", cost="1").done
    assert not rig.ask("adopt", symbol="BTCTRY", quantity="0.0010", cost="1." + "1" * 40).done
    assert rig.ask("adopt", symbol="BTCTRY", quantity="0.0010", cost="1200").done
    assert rig.position().quantity == Decimal("0.0010")
    assert rig.cycle().outcome == "completed"
    assert rig.ask("release", symbol="BTCTRY", quantity="0.0004", reason="sold on the page").done
    assert (rig.position().quantity, rig.position().cost) == (Decimal("0.0006"), Decimal("720"))
    assert not rig.ask("release", symbol="BTCTRY", quantity="0.0007", reason="more than there is").done
    rig.cycle()
    assert rig.faults() == []


@pytest.mark.parametrize(("moved", "meaning", "wrong"), [("77", "withdrawal", "deposit"), ("-77", "deposit", "fee")])
def test_an_explanation_must_fit_the_direction(rig, moved, meaning, wrong):
    rig.venue.take_unseen("TRY", moved)
    for _ in range(8):
        rig.wait(5)
        rig.cycle()
    assert rig.state() is TradingState.FROZEN
    entry = next(one for one in rig.store.entries() if one.entry_id.startswith("suspense:"))
    assert not rig.ask("explain", entry_id=entry.entry_id, meaning=wrong, reason="x").done
    assert rig.ask("explain", entry_id=entry.entry_id, meaning=meaning, reason="x").done
    assert rig.state() is TradingState.ACTIVE


@pytest.mark.parametrize("arguments", [{}, {"symbol": "BTCTRY", "quantity": "abc", "cost": "1"}])
def test_a_request_that_cannot_be_read_takes_nothing_down(rig, arguments):
    answer = rig.ask("adopt", **arguments)
    assert not answer.done
    assert "cannot be read" in answer.text
