"""The kill chain: failures in a row that turn the kill switch on, and when it may turn itself off again.

A cycle fails when the strategy raised, when an invariant broke, or when an order that it sent ended in doubt, or was
refused and none was taken: where the venue takes other orders it refuses that one pair, which is barred for it. A venue
that does not answer is no failure: nothing is sent to it anyway. A cycle that sent nothing proves nothing about orders,
so it does not end a row of refusals; an order that was taken does.

The switch is a file that people use too. The chain turns off only what it turned on itself, which it knows by the
reason in the file; whoever turns it on or off by hand in between has the last word.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.reasons import ReasonCode

#: What of a cycle's own words goes into the reason; the file keeps 500 characters.
_TOLD_MAX: Final = 240


class Finding(StrEnum):
    """What a cycle says about the chain."""

    ORDERS_FAILED = "orders_failed"
    BROKE = "broke"  # the strategy or an invariant
    SOUND = "sound"  # an order was taken
    IDLE = "idle"  # the strategy was asked, and no order was sent
    SILENT = "silent"  # it did not come so far


class KillChainRules(msgspec.Struct, frozen=True, kw_only=True):
    """`failures_max` in a row turn it on; `cooldown_ms` 0: only a human turns it off."""

    is_enabled: bool
    failures_max: int
    cooldown_ms: int


class Trip(msgspec.Struct, frozen=True, kw_only=True):
    """The switch as this chain turned it on; `reason` is what stands in the file, word for word."""

    reason: str
    at_ms: int


class KillChainState(msgspec.Struct, frozen=True, kw_only=True):
    """`last` is the kind of the latest failure, None without one."""

    failures: int = 0
    last: Finding | None = None
    trip: Trip | None = None


class CycleFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What one cycle came to. `reasons` are the report's."""

    cycle_id: str
    outcome: CycleOutcome
    reasons: tuple[str, ...]
    taken: int
    refused: int
    in_doubt: int
    was_planned: bool


class TurnOn(msgspec.Struct, frozen=True):
    reason: str


class TurnOff(msgspec.Struct, frozen=True):
    """The time is over, and the switch is still the one that the chain turned on."""


def judge(cycle: CycleFinding) -> Finding:
    """What a cycle says."""
    has_strategy_failed = any(reason.startswith(ReasonCode.STRATEGY_FAILED.value) for reason in cycle.reasons)
    if cycle.outcome is CycleOutcome.HALTED or has_strategy_failed:
        return Finding.BROKE
    if cycle.in_doubt or (cycle.refused and not cycle.taken):
        return Finding.ORDERS_FAILED
    if cycle.taken:
        return Finding.SOUND
    return Finding.IDLE if cycle.was_planned else Finding.SILENT


def step(
    state: KillChainState, cycle: CycleFinding, switch: tuple[bool, str], now_ms: int, rules: KillChainRules
) -> tuple[KillChainState, TurnOn | TurnOff | None]:
    """The chain after one cycle, and what is to be done to the switch, which stands as `switch` says."""
    is_on, reason = switch
    trip = state.trip
    if trip is not None:
        if not is_on or reason != trip.reason:
            state = KillChainState()  # somebody turned it off, or on for a reason of their own: theirs from now on
        elif rules.cooldown_ms and now_ms - trip.at_ms >= rules.cooldown_ms:
            return KillChainState(), TurnOff()
        else:
            return state, None
    if is_on:
        return KillChainState(), None  # a human's brake; what came before it is theirs to judge
    state = _counted(state, judge(cycle))
    if not rules.is_enabled or state.failures < rules.failures_max:
        return state, None
    why = _reason(state, cycle, now_ms, rules)
    return msgspec.structs.replace(state, trip=Trip(reason=why, at_ms=now_ms)), TurnOn(why)


def _counted(state: KillChainState, finding: Finding) -> KillChainState:
    if finding in {Finding.BROKE, Finding.ORDERS_FAILED}:
        return msgspec.structs.replace(state, failures=state.failures + 1, last=finding)
    if finding is Finding.SOUND or (finding is Finding.IDLE and state.last is Finding.BROKE):
        return msgspec.structs.replace(state, failures=0, last=None)
    return state


def _reason(state: KillChainState, cycle: CycleFinding, now_ms: int, rules: KillChainRules) -> str:
    if state.last is Finding.ORDERS_FAILED:
        told = f"{cycle.refused} order(s) refused, {cycle.in_doubt} in doubt"
    else:
        told = "; ".join(cycle.reasons)
    told = "".join(one if one.isprintable() else " " for one in told)[:_TOLD_MAX]
    off = f"off by itself after {rules.cooldown_ms // 1000} s" if rules.cooldown_ms else "until «btcbot kill off»"
    return f"kill chain: {state.failures} failed cycles in a row, the last {cycle.cycle_id} at {now_ms}: {told}; {off}"
