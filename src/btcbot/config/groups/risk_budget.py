"""The risk budget, the split of realised profit, and symbols whose orders keep being refused."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field

from btcbot.config.groups.base import Group
from btcbot.config.kinds import TRY_MAX, Exact, Switch, Whole

__all__ = ["RiskBudgetSettings", "risk_budget_problems"]


class RiskBudgetSettings(Group):
    """Fields of `Settings`; see there."""

    # What stops everything, or everything but selling what is held
    risk_max_daily_drawdown_try: Exact = Field(
        default=Decimal(1000),
        gt=0,
        le=TRY_MAX,
        description="Loss of one day (realised and unrealised) at which nothing is ordered any more.",
    )
    risk_max_drawdown_try: Exact = Field(
        default=Decimal(3000),
        gt=0,
        le=TRY_MAX,
        description="Fall of the profit below its highest at which nothing is bought any more, and nothing ordered "
        "when nothing is held.",
    )
    max_drawdown_pct: Exact = Field(
        default=Decimal(20),
        gt=0,
        le=100,
        description="The same in percent of the account as it was at the highest profit.",
    )
    # What stops buying
    risk_max_gross_exposure_try: Exact = Field(
        default=Decimal(20_000),
        gt=0,
        le=TRY_MAX,
        description="Value of all positions and open buys above which nothing is bought.",
    )
    risk_max_position_pct: Exact = Field(
        default=Decimal(40),
        ge=1,
        le=100,
        description=(
            "Percent of the account that one position may be worth; above it that pair is not bought, and no tilt "
            "raises a target beyond it."
        ),
    )
    risk_max_fee_try_per_day: Exact = Field(
        default=Decimal(0),
        ge=0,
        le=TRY_MAX,
        description="Fees and tax of one day at which nothing is bought any more; 0: no such limit.",
    )
    risk_buy_stop_daily_loss_pct: Exact = Field(
        default=Decimal(5), gt=0, le=100, description="Percent of the account lost in a day at which buying stops."
    )
    risk_buy_stop_drawdown_pct: Exact = Field(
        default=Decimal(15),
        gt=0,
        le=100,
        description="Percent of the account below the highest profit at which buying stops; at most MAX_DRAWDOWN_PCT.",
    )
    # What makes buys smaller
    risk_max_consecutive_losses: Whole = Field(
        default=3, ge=1, le=1_000, description="Losing round trips in a row from which buys are made smaller."
    )
    risk_loss_streak_buy_share: Exact = Field(
        default=Decimal("0.5"), gt=0, le=1, description="Part of each buy that is left after such a row of losses."
    )
    risk_volatility_lookback: Whole = Field(
        default=20, ge=6, le=200, description="Cycles over which the volatility of the account's return is measured."
    )
    risk_volatility_high: Exact = Field(
        default=Decimal("0.02"),
        gt=0,
        le=1,
        description="Standard deviation of a cycle's return (a share of the account) from which buys are smaller.",
    )
    risk_volatility_buy_share: Exact = Field(
        default=Decimal("0.25"), gt=0, le=1, description="Part of each buy that is left while the volatility is high."
    )

    # Self-financing
    self_financing_enabled: Switch = Field(
        default=True, description="Split realised profit between what is traded again and what is kept as cash."
    )
    self_financing_capital_share: Exact = Field(
        default=Decimal("0.6"),
        ge=0,
        le=1,
        description="Share of realised profit that is traded again; the rest is kept.",
    )

    # Symbols whose orders keep being refused
    reject_window_minutes: Whole = Field(
        default=60, ge=1, le=10_080, description="Minutes over which the venue's refusals of one pair are counted."
    )
    reject_threshold: Whole = Field(
        default=3,
        ge=1,
        le=1_000,
        description="Refusals within that time that bar buys of the pair; so many refused sells bar every order.",
    )
    reject_cooldown_minutes: Whole = Field(
        default=240, ge=1, le=10_080, description="Minutes for which such a pair is barred after its last refusal."
    )


def risk_budget_problems(settings: RiskBudgetSettings) -> list[str]:
    """What is fine one by one and cannot be meant together."""
    lines = []
    if settings.risk_buy_stop_drawdown_pct > settings.max_drawdown_pct:
        lines.append(
            "RISK_BUY_STOP_DRAWDOWN_PCT: is above MAX_DRAWDOWN_PCT, at which buying has stopped already, so it never "
            "counts; lower it"
        )
    return lines
