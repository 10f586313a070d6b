"""The answer to an order is lost, late, spoiled or a lie. It is sent once, and believed only as far as it is proved."""

from __future__ import annotations

import pytest

from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode

RESTING = ("buy", "0.0005", "1000000")
TAKING = ("buy", "0.0005", "1000500")
UNPROVED = {
    "connection closed": ("lost_after", {}),
    "internal error": ("status_after", {"status": 500}),
    "a proxy's page": ("html_after", {"status": 502}),
    "half a body": ("truncated", {}),
    "nothing of the body": ("truncated", {"cut_at": 0}),
    "nine megabytes": ("huge_body", {}),
    "too late": ("delay_after", {"delay_ms": 4_500}),
    "success with an error's code": ("raw_body", {"body": '{"success":true,"message":null,"code":1037,"data":null}'}),
    "no order id": ("raw_body", {"body": '{"success":true,"message":"SUCCESS","code":0,"data":{}}'}),
    "an unknown code": ("raw_body", {"body": '{"success":false,"message":"X","code":4711,"data":null}', "status": 400}),
    "not a number": ("raw_body", {"body": '{"success":true,"code":0,"data":{"id":NaN}}'}),
    "empty": ("raw_body", {"body": ""}),
}


@pytest.mark.parametrize("wish", [RESTING, TAKING], ids=["resting", "taking"])
@pytest.mark.parametrize(("kind", "params"), UNPROVED.values(), ids=UNPROVED)
def test_accepted_and_not_told(rig, wish, kind, params):
    rig.venue.fault(kind, "POST", **params)
    rig.wish(*wish)
    rig.cycle()
    order = rig.order()
    assert order.is_in_doubt
    assert order.client_order_id in rig.store.holds()

    rig.cycle()
    expected = OrderStatus.ACCEPTED if wish is RESTING else OrderStatus.FILLED
    assert rig.order().status is expected
    assert rig.order().venue_order_id is not None
    rig.heal()
    assert rig.faults() == []


def test_while_in_doubt_the_instrument_is_frozen_and_others_trade_on(make_rig):
    rig = make_rig(symbols=("BTCTRY", "ETHTRY"))
    rig.cycle()
    rig.venue.fault("lost_after", "POST")
    rig.venue.fault("hide_new", "GET", "/api/v1/openOrders", count=None, lag_ms=15_000)
    rig.venue.fault("hide_new", "GET", "/api/v1/allOrders", count=None, lag_ms=15_000)
    rig.wish(*RESTING)
    rig.cycle()
    rig.wish(*RESTING, symbol="BTCTRY")
    rig.wish(*RESTING, symbol="ETHTRY")
    rig.cycle()
    assert rig.verdicts() == [ReasonCode.ORDER_IN_DOUBT.value, "allowed"]
    assert rig.statuses() == [OrderStatus.UNKNOWN, OrderStatus.ACCEPTED]
    rig.cycle(2)
    assert rig.statuses() == [OrderStatus.ACCEPTED, OrderStatus.ACCEPTED]
    rig.heal()
    assert rig.faults() == []


