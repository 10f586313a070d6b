"""Reasons to write nothing: brakes, clocks, quotes, keys, limits."""

from __future__ import annotations

import json

import pytest

from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode, TradingState
from btcturk_sim.wire import Request

RESTING = ("buy", "0.0005", "1000000")
TAKING = ("buy", "0.0005", "1000500")


def test_killed_between_reserve_and_permit(rig):
    def kill(name: str) -> None:
        if name == "after commit" and OrderStatus.SUBMITTED in rig.statuses():
            rig.points.watch = None
            rig.kill_switch().turn_on("now", rig.clock.now_ms())

    rig.points.watch = kill
    rig.wish(*RESTING)
    rig.cycle()
    assert rig.order().status is OrderStatus.DENIED
    assert rig.order().reason == ReasonCode.KILL_FILE.value
    assert rig.venue.requests("POST") == []
    assert rig.store.holds() == {}
    rig.heal()
    assert rig.faults() == []


def test_killed_stays_killed_through_a_restart_and_still_cancels(rig):
    rig.wish(*RESTING)
    rig.cycle()
    rig.kill_switch().turn_on("enough", rig.clock.now_ms())
    rig.restart()
    rig.wish(*RESTING)
    rig.cycle(8)
    assert len(rig.venue.requests("POST")) == 1
    assert rig.statuses() == [OrderStatus.CANCELED]
    rig.heal()
    assert rig.faults() == []


def test_the_kill_switch_of_the_settings_cancels_and_never_submits(rig):
    rig.wish(*RESTING)
    rig.cycle()
    rig.restart(KILL_SWITCH="true")
    rig.wish(*RESTING)
    rig.cycle(8)
    assert rig.statuses() == [OrderStatus.CANCELED]
    rig.heal()
    assert rig.faults() == []


def test_safe_mode_lets_nothing_out_not_even_a_cancel(rig):
    rig.wish(*RESTING)
    rig.cycle()
    rig.restart(SAFE_MODE="true")
    rig.wish(*RESTING)
    rig.cycle(10)
    assert rig.venue.requests("DELETE") == []
    assert len(rig.venue.requests("POST")) == 1
    assert rig.order().status is OrderStatus.ACCEPTED
    rig.restart(SAFE_MODE="false")
    rig.strategy.wishes.clear()
    rig.cycle(10)
    assert rig.order().status is OrderStatus.CANCELED
    rig.heal()
    assert rig.faults() == []


def test_a_safe_mode_that_ends_does_not_delay_a_cancel_that_was_never_asked(make_rig):
    """Nothing was sent while the gate was closed, so nothing has to be waited for when it opens."""
    rig = make_rig(TTL_SECONDS="60")
    rig.cycle()
    rig.wish(*RESTING)
    rig.cycle()
    rig.restart(SAFE_MODE="true")
    rig.cycle(7)
    rig.restart(SAFE_MODE="false")
    rig.cycle(2)
    assert rig.order().status is OrderStatus.CANCELED
    rig.heal()
    assert rig.faults() == []


def book(rig, **changes):
    shown = {"timestamp": rig.clock.true_ms(), "bids": [["999500", "1"]], "asks": [["1000500", "1"]], **changes}
    return {"data": shown, "success": True, "message": None, "code": 0}


def test_a_stale_quote(rig):
    rig.venue.answer("/api/v2/orderbook", book(rig, timestamp=rig.clock.true_ms() - 20_000))
    rig.wish(*TAKING)
    report = rig.cycle()
    assert report.outcome is CycleOutcome.OBSERVE_ONLY
    assert report.reasons[0].startswith(ReasonCode.STALE_QUOTE.value)
    assert rig.venue.requests("POST") == []
    rig.heal()
    assert rig.faults() == []


@pytest.mark.parametrize(
    "changes", [{"bids": [["1000600", "1"]]}, {"asks": []}, {"bids": []}], ids=["crossed", "no ask", "no bid"]
)
def test_a_book_that_makes_no_sense(rig, changes):
    rig.venue.answer("/api/v2/orderbook", book(rig, **changes))
    rig.wish(*TAKING)
    rig.cycle()
    assert rig.venue.requests("POST") == []
    rig.heal()
    assert rig.faults() == []


def test_one_symbol_without_a_quote_leaves_the_others_trading(make_rig):
    rig = make_rig(symbols=("BTCTRY", "ETHTRY"))
    rig.cycle()
    rig.venue.answer("/api/v2/orderbook", book(rig, asks=[]), count=1)  # the first that is asked for: BTCTRY
    rig.wish(*TAKING, symbol="BTCTRY")
    rig.wish(*TAKING, symbol="ETHTRY")
    assert rig.cycle().outcome is CycleOutcome.COMPLETED
    assert rig.verdicts() == [ReasonCode.STALE_QUOTE.value, "allowed"]
    assert [order.symbol for order in rig.orders()] == ["ETHTRY"]
    rig.heal()
    assert rig.faults() == []


@pytest.mark.parametrize("seconds", [3, -3])
def test_a_wrong_clock_closes_the_gate(rig, seconds):
    rig.clock.step(seconds)
    rig.wish(*TAKING)
    report = rig.cycle()
    assert ReasonCode.CLOCK_SKEW.value in report.reasons
    assert rig.venue.requests("POST") == []
    rig.clock.step(-seconds)
    rig.cycle()
    assert rig.order().status is OrderStatus.ACCEPTED
    rig.heal()
    assert rig.faults() == []


