"""Settings of adaptation: the defaults begin within their bounds, and what cannot be meant is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from btcbot.bootstrap.adaptive import adaptation_rules, metrics_limits, start_tuning
from btcbot.config.loading import load_settings
from btcbot.config.settings import Settings
from btcbot.domain.adaptation import Range, outside
from btcbot.domain.tuning import TUNED
from btcbot.errors import ConfigurationError


def settings_of(**given: str) -> Settings:
    return load_settings(given, default_env_file=None).settings


def test_the_defaults_begin_within_their_bounds() -> None:
    settings = settings_of()
    rules, start = adaptation_rules(settings), start_tuning(settings)
    assert set(rules.bounds) == set(TUNED)
    assert not outside(start, rules.bounds)
    assert (start.version, start.turnover_per_cycle_max) == (0, Decimal(500)), "half of what a cycle may order"


def test_the_bounds_are_those_of_the_settings() -> None:
    rules = adaptation_rules(settings_of(ADAPTATION_UNIVERSE_MIN="7", NOTIONAL_CAP_TRY_PER_CYCLE="9000"))
    assert rules.bounds["universe_size"] == Range(Decimal(7), Decimal(50))
    assert rules.bounds["turnover_per_cycle_max"] == Range(Decimal(100), Decimal(9000))
    assert rules.bounds["orders_per_cycle_max"] == Range(Decimal(1), Decimal(20))
    assert rules.bounds["cash_target"] == Range(Decimal(0), Decimal(600))


def test_metrics_and_adaptation_have_one_limit_of_the_drawdown() -> None:
    settings = settings_of(MAX_DRAWDOWN_PCT="30")
    assert (
        metrics_limits(settings).drawdown_ratio_max == Decimal("0.3") == adaptation_rules(settings).drawdown_ratio_max
    )


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"ADAPTATION_UNIVERSE_MAX": "4"},
            "ADAPTATION_UNIVERSE_MAX: is below ADAPTATION_UNIVERSE_MIN, so no value lies between them (environment); "
            "raise it, or lower the other",
        ),
        (
            {"ADAPTATION_SPREAD_BPS_MIN": "501"},
            "ADAPTATION_SPREAD_BPS_MAX: is below ADAPTATION_SPREAD_BPS_MIN, so no value lies between them (default); "
            "raise it, or lower the other",
        ),
        (
            {"ADAPTATION_HEALTHY_CYCLES": "6"},
            "ADAPTATION_HEALTHY_CYCLES: is outside its range (environment); choose a value from 1 to 5",
        ),
    ],
)
def test_bounds_that_hold_nothing_are_refused_in_one_line(given: dict[str, str], line: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings_of(**given)
    assert refused.value.lines == (line,)
