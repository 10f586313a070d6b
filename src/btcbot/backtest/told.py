"""What a run was made with: the options and the settings that it acted on, as texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from btcbot.backtest.plan import BacktestPlan
from btcbot.bootstrap.universe import chooses
from btcbot.config.description import shown_setting
from btcbot.config.groups.adaptation import AdaptationSettings
from btcbot.config.groups.oversight import OversightSettings
from btcbot.config.groups.portfolio import PortfolioSettings
from btcbot.config.groups.risk_budget import RiskBudgetSettings
from btcbot.config.groups.universe import UniverseSettings
from btcbot.config.groups.upkeep import UpkeepSettings
from btcbot.domain import money

#: Settings that every backtest acts on.
_ALWAYS: Final = (
    "fee_bps_maker",
    "fee_bps_taker",
    "ttl_seconds",
    "cooldown_seconds",
    "max_orders_per_cycle",
    "max_open_orders_per_symbol",
    "min_order_notional_try",
    "max_notional_per_order_try",
    "notional_cap_try_per_cycle",
    "max_position_try_per_symbol",
    "max_total_exposure_try",
    "max_daily_loss_try",
    "price_collar_bps",
    "try_cash_target",
)
#: Groups of settings that an overseen one acts on as well.
_OVERSEEN: Final = (PortfolioSettings, RiskBudgetSettings, OversightSettings, UpkeepSettings)


def told_settings(plan: BacktestPlan) -> Mapping[str, str]:
    """By the names of the options and of the settings, as they were in force."""
    profile, names = plan.profile, list(_ALWAYS)
    if profile.is_overseen:
        names += [name for group in _OVERSEEN for name in group.model_fields]
        names += [name for name in UniverseSettings.model_fields if chooses(profile, plan.settings)]
        names += [name for name in AdaptationSettings.model_fields if profile.adapts]
    return {
        "profile": profile.name,
        "opening": money.plain(plan.opening),
        "half_spread_bps": money.plain(plan.half_spread_bps),
        "volume_share": money.plain(plan.volume_share),
        "fills_at_touch": str(plan.fills_at_touch).lower(),
        **{name.upper(): shown_setting(plan.settings, name) for name in names},
    }