def test_a_venue_whose_clock_runs_ahead(rig):
    rig.venue.skew(3)
    rig.wait(60)
    rig.wish(*TAKING)
    assert ReasonCode.CLOCK_SKEW.value in rig.cycle().reasons
    assert rig.venue.requests("POST") == []
    rig.heal()
    assert rig.faults() == []


@pytest.mark.parametrize("seconds", [-3_600, -1, -0.2, 3_600])
def test_stamps_rise_whatever_our_clock_does(rig, seconds):
    rig.wish(*TAKING)
    rig.cycle()
    rig.clock.step(seconds)
    rig.cycle(2)
    rig.restart()
    rig.cycle(2)
    rig.clock.step(-seconds)
    rig.restart()
    rig.cycle(2)
    rig.heal()
    assert rig.faults() == []


def test_a_key_that_is_refused_halts_before_the_address_is_blocked(rig):
    rig.venue.fault("unauthorized", count=None)
    for _ in range(10):
        report = rig.cycle()
        if report.outcome is CycleOutcome.HALTED:
            break
    assert report.outcome is CycleOutcome.HALTED
    assert "I17_UNAUTHORIZED" in report.reasons[-1]
    unauthorized = [one for one in rig.venue.simulator.api.requests if one.status == 401]
    assert len(unauthorized) <= 6
    rig.cycle(3)
    assert len([one for one in rig.venue.simulator.api.requests if one.status == 401]) == len(unauthorized)

    rig.venue.clear_faults()
    rig.restart()
    rig.wish(*TAKING)
    rig.cycle()
    assert rig.state() is TradingState.HALTED
    assert rig.orders() == []
    assert rig.ask("resume", reason="the key was bound to another address").done
    assert not rig.ask("resume", reason="twice").done
    rig.cycle()
    assert rig.order().status is OrderStatus.ACCEPTED
    rig.heal()
    assert rig.faults() == []


def test_the_loss_of_the_day_stops_buys_and_lets_sells_go_on(make_rig):
    rig = make_rig(MAX_DAILY_LOSS_TRY="20")
    rig.cycle()
    rig.wish(*TAKING)
    rig.cycle(2)
    rig.venue.price("BTCTRY", "900000")
    rig.wish("buy", "0.0005", "900450")
    rig.wish("sell", "0.0002", "899550")
    rig.cycle()
    assert rig.verdicts() == [ReasonCode.DAILY_LOSS.value, "allowed"]
    rig.cycle()
    rig.wish("buy", "0.0005", "900450")
    rig.cycle()
    assert rig.verdicts() == [ReasonCode.DAILY_LOSS.value]
    rig.wait(86_400)
    rig.wish("buy", "0.0005", "900450")
    rig.cycle()
    assert rig.verdicts() == ["allowed"]
    rig.heal()
    assert rig.faults() == []


def rules(rig, **changes):
    """The venue's rules, with another first pair (None: without it)."""
    asked = Request(method="GET", path="/api/v2/server/exchangeinfo")
    shown = json.loads(rig.venue.simulator.api.handle(asked, rig.clock.true_ms()).body)
    if changes:
        pair = shown["data"]["symbols"][0]
        pair["filters"][0] |= changes.pop("filters", {})
        pair |= changes
    else:
        shown["data"]["symbols"] = shown["data"]["symbols"][1:]
    return shown


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"filters": {"minExchangeValue": "600"}}, ReasonCode.MIN_NOTIONAL),
        ({"numeratorScale": 3}, ReasonCode.NON_POSITIVE),
        ({"status": "BREAK"}, ReasonCode.NOT_TRADING),
        ({"orderMethods": ["MARKET"]}, ReasonCode.NOT_TRADING),
        ({"maximumLimitOrderPrice": "900000"}, ReasonCode.PRICE_BAND),
        ({}, ReasonCode.RULES_UNAVAILABLE),
    ],
    ids=["minimum", "lot", "halted", "methods", "band", "delisted"],
)
def test_rules_of_an_instrument_change_between_two_cycles(make_rig, changes, code):
    rig = make_rig(symbols=("BTCTRY", "ETHTRY"), RULES_CACHE_TTL_SEC="1")
    rig.cycle()
    rig.wish(*RESTING)
    rig.cycle()
    assert rig.order().status is OrderStatus.ACCEPTED
    rig.venue.answer("/api/v2/server/exchangeinfo", rules(rig, **changes), count=None)
    rig.venue.cancel(rig.order().venue_order_id)
    rig.cycle(3)
    assert rig.order().status is OrderStatus.CANCELED
    assert rig.store.holds() == {}
    rig.wish(*RESTING)
    rig.cycle()
    assert rig.verdicts() == [code.value]
    rig.heal()
    assert rig.faults() == []


def test_a_machine_that_slept_after_the_quotes_were_judged_sends_nothing_on_them(make_rig):
    """I15: risk looked at the market, then the lid was closed for three minutes."""
    rig = make_rig(MAX_MARKET_DATA_AGE_MS="15000")
    rig.cycle()
    slept = []

    def sleeps_after_the_verdicts(point):
        if point == "after commit" and rig.store.verdicts("c00000002") and not slept:
            slept.append(point)
            rig.clock.advance(180)

    rig.wish("buy", "0.0005", "1000500")
    rig.points.watch = sleeps_after_the_verdicts
    rig.cycle()
    assert slept
    assert rig.orders() == []
    assert rig.venue.requests("POST") == []
