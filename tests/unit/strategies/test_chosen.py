"""The strategy that the settings choose, and with which parameters."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from btcbot.bootstrap import strategy_of
from btcbot.bootstrap.strategies import make_strategy
from btcbot.cli.strategy_skeleton import written
from btcbot.config.loading import load_settings
from btcbot.config.settings import Settings
from btcbot.errors import ConfigurationError
from btcbot.profiles import RUN
from btcbot.strategies.base import Strategy
from btcbot.strategies.ema_cross import EmaCross
from btcbot.strategies.mean_reversion import MeanReversion
from btcbot.strategies.profit_v1 import ProfitAwareStrategyV1


def settings(**given: str) -> Settings:
    return load_settings(given, default_env_file=None).settings


def chosen(**given: str) -> Strategy:
    return strategy_of(RUN, settings(**given))


def refusal(**given: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        chosen(**given)
    return str(refused.value)


def test_without_a_word_it_is_the_profile_s_with_the_defaults_of_the_settings() -> None:
    assert chosen() == ProfitAwareStrategyV1(
        entry_budget=Decimal(500),
        profit_bps_min=Decimal(30),
        slice_fraction=Decimal("0.25"),
        spread_bps_max=Decimal(100),
        order_value_min=Decimal(10),
    )


def test_on_its_own_it_has_the_same_defaults() -> None:
    assert chosen() == ProfitAwareStrategyV1()


def test_settings_are_defaults_and_parameters_win_over_them() -> None:
    found = chosen(
        ENTRY_BUDGET_TRY="750", MIN_PROFIT_BPS="55", TAKE_PROFIT_FRACTION="0.001", STRATEGY_PARAMS="entry_budget=900"
    )

    assert found == ProfitAwareStrategyV1(
        entry_budget=Decimal(900), profit_bps_min=Decimal(55), slice_fraction=Decimal("0.001")
    )


def test_another_one_by_name_shares_the_settings_that_mean_the_same() -> None:
    assert chosen(STRATEGY="ema_cross", STRATEGY_PARAMS="fast=5, slow=9", ENTRY_BUDGET_TRY="750") == EmaCross(
        fast=5, slow=9, entry_budget=Decimal(750)
    )
    assert chosen(STRATEGY="mean_reversion", ENTRY_SPREAD_BPS_MAX="12") == MeanReversion(spread_bps_max=Decimal(12))


def test_one_of_the_user_s_own_keeps_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "dip_buyer.py"
    path.write_text(written("dip_buyer", "")[0], encoding="utf-8")
    found = chosen(STRATEGY=str(path), STRATEGY_PARAMS="window=50", ENTRY_BUDGET_TRY="750")

    assert found.name == "dip_buyer"
    assert (getattr(found, "window", None), getattr(found, "entry_budget", None)) == (50, Decimal(500))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"STRATEGY": "ema_crss"}, "STRATEGY: there is no strategy ema_crss; did you mean ema_cross?"),
        (
            {"STRATEGY": "nowhere/mine.py"},
            "STRATEGY: strategy file nowhere/mine.py: does not exist; give the path of a Python file",
        ),
        (
            {"STRATEGY": "ema_cross", "STRATEGY_PARAMS": "fast=200"},
            "STRATEGY: ema_cross: fast=200 must be below slow=100",
        ),
        (
            {"STRATEGY_PARAMS": "fast=20"},
            "STRATEGY: profit_v1: has no parameter fast; it has entry_budget, profit_bps_min, slice_fraction, "
            "spread_bps_max, order_value_min",
        ),
        ({"STRATEGY_PARAMS": "fast:20"}, "STRATEGY_PARAMS: «fast:20» is no parameter; write such as fast=20,slow=100"),
        (
            {"STRATEGY": "rebalance", "STRATEGY_PARAMS": "weights=BTCTYR:0.5"},
            "STRATEGY: rebalance: weights names BTCTYR, which is not traded; it is one of BTCTRY, ETHTRY, SOLTRY",
        ),
    ],
)
def test_what_cannot_be_chosen_is_told_in_one_line(given: dict[str, str], said: str) -> None:
    assert refusal(**given) == said


def test_an_empty_name_is_no_strategy() -> None:
    assert refusal(STRATEGY="").startswith("STRATEGY: no strategy is named; there are profit_v1, ")


def test_a_strategy_can_be_made_beside_the_chosen_one() -> None:
    """As a backtest does, with the settings of the bot."""
    read = settings(ENTRY_BUDGET_TRY="750", STRATEGY="limit_band")

    assert make_strategy("ema_cross", {"slow": "50"}, read) == EmaCross(slow=50, entry_budget=Decimal(750))
    with pytest.raises(ConfigurationError, match=r"^ema_cross: slow=x is not a whole number"):
        make_strategy("ema_cross", {"slow": "x"}, read)
