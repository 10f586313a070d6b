"""Degrade levels: how far anomalies narrow trading, and how it comes back.

    0  NORMAL             everything
    1  NORMAL             a part of each buy (a half), in the first few symbols only
    2  REDUCE_RISK_ONLY   no buys; sells of inventory and cancels
    3  OBSERVE_ONLY       no orders; what works and what is stale is looked after

The levels get stricter from one to the next. REDUCE_RISK_ONLY lets no buy through, so a share of buys and a limit of
symbols mean something at level 1 alone: that is why level 1 trades on in NORMAL mode, smaller, and why level 2 has
neither of the two.

Up at once, down slowly. An error or an endpoint that the venue closed leads to 3 straight away; warnings count when
they come in consecutive cycles: so many lead to 1, twice as many to 2. Whatever leads to the present level renews its
cooldown, in which the level is kept. After it, quiet cycles lead down one level at a time, and the last step takes
twice as many. While orders are frozen that nobody can explain, level 2 is in force at least and no cycle counts as
quiet; when a human has cleared the freeze, trading is as free again as the anomalies left it.

A human may override the level for a while: then that level is in force whatever is seen. What is seen is followed all
the same, so that afterwards trading is as free as the anomalies of the meantime left it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.decisions.anomalies import Anomaly, AnomalyCode, Severity
from btcbot.domain import money
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.stance import FREE, Stance, TradingMode

LEVEL_MAX: Final = 3
_FROZEN_LEVEL: Final = 2
MODES: Final = (TradingMode.NORMAL, TradingMode.NORMAL, TradingMode.REDUCE_RISK_ONLY, TradingMode.OBSERVE_ONLY)
#: The level that a human means by a mode.
LEVEL_OF_MODE: Final = {TradingMode.NORMAL: 0, TradingMode.REDUCE_RISK_ONLY: 2, TradingMode.OBSERVE_ONLY: 3}
_FROZEN: Final = "orders are frozen that nobody can explain"


class DegradeRules(msgspec.Struct, frozen=True, kw_only=True):
    """`warn_codes`: the warnings that count. `cooldown_ms` is kept at levels 1 and 2, twice as long at 3.
    `quiet_cycles` lead down a level, twice as many from 1 to 0. `buy_share` and `symbols_max` hold at level 1.
    """

    warn_codes: frozenset[AnomalyCode]
    warn_threshold: int
    cooldown_ms: int
    quiet_cycles: int
    buy_share: Decimal
    symbols_max: int


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """A human's word: `level` is in force for `lasts_ms` from `made_at_ms` on."""

    level: int
    made_at_ms: int
    lasts_ms: int
    reason: str

    def is_over(self, now_ms: int) -> bool:
        return now_ms - self.made_at_ms >= self.lasts_ms


class DegradeState(msgspec.Struct, frozen=True, kw_only=True):
    """Where the machine stands. `why` and `since_ms` belong to `level`; `codes` are those of the last cycle."""

    level: int = 0
    since_ms: int = 0
    why: str = ""
    cooldown_from_ms: int = 0
    warnings_in_a_row: int = 0
    quiet_in_a_row: int = 0
    codes: tuple[str, ...] = ()
    is_frozen: bool = False
    override: Override | None = None


def level_in_force(state: DegradeState, now_ms: int) -> int:
    """What holds now: a human's word while it lasts, else what anomalies and a freeze came to."""
    override = state.override
    if override is not None and not override.is_over(now_ms):
        return override.level
    return max(state.level, _FROZEN_LEVEL) if state.is_frozen else state.level


def why_in_force(state: DegradeState, now_ms: int) -> str:
    """The cause of the level in force, for people; empty at level 0."""
    override = state.override
    if override is not None and not override.is_over(now_ms):
        return f"by the operator: {override.reason}"
    return "; ".join(one for one in (_FROZEN if state.is_frozen else "", state.why) if one)


def cooldown_left_ms(state: DegradeState, now_ms: int, rules: DegradeRules) -> int:
    """For how long the level is kept at least. Never more than the whole cooldown, however our clock is set."""
    if not state.level:
        return 0
    whole_ms = _cooldown_ms(state.level, rules)
    return min(max(state.cooldown_from_ms + whole_ms - now_ms, 0), whole_ms)


