"""What `doctor` expects of the last cycles: refusals, fills, time of a cycle, drawdown."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field

from btcbot.config.groups.base import Group
from btcbot.config.kinds import Exact, Switch, Whole

__all__ = ["SloSettings", "slo_problems"]


class SloSettings(Group):
    """Fields of `Settings`; see there."""

    doctor_slo_enabled: Switch = Field(default=True, description="Let «doctor» judge the last cycles.")
    doctor_slo_lookback: Whole = Field(
        default=20, ge=1, le=10_000, description="Cycles that «doctor» looks back over when it judges them."
    )
    doctor_slo_min_orders: Whole = Field(
        default=5, ge=1, le=10_000, description="Orders in these cycles below which their rates are not judged."
    )
    doctor_slo_max_reject_rate_warn: Exact = Field(
        default=Decimal("0.05"), ge=0, le=1, description="Share of orders refused by the venue above which it warns."
    )
    doctor_slo_max_reject_rate_fail: Exact = Field(
        default=Decimal("0.1"), ge=0, le=1, description="Share of orders refused by the venue above which it fails."
    )
    doctor_slo_min_fill_rate_warn: Exact = Field(
        default=Decimal("0.5"),
        ge=0,
        le=1,
        description="Share of ended orders with a fill below which it warns; resting orders may end without one.",
    )
    doctor_slo_min_fill_rate_fail: Exact = Field(
        default=Decimal("0.1"), ge=0, le=1, description="Share of ended orders with a fill below which it fails."
    )
    doctor_slo_max_latency_ms_warn: Whole = Field(
        default=2_500,
        ge=1,
        le=600_000,
        description="Milliseconds of a cycle, exceeded by one in twenty, above which it warns.",
    )
    doctor_slo_max_latency_ms_fail: Whole = Field(
        default=10_000,
        ge=1,
        le=600_000,
        description="Milliseconds of a cycle, exceeded by one in twenty, above which it fails.",
    )
    doctor_slo_max_drawdown_ratio_warn: Exact = Field(
        default=Decimal("0.1"),
        ge=0,
        le=1,
        description="Share of the account by which the profit may lie below its highest before it warns.",
    )
    doctor_slo_max_drawdown_ratio_fail: Exact = Field(
        default=Decimal("0.2"),
        ge=0,
        le=1,
        description="Share of the account by which the profit may lie below its highest before it fails.",
    )


def slo_problems(settings: SloSettings) -> list[str]:
    """What is fine one by one and cannot be meant together."""
    asked = settings
    above = {
        "MAX_REJECT_RATE": asked.doctor_slo_max_reject_rate_warn > asked.doctor_slo_max_reject_rate_fail,
        "MAX_LATENCY_MS": asked.doctor_slo_max_latency_ms_warn > asked.doctor_slo_max_latency_ms_fail,
        "MAX_DRAWDOWN_RATIO": asked.doctor_slo_max_drawdown_ratio_warn > asked.doctor_slo_max_drawdown_ratio_fail,
    }
    pairs = [(f"{name}_WARN", f"{name}_FAIL") for name, is_above in above.items() if is_above]
    if asked.doctor_slo_min_fill_rate_fail > asked.doctor_slo_min_fill_rate_warn:
        pairs.append(("MIN_FILL_RATE_FAIL", "MIN_FILL_RATE_WARN"))
    return [
        f"DOCTOR_SLO_{least}: is above DOCTOR_SLO_{most}; lower it, so that a warning comes before a failure"
        for least, most in pairs
    ]
