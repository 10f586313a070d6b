"""Why an order ended: what its row says the next morning, whoever ended it and however that was proved."""

from __future__ import annotations

from decimal import Decimal

import pytest

from btcbot.decisions.gates import Closed
from btcbot.domain.orders import CANCELED_TOO_LATE, CONFIRMED_BY_LISTINGS, CONFIRMED_BY_LISTS, OrderStatus
from btcbot.domain.reasons import ReasonCode, code_of
from btcbot.testing.points import Crash
from btcbot.testing.stories.replacements import REPLACING

RESTING = ("buy", "0.0005", "1000000")
STALE = ReasonCode.CANCEL_STALE.value
OPERATOR = ReasonCode.CANCEL_OPERATOR.value


@pytest.fixture
def resting(rig):
    rig.wish(*RESTING)
    rig.cycle()
    return rig


def ended(rig, status: OrderStatus = OrderStatus.CANCELED) -> str:
    """The reason of the newest order, which is over; nothing that comes later changes it."""
    rig.heal()
    assert rig.order().status is status
    reason = rig.order().reason
    rig.cycle(3)
    assert rig.order().reason == reason
    assert rig.faults() == []
    return reason


def asked_for(rig) -> list[str]:
    """What the log gives as the reason of each cancellation that was asked for."""
    return [str(line["reason"]) for line in rig.log.events("cancel_asked")]


def test_our_own_cancellation_never_reads_as_one_by_somebody_at_the_venue(resting):
    """It stood for longer than TTL_SECONDS."""
    resting.cycle(6)
    assert (resting.order().status, resting.order().reason) == (OrderStatus.PENDING_CANCEL, STALE)
    assert ended(resting) == f"{STALE}{CONFIRMED_BY_LISTS}" == "order:stale; confirmed by the venue's lists"
    assert asked_for(resting) == [STALE]


@pytest.mark.parametrize("wanted", ["all", "one"])
def test_what_the_operator_cancelled_says_so(resting, wanted):
    name = "all" if wanted == "all" else resting.order().client_order_id
    assert resting.ask("cancel", client_order_id=name).done
    assert ended(resting) == f"{OPERATOR}{CONFIRMED_BY_LISTS}"
    assert asked_for(resting) == [OPERATOR]


def test_what_was_cancelled_on_exit_says_so(resting):
    resting.bot.services.execution.cancel_all(ReasonCode.CANCEL_ON_EXIT)
    resting.crash()
    assert ended(resting) == f"{ReasonCode.CANCEL_ON_EXIT.value}{CONFIRMED_BY_LISTS}"


def test_an_order_off_the_market_says_that_it_had_drifted(make_rig):
    rig = make_rig(profile=REPLACING, REPLACE_MIN_AGE_SECONDS="0", REPLACE_DRIFT_BPS="100", TTL_SECONDS="3600")
    rig.cycle()
    rig.wish("buy", "0.0005", "995000")
    rig.cycle()
    rig.venue.price("BTCTRY", "1100000")
    rig.wait(3)
    rig.cycle()
    assert ended(rig) == f"{ReasonCode.CANCEL_DRIFTED.value}{CONFIRMED_BY_LISTS}"


def test_only_what_we_never_asked_for_was_cancelled_at_the_venue(resting):
    resting.venue.cancel(resting.order().venue_order_id)
    resting.wait(1)
    assert ended(resting) == ReasonCode.CANCELED_AT_VENUE.value == "order:cancelled_at_venue"
    assert asked_for(resting) == []


def test_a_request_to_cancel_that_was_never_taken_in_takes_no_credit_for_what_somebody_else_did(resting):
    """Ours is turned away for its pace; before the next one leaves, the order is cancelled on the venue's page."""
    before = resting.order().reason
    resting.venue.fault("rate_limited", "DELETE", retry_after=30)
    assert not resting.ask("cancel", client_order_id="all").done
    assert (resting.order().cancel_requested_at_ms, resting.order().reason) == (None, before)
    resting.venue.cancel(resting.order().venue_order_id)
    resting.wait(1)
    assert ended(resting) == ReasonCode.CANCELED_AT_VENUE.value