def _cooldown_ms(level: int, rules: DegradeRules) -> int:
    return rules.cooldown_ms * (2 if level == LEVEL_MAX else 1)


def quiet_needed(state: DegradeState, rules: DegradeRules) -> int:
    """So many quiet cycles in a row lead one level down; the last step takes twice as many."""
    return rules.quiet_cycles * (2 if state.level == 1 else 1)


def step(
    state: DegradeState,
    anomalies: Sequence[Anomaly],
    *,
    freeze_active: bool,
    saw_market: bool,
    now_ms: int,
    rules: DegradeRules,
    clock_is_trusted: bool = True,
) -> DegradeState:
    """The state after one cycle. One that saw no market and nothing unusual is no evidence, neither way.

    While our clock is not trusted, a human's word does not run out by it.
    """
    is_over = state.override is not None and clock_is_trusted and state.override.is_over(now_ms)
    override = None if is_over else state.override
    # A clock that was set back must not make either last for longer than anybody meant.
    if override is not None and override.made_at_ms > now_ms:
        override = msgspec.structs.replace(override, made_at_ms=now_ms)
    state = msgspec.structs.replace(
        state, override=override, cooldown_from_ms=min(state.cooldown_from_ms, now_ms), is_frozen=freeze_active
    )
    counted = [one for one in anomalies if one.severity is Severity.ERROR or one.code in rules.warn_codes]
    has_error = any(one.severity is Severity.ERROR for one in anomalies)
    codes = tuple(one.code.value for one in anomalies)
    if not (counted or saw_market):
        return msgspec.structs.replace(state, codes=codes)
    warnings = state.warnings_in_a_row + 1 if counted else 0
    target = LEVEL_MAX if has_error else min(warnings // rules.warn_threshold, LEVEL_MAX - 1)
    state = msgspec.structs.replace(state, codes=codes, warnings_in_a_row=warnings)
    if target and target >= state.level:
        why = "; ".join(f"{one.code.value}: {one.detail}" for one in counted)
        since_ms = now_ms if target > state.level else state.since_ms
        return msgspec.structs.replace(
            state, level=target, since_ms=since_ms, why=why, cooldown_from_ms=now_ms, quiet_in_a_row=0
        )
    is_quiet = not (counted or freeze_active)
    if not state.level or not is_quiet or cooldown_left_ms(state, now_ms, rules):
        return msgspec.structs.replace(state, quiet_in_a_row=0)
    quiet = state.quiet_in_a_row + 1
    if quiet < quiet_needed(state, rules):
        return msgspec.structs.replace(state, quiet_in_a_row=quiet)
    below = state.level - 1
    why = f"{quiet} quiet cycles at level {state.level}" if below else ""
    return msgspec.structs.replace(state, level=below, since_ms=now_ms, why=why, quiet_in_a_row=0)


def stance_of(state: DegradeState, now_ms: int, rules: DegradeRules) -> Stance:
    """What the level in force narrows a cycle to."""
    level = level_in_force(state, now_ms)
    if not level:
        return FREE
    why = why_in_force(state, now_ms)
    reasons = (f"{ReasonCode.DEGRADED.value}: level {level}: {why}",)
    if level == 1:
        return Stance(buy_share=rules.buy_share, symbols_max=rules.symbols_max, reasons=reasons)
    return Stance(mode=MODES[level], buy_share=money.ZERO, symbols_max=0, reasons=reasons)


def overridden(state: DegradeState, mode: TradingMode, lasts_ms: int, reason: str, now_ms: int) -> DegradeState:
    """After a human's word. NORMAL wipes out what was seen so far, and holds against what is seen for `lasts_ms`."""
    level = LEVEL_OF_MODE[mode]
    if not level:
        state = DegradeState(since_ms=now_ms)
    override = Override(level=level, made_at_ms=now_ms, lasts_ms=lasts_ms, reason=reason) if lasts_ms else None
    return msgspec.structs.replace(state, override=override)


def unreadable(now_ms: int) -> DegradeState:
    """Where what was kept cannot be read: nobody knows how far trading had been narrowed, so the strictest holds."""
    why = "what was kept of the degrade level cannot be read"
    return DegradeState(level=LEVEL_MAX, since_ms=now_ms, cooldown_from_ms=now_ms, why=why)
