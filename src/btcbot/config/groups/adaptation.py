"""Parameters that change while a dry run goes on: their start, bounds and rollback."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field, ValidationInfo, field_validator

from btcbot.config.groups.base import Group
from btcbot.config.kinds import BPS_MAX, TRY_MAX, Exact, Switch, Whole

__all__ = ["AdaptationSettings"]

#: Adaptation looks at so many cycles, and can count no further.
_WINDOW = 5


class AdaptationSettings(Group):
    """Fields of `Settings`; see there."""

    # Adaptation
    adaptation_enabled: Switch = Field(
        default=True, description="Let stage7-run change its parameters within the bounds below."
    )
    stage7_reject_spike_threshold: Whole = Field(
        default=3, ge=1, le=100, description="Refusals by the venue in one cycle that count as a spike."
    )
    stage7_spread_spike_bps: Exact = Field(
        default=Decimal(300), gt=0, le=BPS_MAX, description="Spread from which a cycle's metrics tell of a spike."
    )
    adaptation_healthy_cycles: Whole = Field(
        default=3, ge=1, le=_WINDOW, description="Healthy cycles in a row after which universe and turnover grow."
    )
    adaptation_good_cycles: Whole = Field(
        default=3,
        ge=1,
        le=_WINDOW,
        description="Healthy cycles in a row that make the parameters in force the checkpoint of a rollback.",
    )
    adaptation_quiet_cycles: Whole = Field(
        default=10,
        ge=1,
        le=10_000,
        description="Cycles without trouble for which a change that was rolled back is not tried again.",
    )
    adaptation_loss_try: Exact = Field(
        default=Decimal(50),
        gt=0,
        le=TRY_MAX,
        description="Loss since the checkpoint was left that rolls back when three cycles in a row are beyond it.",
    )
    adaptation_drawdown_share: Exact = Field(
        default=Decimal("0.8"),
        gt=0,
        lt=1,
        description="Share of MAX_DRAWDOWN_PCT from which the turnover shrinks; at the whole, parameters go back.",
    )
    adaptation_turnover_share: Exact = Field(
        default=Decimal("0.5"),
        gt=0,
        le=1,
        description="Share of NOTIONAL_CAP_TRY_PER_CYCLE with which the turnover of a cycle begins.",
    )
    adaptation_turnover_step: Exact = Field(
        default=Decimal("0.05"),
        ge=Decimal("0.01"),
        le=Decimal("0.5"),
        description="Share by which the turnover grows or shrinks.",
    )
    adaptation_offset_step_bps: Exact = Field(
        default=Decimal(2), gt=0, le=1000, description="Step by which refusals bring orders closer to the market."
    )
    adaptation_spread_step_bps: Exact = Field(
        default=Decimal(10), gt=0, le=1000, description="Step by which missing prices narrow the widest spread."
    )
    adaptation_volume_step_try: Exact = Field(
        default=Decimal(100), gt=0, le=TRY_MAX, description="Step by which missing prices raise the least volume."
    )
    adaptation_universe_min: Whole = Field(default=5, ge=1, le=1000, description="Least size of the universe.")
    adaptation_universe_max: Whole = Field(
        default=50, ge=1, le=1000, validate_default=True, description="Largest size of the universe."
    )
    adaptation_offset_bps_max: Exact = Field(
        default=Decimal(50), ge=0, le=1000, description="Largest distance of an order from the mid price."
    )
    adaptation_turnover_min_try: Exact = Field(
        default=Decimal(100),
        ge=1,
        le=TRY_MAX,
        description="Least turnover of a cycle; NOTIONAL_CAP_TRY_PER_CYCLE is the largest.",
    )
    adaptation_orders_max: Whole = Field(
        default=20, ge=1, le=100, description="Most orders of a cycle; MAX_ORDERS_PER_CYCLE holds as well."
    )
    adaptation_spread_bps_min: Exact = Field(
        default=Decimal(10), gt=0, le=BPS_MAX, description="Narrowest limit on the spread of a chosen pair."
    )
    adaptation_spread_bps_max: Exact = Field(
        default=Decimal(500),
        gt=0,
        le=BPS_MAX,
        validate_default=True,
        description="Widest limit on the spread of a chosen pair.",
    )
    adaptation_quote_volume_max_try: Exact = Field(
        default=Decimal(1_000_000), ge=0, le=TRY_MAX, description="Largest limit on the volume that a pair must have."
    )

    @field_validator("adaptation_universe_max", "adaptation_spread_bps_max")
    @classmethod
    def _not_below_the_least(cls, value: Decimal, info: ValidationInfo) -> Decimal:
        least = (info.field_name or "").removesuffix("max") + "min"
        if (bound := info.data.get(least)) is not None and value < bound:
            raise ValueError(f"is below {least.upper()}, so no value lies between them; raise it, or lower the other")
        return value