def test_a_gate_that_closes_before_the_request_leaves_takes_the_wish_back(resting, monkeypatch):
    """It closed between the wish and its permit: nothing was asked, so what comes next is not our doing."""
    before = resting.order().reason
    closed = Closed((ReasonCode.LOCK_LOST,))
    with monkeypatch.context() as patch:
        patch.setattr(resting.bot.services.gatekeeper, "ask", lambda *_: closed)
        assert not resting.ask("cancel", client_order_id="all").done
    assert (resting.order().cancel_requested_at_ms, resting.order().reason) == (None, before)
    assert [line["reason"] for line in resting.log.events("cancel_denied")] == [OPERATOR]
    assert not resting.venue.requests("DELETE")
    resting.venue.cancel(resting.order().venue_order_id)
    resting.wait(1)
    assert ended(resting) == ReasonCode.CANCELED_AT_VENUE.value


def test_a_cancellation_that_is_asked_for_again_keeps_its_first_reason(resting):
    """The operator's request got lost; what the bot asks for later, because the order is old, ends it for the same."""
    resting.venue.fault("cancel_lost", "DELETE")
    assert resting.ask("cancel", client_order_id="all").done
    resting.cycle(16)
    assert len(resting.venue.requests("DELETE")) == 2
    assert ended(resting) == f"{OPERATOR}{CONFIRMED_BY_LISTS}"
    assert asked_for(resting) == [OPERATOR, OPERATOR]


def test_an_operator_who_cancels_all_does_not_hide_why_orders_were_going_already(resting):
    resting.venue.fault("cancel_lost", "DELETE")
    resting.cycle(6)
    assert resting.order().reason == STALE
    for _ in range(2):
        assert resting.ask("cancel", client_order_id="all").done
    reason = ended(resting)
    assert reason == f"{STALE}; asked again: {OPERATOR}{CONFIRMED_BY_LISTS}"
    assert code_of(reason) == STALE


def test_the_reason_outlives_the_process_that_asked(resting):
    """It dies before the answer: nobody knows whether the request left, and the row still says why it was to go."""

    def die(name: str) -> None:
        if name.startswith("after DELETE"):
            resting.points.watch = None
            raise Crash(name)

    resting.wait(600)
    resting.points.watch = die
    assert "DELETE" in resting.crashing_cycle()
    resting.start()
    assert ended(resting) == f"{STALE}{CONFIRMED_BY_LISTS}"


def test_an_order_that_filled_while_it_was_to_go_tells_both(resting):
    def sell(name: str) -> None:
        if name.startswith("after DELETE"):  # asked for, not yet in effect
            resting.points.watch = None
            resting.venue.stranger_orders("sell", "BTCTRY", "0.0005", "1000000")

    resting.points.watch = sell
    resting.cycle(8)
    assert resting.order().filled_quantity == Decimal("0.0005")
    assert ended(resting, OrderStatus.FILLED) == f"{STALE}{CANCELED_TOO_LATE}"


def test_a_confirmed_refusal_keeps_the_word_of_the_venue(rig):
    """The alert for many refusals sends its reader to the row: it is there that the venue's word has to stand."""
    rig.venue.change_minimum("BTCTRY", "5000")  # and tells nobody
    rig.wish(*RESTING)
    rig.cycle()
    assert rig.order().status is OrderStatus.REFUSED_PROVISIONAL
    said = rig.order().reason
    assert code_of(said) == "FAILED_MIN_TOTAL_AMOUNT"
    assert ended(rig, OrderStatus.REJECTED) == f"{said}{CONFIRMED_BY_LISTINGS}"


def test_an_order_that_was_never_placed_tells_what_cast_the_doubt(rig):
    rig.venue.fault("lost_before", "POST")
    rig.wish(*RESTING)
    rig.cycle()
    doubt = rig.order().reason
    assert ended(rig, OrderStatus.NOT_PLACED) == f"{ReasonCode.ABSENCE_PROVED.value}: {doubt}"
