"""Targets and sizes: what a portfolio is to hold, and how much a cycle may put to work."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field, ValidationInfo, field_validator

from btcbot.config.groups.base import Group
from btcbot.config.kinds import BPS_MAX, TRY_MAX, Exact, Switch, TargetWeights, UsageModeName, Whole
from btcbot.config.values import Targets

__all__ = ["PortfolioSettings"]


class PortfolioSettings(Group):
    """Fields of `Settings`; see there."""

    portfolio_targets: TargetWeights = Field(
        default=Targets(),
        description=(
            'Share of each pair in what is invested, such as BTCTRY:0.6,ETHTRY:0.4 or {"BTCTRY":0.6,"ETHTRY":0.4}; '
            "adds up to 1, empty: all pairs alike."
        ),
    )
    portfolio_drift: Exact = Field(
        default=Decimal("0.1"),
        ge=0,
        le=1,
        description="Drift from its target, as a share of that target, below which a pair is left alone.",
    )
    portfolio_order_offset_bps: Exact = Field(
        default=Decimal(5),
        ge=0,
        le=1000,
        description=(
            "Distance of a portfolio's orders from the mid, buys below it, sells above; 0: buys at the ask, sells at "
            "the bid."
        ),
    )
    reversion_tilt: Exact = Field(
        default=Decimal("0.3"),
        ge=0,
        le=1,
        description="Share of its target by which mean reversion moves a pair; 0: the targets alone count.",
    )
    reversion_window: Whole = Field(
        default=60, ge=2, le=10_000, description="Closed bars of the average to which mean reversion expects a return."
    )
    reversion_entry_z: Exact = Field(
        default=Decimal(2),
        ge=Decimal("0.1"),
        le=10,
        description="Standard deviations from that average at which a pair is tilted.",
    )
    try_cash_max: Exact = Field(
        default=Decimal(600),
        ge=0,
        le=TRY_MAX,
        description="The highest cash target that tuning may set, at least TRY_CASH_TARGET.",
    )
    investable_usage_mode: UsageModeName = Field(
        default="use_all",
        description=(
            "How much of the free TRY above the reserve one cycle may invest: all, INVESTABLE_USAGE_FRACTION of it, or "
            "at most MAX_TRY_PER_CYCLE."
        ),
    )
    investable_usage_fraction: Exact = Field(
        default=Decimal(1), gt=0, le=1, description="The share for the usage mode fraction."
    )
    max_try_per_cycle: Exact = Field(
        default=Decimal(0), ge=0, le=TRY_MAX, validate_default=True, description="The amount for the usage mode cap."
    )
    allocation_fee_buffer_bps: Exact = Field(
        default=Decimal(25),
        ge=0,
        le=1000,
        description="Set aside beside each buy for its fee; never less than the taker fee.",
    )
    rounding_buffer_try: Exact = Field(
        default=Decimal(0),
        ge=0,
        le=TRY_MAX,
        description="TRY set aside beside each buy for roundings; 0 will do, since sizes are rounded down.",
    )
    max_intent_notional_try: Exact = Field(
        default=Decimal(500),
        gt=0,
        le=TRY_MAX,
        description="Value of one order of a portfolio, at most; the rest of a large difference follows later.",
    )
    sell_floor_enabled: Switch = Field(
        default=False,
        description=(
            "Sell nothing below cost, fees, SLIPPAGE_BPS_BUFFER and MIN_PROFIT_BPS; a portfolio then cannot be brought "
            "back to its targets at a loss."
        ),
    )
    slippage_bps_buffer: Exact = Field(
        default=Decimal(10), ge=0, le=BPS_MAX, description="Slippage that the sell floor allows for."
    )

    @field_validator("portfolio_targets")
    @classmethod
    def _name_traded_pairs(cls, targets: Targets, info: ValidationInfo) -> Targets:
        """Symbols that could not be read have no entry, and their own line."""
        symbols = info.data.get("symbols", targets.weights)
        for symbol in targets.weights:
            if symbol not in symbols:
                raise ValueError(f"names {symbol}, which SYMBOLS does not; it is one of {', '.join(symbols)}")
        return targets

    @field_validator("try_cash_max")
    @classmethod
    def _covers_the_target(cls, cash_max: Decimal, info: ValidationInfo) -> Decimal:
        """The default gives way to a higher target; a value that was given contradicts it."""
        target = info.data.get("try_cash_target", cash_max)
        if cash_max < target:
            raise ValueError(f"is below TRY_CASH_TARGET, which is {target:f}; raise the one or lower the other")
        return cash_max

    @field_validator("investable_usage_fraction")
    @classmethod
    def _fraction_is_used(cls, fraction: Decimal, info: ValidationInfo) -> Decimal:
        mode = info.data.get("investable_usage_mode", "fraction")
        if mode != "fraction" and fraction != 1:
            raise ValueError(f"has no effect while INVESTABLE_USAGE_MODE is {mode}; set that to fraction, or remove it")
        return fraction

    @field_validator("max_try_per_cycle")
    @classmethod
    def _cap_is_used(cls, cap: Decimal, info: ValidationInfo) -> Decimal:
        mode = info.data.get("investable_usage_mode")
        if mode == "cap" and not cap:
            raise ValueError("is 0 while INVESTABLE_USAGE_MODE is cap, so nothing is ever bought; give it an amount")
        if mode not in ("cap", None) and cap:
            raise ValueError(f"has no effect while INVESTABLE_USAGE_MODE is {mode}; set that to cap, or remove it")
        return cap
