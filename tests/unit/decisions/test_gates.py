"""The arming truth table, whole: every combination of every gate, for both kinds of write."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from proof.gates import ORDER_ID, armed, barring, run, truth_table
from proof.gates import SKEW_MS_MAX as LIMIT_MS

from btcbot.decisions import gates
from btcbot.decisions.gates import Closed, GateFacts
from btcbot.domain.permit import Permit, PermitScope, WriteKind
from btcbot.domain.reasons import ReasonCode, TradingState
from proof import gates as table

#: Every gate: the code that tells of it, and how the facts look when it is closed.
CLOSED_BY: dict[ReasonCode, list[dict[str, Any]]] = {
    ReasonCode.DRY_RUN: [{"dry_run": True}],
    ReasonCode.SAFE_MODE: [{"safe_mode": True}],
    ReasonCode.KILL_SWITCH: [{"kill_switch": True}],
    ReasonCode.KILL_FILE: [{"kill_file_on": True}],
    ReasonCode.HALTED: [{"trading_state": TradingState.HALTED}],
    ReasonCode.FROZEN: [{"trading_state": TradingState.FROZEN}],
    ReasonCode.UNEXPLAINED_ORDERS: [{"has_unexplained_orders": True}],
    ReasonCode.NOT_ARMED: [{"live_trading": False}],
    ReasonCode.ACK_MISSING: [
        {"acknowledgement": text} for text in (None, "", "i_understand", "I_UNDERSTAND ", "true", "yes")
    ],
    ReasonCode.DATABASE_NOT_LIVE: [{"database_armable": False}],
    ReasonCode.KEY_MISMATCH: [{"key_matches": False}],
    ReasonCode.LOCK_LOST: [{"lock_held": False}],
    ReasonCode.CLOCK_SKEW: [{"clock_skew_ms": skew} for skew in (None, LIMIT_MS, -LIMIT_MS, 60_000)],
    ReasonCode.SELF_CHECK: [{"self_check_passed": False}],
}
BRAKES = table.BRAKES | {ReasonCode.UNEXPLAINED_ORDERS}
CANCELS_PASS = table.CANCELS_PASS | {ReasonCode.UNEXPLAINED_ORDERS}
ARMING = set(CLOSED_BY) - BRAKES - {ReasonCode.DRY_RUN}


def ask(facts: GateFacts, kind: WriteKind) -> Permit | Closed:
    return gates.decide(facts, kind, ORDER_ID, monotonic_ms=77)


def test_exactly_one_setting_of_all_switches_lets_an_order_out_to_the_venue() -> None:
    """ACTIVE and OBSERVE_ONLY are alike to it: the latter tells how the last cycle went and bars nothing."""
    opening = []
    for facts, closed in truth_table():
        answer = ask(facts, WriteKind.SUBMIT)
        if isinstance(answer, Permit) and answer.scope is PermitScope.VENUE:
            opening.append(facts)
            assert not closed

    assert opening == [
        armed(clock_skew_ms=LIMIT_MS - 1),
        armed(clock_skew_ms=LIMIT_MS - 1, trading_state=TradingState.OBSERVE_ONLY),
    ]


def test_a_submission_is_barred_by_each_closed_gate_and_every_one_is_told() -> None:
    for facts, closed in truth_table():
        answer = ask(facts, WriteKind.SUBMIT)
        expected = barring(facts, closed, WriteKind.SUBMIT)
        if expected:
            assert isinstance(answer, Closed)
            assert set(answer.reasons) == expected
            assert len(answer.reasons) == len(expected)
        else:
            scope = PermitScope.SIMULATION if facts.dry_run else PermitScope.VENUE
            assert answer == Permit(kind=WriteKind.SUBMIT, scope=scope, client_order_id=ORDER_ID, issued_at_ms=77)


def test_in_a_dry_run_only_the_brakes_matter_and_no_permit_is_for_the_venue() -> None:
    for facts, closed in truth_table():
        if not facts.dry_run:
            continue
        for kind in WriteKind:
            answer = ask(facts, kind)
            assert isinstance(answer, Closed) == bool(
                closed & (BRAKES if kind is WriteKind.SUBMIT else BRAKES - CANCELS_PASS)
            )
            if isinstance(answer, Permit):
                assert answer.scope is PermitScope.SIMULATION


@pytest.mark.parametrize("code", sorted(CANCELS_PASS))
def test_what_stops_orders_and_lets_cancels_through(code: ReasonCode) -> None:
    for change in CLOSED_BY[code]:
        assert ask(armed(**change), WriteKind.SUBMIT) == Closed((code,))
        assert isinstance(ask(armed(**change), WriteKind.CANCEL), Permit)


def test_a_cancel_is_barred_by_each_of_the_others_and_every_one_is_told() -> None:
    for facts, closed in truth_table():
        answer = ask(facts, WriteKind.CANCEL)
        expected = barring(facts, closed, WriteKind.CANCEL)
        if expected:
            assert isinstance(answer, Closed)
            assert set(answer.reasons) == expected
        else:
            scope = PermitScope.SIMULATION if facts.dry_run else PermitScope.VENUE
            assert answer == Permit(kind=WriteKind.CANCEL, scope=scope, client_order_id=ORDER_ID, issued_at_ms=77)


@pytest.mark.parametrize("code", sorted({ReasonCode.SAFE_MODE, *ARMING} - CANCELS_PASS))
def test_safe_mode_and_the_gates_of_arming_key_database_and_lock_stop_cancels_too(code: ReasonCode) -> None:
    for change in CLOSED_BY[code]:
        assert ask(armed(**change), WriteKind.CANCEL) == Closed((code,))


@pytest.mark.parametrize("code", CLOSED_BY)
def test_each_gate_alone_bars_the_venue(code: ReasonCode) -> None:
    for change in CLOSED_BY[code]:
        facts = armed(**change)
        assert gates.closed_gates(facts, WriteKind.SUBMIT) == (code,)
        answer = ask(facts, WriteKind.SUBMIT)
        assert not (isinstance(answer, Permit) and answer.scope is PermitScope.VENUE)


@pytest.mark.parametrize(
    ("skew_ms", "is_open"), [(0, True), (1_999, True), (-1_999, True), (2_000, False), (-2_000, False)]
)
def test_the_clock_may_differ_by_less_than_the_limit_either_way(skew_ms: int, is_open: bool) -> None:
    assert isinstance(ask(armed(clock_skew_ms=skew_ms), WriteKind.SUBMIT), Permit) is is_open


def test_a_freeze_on_unexplained_orders_bars_every_new_order_and_no_cancel() -> None:
    """In every world and every row: stops what is new, lets through what lowers the risk."""
    for facts, _ in truth_table():
        frozen = replace(facts, has_unexplained_orders=True)
        answer = ask(frozen, WriteKind.SUBMIT)
        assert isinstance(answer, Closed)
        assert ReasonCode.UNEXPLAINED_ORDERS in answer.reasons
        assert ask(frozen, WriteKind.CANCEL) == ask(facts, WriteKind.CANCEL)
        assert gates.states(frozen) == {**gates.states(facts), "frozen_by_unexplained_orders": False}


def test_a_report_names_every_gate_and_whether_it_is_open() -> None:
    for facts, closed in truth_table():
        told = gates.states(facts)
        assert {f"gate_closed:{name}" for name, is_open in told.items() if not is_open} == {
            code.value for code in closed
        }
        assert set(told) == {code.value.removeprefix("gate_closed:") for code in CLOSED_BY}


def test_every_gate_code_is_in_the_table() -> None:
    assert set(CLOSED_BY) == {code for code in ReasonCode if code.value.startswith("gate_closed:")}


def test_the_proof_of_both_tables() -> None:
    """What people write for the switches too: every combination of right, wrong, mistyped and absent."""
    result = run()

    assert not result.failures
    assert (result.counts["rows"], result.counts["settings that open"]) == (24_576, 1)
    assert (result.counts["typed"], result.counts["typed settings that open"]) == (7_776, 1)
