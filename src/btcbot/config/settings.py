"""The settings: every environment name that btcbot reads, with its type, default, range and meaning.

Defaults are closed: without any setting the bot simulates. `btcbot.config.loading` fills a `Settings` once, at start;
after that nothing in the program looks at the environment. The fields stand in `groups`, one module for each subject.

Only these modules and their neighbours `kinds`, `description` and `loading` import pydantic, because that import alone
costs more than most commands; nothing imports them before they are needed.
"""

from __future__ import annotations

from typing import Final

from pydantic import ConfigDict

from btcbot.config.groups.adaptation import AdaptationSettings
from btcbot.config.groups.agent import AgentSettings
from btcbot.config.groups.alerts import AlertSettings
from btcbot.config.groups.core import CoreSettings
from btcbot.config.groups.oversight import OversightSettings
from btcbot.config.groups.portfolio import PortfolioSettings
from btcbot.config.groups.risk_budget import RiskBudgetSettings
from btcbot.config.groups.slo import SloSettings
from btcbot.config.groups.universe import UniverseSettings
from btcbot.config.groups.upkeep import UpkeepSettings

__all__ = ["SETTING_NAMES", "Settings"]


class Settings(
    SloSettings,
    AlertSettings,
    AgentSettings,
    AdaptationSettings,
    RiskBudgetSettings,
    OversightSettings,
    UpkeepSettings,
    PortfolioSettings,
    UniverseSettings,
    CoreSettings,  # its fields come first: pydantic reads bases from the last to the first
):
    """All settings, frozen. Attribute names are the environment names in lower case; units come last.

    Money and rates are Decimal; amounts are in TRY, rates in basis points (1 bps = 0.01 %).
    """

    model_config = ConfigDict(defer_build=False)


#: Read by the profiles beside `run` alone, by name.
OVERSEEN_ONLY: Final[frozenset[str]] = frozenset(
    name.upper()
    for group in (
        AgentSettings,
        AdaptationSettings,
        RiskBudgetSettings,
        OversightSettings,
        UpkeepSettings,
        UniverseSettings,
    )
    for name in group.model_fields
) | {
    "ALLOCATION_FEE_BUFFER_BPS",
    "INVESTABLE_USAGE_FRACTION",
    "INVESTABLE_USAGE_MODE",
    "MAX_INTENT_NOTIONAL_TRY",
    "MAX_TRY_PER_CYCLE",
    "ROUNDING_BUFFER_TRY",
    "SELL_FLOOR_ENABLED",
    "SLIPPAGE_BPS_BUFFER",
    "TRY_CASH_MAX",
}

SETTING_NAMES: Final[tuple[str, ...]] = tuple(name.upper() for name in Settings.model_fields)
