"""Which strategy the settings mean, and the parameters that it runs with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from btcbot.bootstrap.portfolio import portfolio_defaults
from btcbot.errors import ConfigurationError
from btcbot.profiles import Profile
from btcbot.strategies.base import ChoosesSymbols, Strategy

if TYPE_CHECKING:
    from btcbot.config.settings import Settings


def strategy_name(profile: Profile, settings: Settings) -> str:
    """What STRATEGY names, else the profile's own strategy."""
    return (settings.strategy if "strategy" in settings.model_fields_set else profile.strategy) or ""


def strategy_of(profile: Profile, settings: Settings) -> Strategy:
    """The strategy that STRATEGY names, else the profile's, with STRATEGY_PARAMS. ConfigurationError says in one line
    what is wrong with either."""
    from btcbot.adapters.strategy_plugins import parse_parameters

    given = parse_parameters(settings.strategy_params or "")
    return make_strategy(strategy_name(profile, settings), given, settings, source="STRATEGY: ")


def parameters_in_force(profile: Profile, settings: Settings) -> Mapping[str, str]:
    """`own_parameters` of the strategy that runs; ConfigurationError as `strategy_of` raises it."""
    return own_parameters(strategy_name(profile, settings), strategy_of(profile, settings))


def own_parameters(name_or_path: str, strategy: Strategy) -> Mapping[str, str]:
    """What a shipped strategy runs with, as texts by name; empty for any other one, of which nobody knows what its
    parameters mean."""
    from btcbot.adapters.strategy_plugins import find
    from btcbot.strategies.shipped import ORIGIN

    spec = find(name_or_path)
    return spec.texts(strategy) if spec.origin == ORIGIN else {}


def make_strategy(name_or_path: str, given: Mapping[str, str], settings: Settings, *, source: str = "") -> Strategy:
    """A strategy by name or path with parameters as texts. Settings are the defaults of a shipped strategy's parameters
    of the same meaning. ConfigurationError has one line for each problem, with `source` before it."""
    from btcbot.adapters.strategy_plugins import find
    from btcbot.strategies.shipped import ORIGIN

    try:
        spec = find(name_or_path)
        if spec.origin == ORIGIN:
            spec = spec.with_defaults(
                {
                    "entry_budget": settings.entry_budget_try,
                    "profit_bps_min": settings.min_profit_bps,
                    "slice_fraction": settings.take_profit_fraction,
                    "spread_bps_max": settings.entry_spread_bps_max,
                    "order_value_min": settings.min_order_notional_try,
                    **portfolio_defaults(settings),
                }
            )
        strategy = spec.make(given)
        if isinstance(strategy, ChoosesSymbols):
            try:
                strategy.demand_symbols(settings.symbols)
            except ValueError as error:
                raise ConfigurationError(f"{spec.name}: {error}") from None
    except ConfigurationError as error:
        raise ConfigurationError([f"{source}{line}" for line in error.lines]) from None
    return strategy