def test_after_an_answer_that_proves_nothing_the_other_wishes_of_the_cycle_wait(make_rig):
    rig = make_rig(symbols=("BTCTRY", "ETHTRY"))
    rig.cycle()
    rig.venue.fault("lost_after", "POST")
    rig.wish(*RESTING, symbol="BTCTRY")
    rig.wish(*RESTING, symbol="ETHTRY")
    rig.cycle()
    assert len(rig.venue.requests("POST")) == 1
    rig.heal()
    assert rig.faults() == []


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("lost_before", {}),
        ("status_before", {"status": 503}),
        ("html_before", {"status": 502}),
        ("delay_before", {"delay_ms": 9_000}),  # it arrives when its stamp is too old
    ],
    ids=["lost", "503", "html", "late"],
)
def test_never_placed_is_proved_and_never_sent_again(rig, kind, params):
    rig.venue.fault(kind, "POST", **params)
    rig.wish(*RESTING)
    rig.cycle()
    assert rig.order().status is OrderStatus.UNKNOWN
    sent_ms, doubt = rig.order().stamp_ms, rig.order().reason
    rig.cycle()
    assert rig.order().status is OrderStatus.UNKNOWN  # one listing is no proof
    while rig.order().status is OrderStatus.UNKNOWN:
        rig.cycle()
    assert rig.order().status is OrderStatus.NOT_PLACED
    assert rig.order().reason == f"{ReasonCode.ABSENCE_PROVED.value}: {doubt}"
    assert rig.clock.true_ms() - sent_ms >= 16_000  # the fence and the horizon
    assert rig.store.holds() == {}
    rig.heal()
    assert len(rig.venue.requests("POST")) == 1
    assert rig.faults() == []


def test_a_request_that_arrives_after_our_patience_and_within_its_stamp(rig):
    rig.venue.fault("delay_before", "POST", delay_ms=4_300)
    rig.wish(*RESTING)
    rig.cycle()
    assert rig.order().status is OrderStatus.UNKNOWN
    rig.cycle()
    assert rig.order().status is OrderStatus.ACCEPTED
    rig.heal()
    assert rig.faults() == []


def test_no_connection_means_not_sent(rig):
    def lose_the_network(name: str) -> None:
        rig.venue.transport.is_up = not name.startswith("before POST")

    rig.points.watch = lose_the_network
    rig.wish(*RESTING)
    rig.cycle()
    assert rig.order().status is OrderStatus.DENIED
    assert rig.order().reason.startswith(ReasonCode.NOT_SENT.value)
    assert rig.store.holds() == {}
    assert rig.venue.requests("POST") == []
    rig.heal()
    assert rig.faults() == []


def test_a_rate_limit_is_a_refusal_and_closes_the_endpoint(rig):
    rig.venue.fault("rate_limited", "POST", retry_after=25)
    rig.wish(*RESTING)
    rig.cycle()
    assert rig.order().status is OrderStatus.REFUSED_PROVISIONAL
    assert rig.order().reason.startswith("RATE")
    rig.cycle(2)
    assert rig.order(0).status is OrderStatus.REJECTED or rig.order(0).is_in_doubt
    rig.heal()
    assert rig.order(0).status is OrderStatus.REJECTED
    rig.wish(*RESTING)
    rig.cycle()
    assert rig.order().status is OrderStatus.ACCEPTED
    rig.heal()
    assert rig.faults() == []


def test_a_closed_endpoint_lets_no_order_leave(make_rig):
    rig = make_rig(symbols=("BTCTRY", "ETHTRY"))
    rig.cycle()
    rig.venue.fault("rate_limited", "POST", retry_after=60)
    rig.wish(*RESTING)
    rig.cycle()
    rig.wish(*RESTING, symbol="ETHTRY")
    report = rig.cycle()
    assert report.outcome is CycleOutcome.OBSERVE_ONLY
    assert "asked to wait" in report.reasons[0]
    assert len(rig.orders()) == len(rig.venue.requests("POST")) == 1
    rig.heal()
    assert rig.faults() == []


@pytest.mark.parametrize("wish", [RESTING, TAKING], ids=["resting", "taking"])
def test_refused_and_placed_all_the_same(rig, wish):
    rig.venue.fault("refused_but_placed", "POST")
    rig.wish(*wish)
    assert rig.cycle().counts["refused"] == 1
    assert rig.order().status is OrderStatus.REFUSED_PROVISIONAL
    assert len(rig.store.holds()) == 1
    rig.cycle()
    assert rig.order().status is (OrderStatus.ACCEPTED if wish is RESTING else OrderStatus.FILLED)
    rig.heal()
    assert rig.faults() == []


