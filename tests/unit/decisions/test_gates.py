"""The arming truth table, whole: every combination of every gate, for both kinds of write."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from msgspec.structs import replace

from btcbot.decisions import gates
from btcbot.decisions.gates import Closed, GateFacts
from btcbot.domain.permit import Permit, PermitScope, WriteKind
from btcbot.domain.reasons import ReasonCode, TradingState

ORDER_ID = "btcbot-k7f3-1-1"
LIMIT_MS = 2_000

#: Every gate: the code that tells of it, and how the facts look when it is closed.
CLOSED_BY: dict[ReasonCode, list[dict[str, Any]]] = {
    ReasonCode.DRY_RUN: [{"dry_run": True}],
    ReasonCode.SAFE_MODE: [{"safe_mode": True}],
    ReasonCode.KILL_SWITCH: [{"kill_switch": True}],
    ReasonCode.KILL_FILE: [{"kill_file_on": True}],
    ReasonCode.HALTED: [{"trading_state": TradingState.HALTED}],
    ReasonCode.FROZEN: [{"trading_state": TradingState.FROZEN}],
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
#: The brakes hold in every world; the other gates only guard the real venue.
BRAKES = {
    ReasonCode.SAFE_MODE,
    ReasonCode.KILL_SWITCH,
    ReasonCode.KILL_FILE,
    ReasonCode.HALTED,
    ReasonCode.FROZEN,
}
#: Gates that let a cancel through: taking an order out of the market only lowers the risk.
CANCELS_PASS = {
    ReasonCode.KILL_SWITCH,
    ReasonCode.KILL_FILE,
    ReasonCode.HALTED,
    ReasonCode.FROZEN,
    ReasonCode.CLOCK_SKEW,
    ReasonCode.SELF_CHECK,
}
ARMING = set(CLOSED_BY) - BRAKES - {ReasonCode.DRY_RUN}


def armed(**changes: Any) -> GateFacts:
    """Every gate open."""
    facts = GateFacts(
        dry_run=False,
        safe_mode=False,
        kill_switch=False,
        kill_file_on=False,
        live_trading=True,
        acknowledgement="I_UNDERSTAND",
        database_armable=True,
        key_matches=True,
        lock_held=True,
        clock_skew_ms=150,
        clock_skew_ms_max=LIMIT_MS,
        self_check_passed=True,
        trading_state=TradingState.ACTIVE,
    )
    return replace(facts, **changes)


def truth_table() -> Iterator[tuple[GateFacts, set[ReasonCode]]]:
    """All 2^10 switches × four trading states × three skews, each row with the gates that are closed in it."""
    both = (False, True)
    states, skews = tuple(TradingState), (LIMIT_MS - 1, LIMIT_MS, None)
    for dry, safe, kill, file, live, ack, armable, key, lock, check in product(both, repeat=10):
        for state, skew in product(states, skews):
            facts = armed(
                dry_run=dry,
                safe_mode=safe,
                kill_switch=kill,
                kill_file_on=file,
                live_trading=live,
                acknowledgement="I_UNDERSTAND" if ack else "i understand",
                database_armable=armable,
                key_matches=key,
                lock_held=lock,
                self_check_passed=check,
                trading_state=state,
                clock_skew_ms=skew,
            )
            is_closed = {
                ReasonCode.DRY_RUN: dry,
                ReasonCode.SAFE_MODE: safe,
                ReasonCode.KILL_SWITCH: kill,
                ReasonCode.KILL_FILE: file,
                ReasonCode.HALTED: state is TradingState.HALTED,
                ReasonCode.FROZEN: state is TradingState.FROZEN,
                ReasonCode.NOT_ARMED: not live,
                ReasonCode.ACK_MISSING: not ack,
                ReasonCode.DATABASE_NOT_LIVE: not armable,
                ReasonCode.KEY_MISMATCH: not key,
                ReasonCode.LOCK_LOST: not lock,
                ReasonCode.CLOCK_SKEW: skew != LIMIT_MS - 1,
                ReasonCode.SELF_CHECK: not check,
            }
            yield facts, {code for code, closed in is_closed.items() if closed}


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
        barring = closed & BRAKES if facts.dry_run else closed
        if barring:
            assert isinstance(answer, Closed)
            assert set(answer.reasons) == barring
            assert len(answer.reasons) == len(barring)
        else:
            scope = PermitScope.SIMULATION if facts.dry_run else PermitScope.VENUE
            assert answer == Permit(kind=WriteKind.SUBMIT, scope=scope, client_order_id=ORDER_ID, issued_at_ms=77)


def test_in_a_dry_run_only_the_brakes_matter_and_no_permit_is_for_the_venue() -> None:
    for facts, closed in truth_table():
        if not facts.dry_run:
            continue
        for kind in WriteKind:
            answer = ask(facts, kind)
            barring = closed & (BRAKES if kind is WriteKind.SUBMIT else BRAKES - CANCELS_PASS)
            assert isinstance(answer, Closed) == bool(barring)
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
        barring = (closed & BRAKES if facts.dry_run else closed) - CANCELS_PASS
        if barring:
            assert isinstance(answer, Closed)
            assert set(answer.reasons) == barring
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


def test_a_report_names_every_gate_and_whether_it_is_open() -> None:
    for facts, closed in truth_table():
        told = gates.states(facts)
        assert {f"gate_closed:{name}" for name, is_open in told.items() if not is_open} == {
            code.value for code in closed
        }
        assert set(told) == {code.value.removeprefix("gate_closed:") for code in CLOSED_BY}


def test_every_gate_code_is_in_the_table() -> None:
    assert set(CLOSED_BY) == {code for code in ReasonCode if code.value.startswith("gate_closed:")}
