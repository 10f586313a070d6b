"""Anomalies, degrade levels, the freeze on unexplained orders, the automatic kill switch."""

from __future__ import annotations

from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from btcbot.config import values
from btcbot.config.groups.base import Group
from btcbot.config.kinds import TRY_MAX, Exact, Kind, Switch, Whole
from btcbot.decisions.anomalies import AnomalyCode

__all__ = ["OversightSettings"]


def _codes(names: tuple[str, ...]) -> tuple[str, ...]:
    """Anomaly codes; an unknown one is answered with the nearest."""
    found = tuple(name.upper() for name in names)
    for name in found:
        if name not in AnomalyCode.__members__:
            near = get_close_matches(name, AnomalyCode.__members__, n=1)
            meant = f"did you mean {near[0]}?" if near else f"known are {', '.join(AnomalyCode.__members__)}"
            raise ValueError(f"holds an unknown anomaly code; {meant}")
    return found


AnomalyCodes = Annotated[
    tuple[str, ...], Kind("list of anomaly codes"), BeforeValidator(values.names), AfterValidator(_codes)
]


class OversightSettings(Group):
    """Fields of `Settings`; see there."""

    # Anomalies
    stale_data_seconds: Whole = Field(
        default=30,
        ge=1,
        le=86_400,
        description="Seconds without a fresh quote after which a pair counts as stale; a quiet pair has fresh quotes.",
    )
    stale_data_share: Exact = Field(
        default=Decimal("0.3"), gt=0, le=1, description="Share of the watched pairs that have to be stale to warn."
    )
    latency_spike_ms: Whole = Field(
        default=2_000, ge=1, le=600_000, description="Length of a cycle in milliseconds from which it is too slow."
    )
    stuck_cycle_seconds: Whole = Field(
        validate_default=True,
        default=120,
        ge=1,
        le=86_400,
        description="Length of a cycle in seconds from which the bot was stuck: an error.",
    )
    reject_spike_threshold: Whole = Field(
        default=3, ge=1, le=1_000, description="Orders refused by the venue, within the window below, that warn."
    )
    reject_spike_window_cycles: Whole = Field(
        default=5, ge=1, le=1_000, description="Cycles over which refused orders are counted."
    )
    cursor_stall_cycles: Whole = Field(
        default=5,
        ge=1,
        le=1_000,
        description="Cycles in which the trade list does not come forward while the venue answers, that warn.",
    )
    feed_stall_seconds: Whole = Field(
        default=30,
        ge=1,
        le=86_400,
        description="Seconds in which no book of the live feed could be traded on, that warn.",
    )
    pnl_divergence_try_warn: Exact = Field(
        default=Decimal(50),
        gt=0,
        le=TRY_MAX,
        description="Difference between our result and what the account is worth, in TRY, that warns.",
    )
    pnl_divergence_try_error: Exact = Field(
        validate_default=True,
        default=Decimal(200),
        gt=0,
        le=TRY_MAX,
        description="The same difference from which it is an error.",
    )

    # Degrade levels
    degrade_warn_threshold: Whole = Field(
        default=3,
        ge=1,
        le=1_000,
        description="Consecutive cycles with a warning that lead to level 1; twice as many lead to level 2.",
    )
    degrade_warn_codes: AnomalyCodes = Field(
        default=(
            "STALE_MARKET_DATA",
            "ORDER_REJECT_SPIKE",
            "CURSOR_STALL",
            "PNL_DIVERGENCE",
            "FEED_STALLED",
            "BREAKER_OPEN",
        ),
        description="The warnings that count; an error always does.",
    )
    degrade_cooldown_seconds: Whole = Field(
        default=900,
        ge=1,
        le=86_400,
        description="Seconds for which level 1 or 2 is kept after its last cause; level 3 is kept twice as long.",
    )
    degrade_quiet_cycles: Whole = Field(
        default=4,
        ge=1,
        le=1_000,
        description="Quiet cycles after the cooldown that lead down a level; from level 1 to 0 twice as many.",
    )
    degrade_buy_share: Exact = Field(
        default=Decimal("0.5"), gt=0, le=1, description="Part of each buy that level 1 lets through."
    )
    degrade_symbols_max: Whole = Field(default=8, ge=1, le=100, description="Pairs that may be bought at level 1.")

    # Freeze on orders that nobody can explain
    stage4_unknown_freeze_enabled: Switch = Field(
        default=True, description="Freeze new orders when the account has orders that nobody can explain."
    )
    stage4_unknown_freeze_threshold: Whole = Field(
        default=0,
        ge=0,
        le=1_000,
        description="Open orders of other hands, without our prefix, that freeze; 0: they never do.",
    )
    stage4_unknown_freeze_persist_cycles: Whole = Field(
        default=3,
        ge=1,
        le=1_000,
        description="Cycles in a row in which an unexplained order is seen before it freezes.",
    )
    stage4_unknown_freeze_persist_seconds: Whole = Field(
        default=30,
        ge=1,
        le=86_400,
        description="Or seconds in a row, from the first such cycle to a later one.",
    )

    # Automatic kill switch
    enable_auto_kill_switch: Switch = Field(
        default=True, description="Turn the kill switch on by itself after failed cycles in a row."
    )
    kill_chain_max_consecutive_errors: Whole = Field(
        default=5, ge=1, le=1_000, description="Failed cycles in a row that turn the kill switch on."
    )
    kill_chain_cooldown_seconds: Whole = Field(
        default=0,
        ge=0,
        le=604_800,
        description="Seconds after which a kill switch that turned itself on lets go again; 0: a human turns it off.",
    )

    @field_validator("stuck_cycle_seconds")
    @classmethod
    def _stuck_is_worse_than_slow(cls, value: int, others: ValidationInfo) -> int:
        slow_ms = others.data.get("latency_spike_ms")
        if slow_ms is not None and value * 1000 <= slow_ms:
            raise ValueError("is not longer than LATENCY_SPIKE_MS, so no cycle is ever only slow; raise it")
        return value

    @field_validator("pnl_divergence_try_error")
    @classmethod
    def _an_error_is_worse_than_a_warning(cls, value: Decimal, others: ValidationInfo) -> Decimal:
        warn = others.data.get("pnl_divergence_try_warn")
        if warn is not None and value < warn:
            raise ValueError("is below PNL_DIVERGENCE_TRY_WARN, so nothing ever warns; raise it")
        return value
