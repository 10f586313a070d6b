"""What a human says is checked against the venue where it can be, and every knot has an end to pull."""

from __future__ import annotations

from decimal import Decimal

import pytest

from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import TradingState

RESTING = ("buy", "0.0005", "999000")
TAKING = ("buy", "0.0005", "1000500")
COINS = {"TRY": "10000", "BTC": "0.01"}


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


def test_a_pair_in_another_money_is_not_adopted(make_rig):
    """What used to happen: its cost was added to TRY, and the same coins were adopted once for each pair of theirs."""
    rig = make_rig(symbols=("BTCTRY",), prices={"BTCTRY": "1000000", "BTCUSDT": "30000"}, balances=COINS)
    rig.cycle()
    answer = rig.ask("adopt", symbol="BTCUSDT", quantity="0.01", cost="300")
    assert not answer.done
    assert "BTCUSDT is priced in USDT" in answer.text
    assert rig.ask("adopt", symbol="BTCTRY", quantity="0.01", cost="9000").done
    assert list(rig.store.positions()) == ["BTCTRY"]


def test_adopting_outside_symbols_does_not_stop_what_is_bought(make_rig):
    """What used to happen: no cycle ever saw a price of it, the loss of the day stayed unknown, and no buy was left."""
    prices = {"BTCTRY": "1000000", "ETHTRY": "100000"}
    rig = make_rig(symbols=("BTCTRY",), prices=prices, balances={"TRY": "10000", "ETH": "0.1"})
    rig.cycle()
    assert rig.ask("adopt", symbol="ETHTRY", quantity="0.1", cost="9000").done
    for again in range(2):
        rig.wish(*RESTING)
        assert rig.cycle().equity_try is not None
        assert rig.verdicts() == ["allowed"]
        rig.restart()
        rig.cycle(8)  # the order is stale by then
        assert len(rig.orders()) == again + 1


@pytest.mark.parametrize("is_delisted", [True, False], ids=["delisted", "without a book"])
def test_what_can_not_be_sold_any_more_is_released(make_rig, is_delisted):
    """What used to happen: its cost stood in the caps for ever, and no command could take it out."""
    rig = make_rig(symbols=("BTCTRY", "ETHTRY"), balances={"TRY": "10000", "ETH": "0.01"}, RULES_CACHE_TTL_SEC="1")
    rig.cycle()
    assert rig.ask("adopt", symbol="ETHTRY", quantity="0.01", cost="9000").done
    daily = rig.cycle().unrealized_pnl_try
    if is_delisted:
        rig.venue.delist("ETHTRY")
        part = rig.ask("release", symbol="ETHTRY", quantity="0.004", reason="sold on the page")
        assert not part.done
        assert "as a whole, which is 0.01" in part.text
    else:
        rig.venue.hide_book("ETHTRY")
        assert rig.ask("release", symbol="ETHTRY", quantity="0.004", reason="sold on the page").done
    left = rig.position("ETHTRY").quantity
    assert rig.ask("release", symbol="ETHTRY", quantity=str(left), reason="moved away").done
    assert not rig.ask("release", symbol="ETHTRY", quantity=str(left), reason="moved away").done
    assert rig.position("ETHTRY").quantity == 0
    assert daily != 0
    rig.wish(*RESTING)
    rig.cycle()
    assert rig.verdicts() == ["allowed"]  # the day neither won nor lost by it
    assert rig.store.verify() == []