def test_refused_placed_and_listed_only_after_we_gave_it_up(rig):
    rig.venue.fault("refused_but_placed", "POST")
    rig.venue.fault("hide_new", "GET", "/api/v1/openOrders", count=None, lag_ms=45_000)
    rig.venue.fault("hide_new", "GET", "/api/v1/allOrders", count=None, lag_ms=45_000)
    rig.venue.fault("lag", "GET", "/api/v1/users/balances", count=None, lag_ms=45_000)
    rig.wish(*RESTING)
    rig.cycle(4)
    assert rig.order().status is OrderStatus.REJECTED
    rig.cycle(2)
    assert rig.order().status is OrderStatus.ACCEPTED
    rig.heal()
    assert rig.faults() == []


def test_a_locked_balance_speaks_against_absence(rig):
    rig.venue.fault("lost_after", "POST")
    rig.venue.fault("hide_new", "GET", "/api/v1/openOrders", count=None, lag_ms=90_000)
    rig.venue.fault("hide_new", "GET", "/api/v1/allOrders", count=None, lag_ms=90_000)
    rig.wish(*RESTING)
    rig.cycle(7)
    assert rig.order().status is OrderStatus.UNKNOWN
    rig.cycle(4)
    assert rig.order().venue_order_id is not None
    rig.heal()
    assert rig.faults() == []


def test_really_refused_lets_go_after_two_listings(rig):
    def spend_everything(name: str) -> None:
        if name.startswith("before POST"):
            rig.points.watch = None
            rig.venue.human_orders("buy", "BTCTRY", "0.0098", "990000")

    rig.points.watch = spend_everything
    rig.wish(*RESTING)
    rig.cycle()
    assert rig.order().status is OrderStatus.REFUSED_PROVISIONAL
    rig.cycle()
    assert rig.order().status is OrderStatus.REFUSED_PROVISIONAL
    rig.cycle(2)
    assert rig.order().status is OrderStatus.REJECTED
    assert rig.store.holds() == {}
    rig.heal()
    assert rig.faults() == []


def test_nobody_answers_at_all(rig):
    rig.venue.transport.is_up = False
    report = rig.cycle()
    assert report.outcome is CycleOutcome.OBSERVE_ONLY
    assert report.reasons[0].startswith(ReasonCode.VENUE_UNAVAILABLE.value)
    rig.wish(*RESTING)
    rig.venue.transport.is_up = True
    rig.cycle()
    assert rig.order().status is OrderStatus.ACCEPTED
    rig.heal()
    assert rig.faults() == []


@pytest.mark.parametrize("is_refused", [False, True], ids=["lost", "refused"])
def test_an_order_in_doubt_of_a_pair_that_is_listed_no_more_leaves_the_others_alone(make_rig, is_refused):
    """What used to happen: its listing was refused for ever, and with it every cycle of every pair."""
    rig = make_rig(symbols=("BTCTRY", "ETHTRY"), RULES_CACHE_TTL_SEC="1")
    rig.cycle()
    rig.wish(*RESTING)
    rig.cycle()
    if is_refused:
        rig.venue.halt("ETHTRY")
    else:
        rig.venue.fault("lost_before", "POST")
    rig.wish(*RESTING, "ETHTRY")
    rig.cycle()
    in_doubt = rig.order()
    assert in_doubt.is_in_doubt
    rig.venue.delist("ETHTRY")
    rig.cycle(20)
    assert [order.status for order in rig.orders()] == [OrderStatus.CANCELED, in_doubt.status]
    rig.wish(*RESTING)
    rig.cycle()
    assert rig.verdicts() == ["allowed"]
    assert in_doubt.client_order_id in rig.store.holds()  # nothing is proved of it
    proof = {"client_order_id": in_doubt.client_order_id, "outcome": "not-placed", "venue_order_id": "", "reason": "x"}
    assert rig.ask("resolve", **proof).done
    rig.heal()
    assert rig.faults() == []
