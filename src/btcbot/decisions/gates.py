"""The gates: the one place where leave to write is given.

Every default, every typing error and everything unreadable leaves a gate closed. All gates are asked anew before each
single write; `decide` either makes a Permit for exactly that write or says which gates are closed.

Two worlds: with the dry-run gate closed, the arming gates do not matter, because the permit that comes out is for
the simulation only and no adapter of a real venue accepts it. The brakes (safe mode, kill switch, kill file, a halt)
hold in both worlds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from btcbot.domain.permit import Permit, PermitScope, WriteKind
from btcbot.domain.reasons import ReasonCode, TradingState

ACKNOWLEDGEMENT: Final = "I_UNDERSTAND"


class GateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the gates look at. Field order is the order in which closed gates are told."""

    dry_run: bool
    safe_mode: bool
    kill_switch: bool
    kill_file_on: bool
    live_trading: bool
    acknowledgement: str | None
    database_armable: bool  # made for live (or demo) and for this venue
    key_matches: bool
    lock_held: bool
    clock_skew_ms: int | None
    clock_skew_ms_max: int
    self_check_passed: bool
    trading_state: TradingState


class Closed(msgspec.Struct, frozen=True):
    """No permit: the reasons, most fundamental first."""

    reasons: tuple[ReasonCode, ...]


#: Brakes that stop new orders but let cancels through: taking an order out of the market only lowers the risk.
_SUBMIT_ONLY: Final = frozenset(
    {
        ReasonCode.KILL_SWITCH,
        ReasonCode.KILL_FILE,
        ReasonCode.HALTED,
        ReasonCode.FROZEN,
        ReasonCode.SELF_CHECK,
        ReasonCode.CLOCK_SKEW,
    }
)


def _brakes(facts: GateFacts) -> dict[ReasonCode, bool]:
    return {
        ReasonCode.SAFE_MODE: not facts.safe_mode,
        ReasonCode.KILL_SWITCH: not facts.kill_switch,
        ReasonCode.KILL_FILE: not facts.kill_file_on,
        ReasonCode.HALTED: facts.trading_state is not TradingState.HALTED,
        ReasonCode.FROZEN: facts.trading_state is not TradingState.FROZEN,
    }


def _arming(facts: GateFacts) -> dict[ReasonCode, bool]:
    skew_known_and_small = facts.clock_skew_ms is not None and abs(facts.clock_skew_ms) < facts.clock_skew_ms_max
    return {
        ReasonCode.NOT_ARMED: facts.live_trading,
        ReasonCode.ACK_MISSING: facts.acknowledgement == ACKNOWLEDGEMENT,
        ReasonCode.DATABASE_NOT_LIVE: facts.database_armable,
        ReasonCode.KEY_MISMATCH: facts.key_matches,
        ReasonCode.LOCK_LOST: facts.lock_held,
        ReasonCode.CLOCK_SKEW: skew_known_and_small,
        ReasonCode.SELF_CHECK: facts.self_check_passed,
    }


def states(facts: GateFacts) -> Mapping[str, bool]:
    """Every gate by name, True where it is open; for reports."""
    gates = {ReasonCode.DRY_RUN: not facts.dry_run, **_brakes(facts), **_arming(facts)}
    return {code.value.removeprefix("gate_closed:"): is_open for code, is_open in gates.items()}


def closed_gates(facts: GateFacts, kind: WriteKind) -> tuple[ReasonCode, ...]:
    """The gates that stand between this kind of write and the real venue."""
    gates = {ReasonCode.DRY_RUN: not facts.dry_run, **_brakes(facts), **_arming(facts)}
    return _closed(gates, kind)


def _closed(gates: Mapping[ReasonCode, bool], kind: WriteKind) -> tuple[ReasonCode, ...]:
    return tuple(
        code
        for code, is_open in gates.items()
        if not is_open and (kind is WriteKind.SUBMIT or code not in _SUBMIT_ONLY)
    )


def decide(facts: GateFacts, kind: WriteKind, client_order_id: str, monotonic_ms: int) -> Permit | Closed:
    """Leave for one write, or the closed gates. The only maker of permits."""
    if facts.dry_run:
        scope, closed = PermitScope.SIMULATION, _closed(_brakes(facts), kind)
    else:
        scope, closed = PermitScope.VENUE, closed_gates(facts, kind)
    if closed:
        return Closed(closed)
    return Permit(kind=kind, scope=scope, client_order_id=client_order_id, issued_at_ms=monotonic_ms)
