"""The gates: the one place where leave to write is given.

Every default, every typing error and everything unreadable leaves a gate closed. All gates are asked anew before each
single write; `decide` either makes a Permit for exactly that write or says which gates are closed.

Two worlds: with the dry-run gate closed, the arming gates do not matter, because the permit that comes out is for
the simulation only and no adapter of a real venue accepts it. The brakes (safe mode, kill switch, kill file, a halt,
either freeze) hold in both worlds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    has_unexplained_orders: bool = False


class Closed(msgspec.Struct, frozen=True):
    """No permit: the reasons, most fundamental first."""

    reasons: tuple[ReasonCode, ...]


class Leave(msgspec.Struct, frozen=True):
    """What follows from one look at the gates: the world that a write goes to, and what bars each kind of write."""

    scope: PermitScope
    closed: Mapping[WriteKind, tuple[ReasonCode, ...]]


#: Brakes that stop new orders but let cancels through: taking an order out of the market only lowers the risk.
_SUBMIT_ONLY: Final = frozenset(
    {
        ReasonCode.KILL_SWITCH,
        ReasonCode.KILL_FILE,
        ReasonCode.HALTED,
        ReasonCode.FROZEN,
        ReasonCode.UNEXPLAINED_ORDERS,
        ReasonCode.SELF_CHECK,
        ReasonCode.CLOCK_SKEW,
    }
)


#: Every gate, in the order in which closed ones are told.
_ALL: Final = (
    ReasonCode.DRY_RUN,
    ReasonCode.SAFE_MODE,
    ReasonCode.KILL_SWITCH,
    ReasonCode.KILL_FILE,
    ReasonCode.HALTED,
    ReasonCode.FROZEN,
    ReasonCode.UNEXPLAINED_ORDERS,
    ReasonCode.NOT_ARMED,
    ReasonCode.ACK_MISSING,
    ReasonCode.DATABASE_NOT_LIVE,
    ReasonCode.KEY_MISMATCH,
    ReasonCode.LOCK_LOST,
    ReasonCode.CLOCK_SKEW,
    ReasonCode.SELF_CHECK,
)
_NAMES: Final = {code: code.value.removeprefix("gate_closed:") for code in _ALL}


# These are asked several times for each order, hence plain questions instead of a table of functions.
def _brakes(facts: GateFacts) -> list[ReasonCode]:
    """The brakes that are on."""
    closed: list[ReasonCode] = []
    if facts.safe_mode:
        closed.append(ReasonCode.SAFE_MODE)
    if facts.kill_switch:
        closed.append(ReasonCode.KILL_SWITCH)
    if facts.kill_file_on:
        closed.append(ReasonCode.KILL_FILE)
    if facts.trading_state is TradingState.HALTED:
        closed.append(ReasonCode.HALTED)
    if facts.trading_state is TradingState.FROZEN:
        closed.append(ReasonCode.FROZEN)
    if facts.has_unexplained_orders:
        closed.append(ReasonCode.UNEXPLAINED_ORDERS)
    return closed


def _arming(facts: GateFacts) -> list[ReasonCode]:
    """What is missing to be armed."""
    closed: list[ReasonCode] = []
    if not facts.live_trading:
        closed.append(ReasonCode.NOT_ARMED)
    if facts.acknowledgement != ACKNOWLEDGEMENT:
        closed.append(ReasonCode.ACK_MISSING)
    if not facts.database_armable:
        closed.append(ReasonCode.DATABASE_NOT_LIVE)
    if not facts.key_matches:
        closed.append(ReasonCode.KEY_MISMATCH)
    if not facts.lock_held:
        closed.append(ReasonCode.LOCK_LOST)
    if facts.clock_skew_ms is None or abs(facts.clock_skew_ms) >= facts.clock_skew_ms_max:
        closed.append(ReasonCode.CLOCK_SKEW)
    if not facts.self_check_passed:
        closed.append(ReasonCode.SELF_CHECK)
    return closed


def states(facts: GateFacts) -> Mapping[str, bool]:
    """Every gate by name, True where it is open; for reports."""
    closed = closed_gates(facts, WriteKind.SUBMIT)
    return {name: code not in closed for code, name in _NAMES.items()}


def closed_gates(facts: GateFacts, kind: WriteKind) -> tuple[ReasonCode, ...]:
    """The gates that stand between this kind of write and the real venue."""
    dry_run = [ReasonCode.DRY_RUN] if facts.dry_run else []
    return _barring([*dry_run, *_brakes(facts), *_arming(facts)], kind)


def _barring(closed: Sequence[ReasonCode], kind: WriteKind) -> tuple[ReasonCode, ...]:
    if not closed or kind is WriteKind.SUBMIT:
        return tuple(closed)
    return tuple(code for code in closed if code not in _SUBMIT_ONLY)


def leave(facts: GateFacts) -> Leave:
    """What the gates let through as they stand; equal facts give equal leave."""
    if facts.dry_run:
        brakes = _brakes(facts)
        return Leave(PermitScope.SIMULATION, {kind: _barring(brakes, kind) for kind in WriteKind})
    return Leave(PermitScope.VENUE, {kind: closed_gates(facts, kind) for kind in WriteKind})


def decide(facts: GateFacts, kind: WriteKind, client_order_id: str, monotonic_ms: int) -> Permit | Closed:
    """A permit for one write, or the closed gates."""
    return permit(leave(facts), kind, client_order_id, monotonic_ms)


def permit(given: Leave, kind: WriteKind, client_order_id: str, monotonic_ms: int) -> Permit | Closed:
    """The same from what was worked out before. The only maker of permits."""
    closed = given.closed[kind]
    if closed:
        return Closed(closed)
    return Permit(kind=kind, scope=given.scope, client_order_id=client_order_id, issued_at_ms=monotonic_ms)
