"""The strategies that come with btcbot."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from btcbot.strategies.ema_cross import EmaCross
from btcbot.strategies.limit_band import LimitBand
from btcbot.strategies.mean_reversion import MeanReversion
from btcbot.strategies.parameters import StrategySpec, spec_of
from btcbot.strategies.portfolio import Portfolio
from btcbot.strategies.profit_v1 import ProfitAwareStrategyV1
from btcbot.strategies.rebalance import Rebalance
from btcbot.strategies.tilted_portfolio import TiltedPortfolio

ORIGIN = "shipped"


@cache
def shipped() -> Mapping[str, StrategySpec]:
    """By name, in the order in which they are listed."""
    classes = (ProfitAwareStrategyV1, MeanReversion, EmaCross, LimitBand, Rebalance, Portfolio, TiltedPortfolio)
    return {spec.name: spec for spec in (spec_of(one, ORIGIN) for one in classes)}
