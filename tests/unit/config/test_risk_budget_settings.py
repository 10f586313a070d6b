"""The settings of the risk budget: what they become, and what cannot be meant together."""

from __future__ import annotations

from decimal import Decimal

import pytest

from btcbot.bootstrap.budget import budget_limits, refusal_limits
from btcbot.config.loading import load_settings
from btcbot.config.settings import Settings
from btcbot.errors import ConfigurationError


def settings(**given: str) -> Settings:
    return load_settings(given, default_env_file=None).settings


def refusal(**given: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        settings(**given)
    (line,) = refused.value.lines
    return line


def test_each_limit_is_the_setting_of_its_name() -> None:
    found = budget_limits(
        settings(
            RISK_MAX_DAILY_DRAWDOWN_TRY="1",
            RISK_MAX_DRAWDOWN_TRY="2",
            MAX_DRAWDOWN_PCT="3",
            RISK_MAX_GROSS_EXPOSURE_TRY="4",
            RISK_MAX_POSITION_PCT="5",
            RISK_MAX_FEE_TRY_PER_DAY="6",
            RISK_MAX_CONSECUTIVE_LOSSES="7",
            RISK_LOSS_STREAK_BUY_SHARE="0.8",
            RISK_VOLATILITY_HIGH="0.09",
            RISK_VOLATILITY_BUY_SHARE="0.1",
            RISK_BUY_STOP_DAILY_LOSS_PCT="1.1",
            RISK_BUY_STOP_DRAWDOWN_PCT="1.2",
        )
    )
    assert [str(getattr(found, name)) for name in found.__struct_fields__] == (
        ["1", "2", "3", "4", "5", "6", "7", "0.8", "0.09", "0.1", "1.1", "1.2"]
    )


def test_minutes_become_milliseconds() -> None:
    found = refusal_limits(settings(REJECT_WINDOW_MINUTES="1", REJECT_COOLDOWN_MINUTES="2", REJECT_THRESHOLD="4"))
    assert (found.window_ms, found.cooldown_ms, found.threshold) == (60_000, 120_000, 4)


def test_buying_stops_before_everything_does() -> None:
    assert settings(MAX_DRAWDOWN_PCT="15").risk_buy_stop_drawdown_pct == Decimal(15)
    line = refusal(MAX_DRAWDOWN_PCT="10")
    assert line.startswith("RISK_BUY_STOP_DRAWDOWN_PCT: is above MAX_DRAWDOWN_PCT")


def test_a_share_where_percent_are_meant_is_refused() -> None:
    assert refusal(RISK_MAX_POSITION_PCT="0.30").startswith("RISK_MAX_POSITION_PCT: ")
