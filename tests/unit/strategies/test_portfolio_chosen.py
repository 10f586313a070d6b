"""What settings make of a portfolio: parameters of its strategy, rules of its allocation, caps that are too low."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.builders import an_instrument

from btcbot.bootstrap.portfolio import allocation_rules, portfolio_defaults
from btcbot.bootstrap.room import demand_room_for_orders
from btcbot.config.loading import load_settings
from btcbot.config.settings import Settings
from btcbot.decisions.allotment import UsageMode
from btcbot.errors import Refused
from btcbot.strategies.portfolio import Portfolio
from btcbot.strategies.shipped import shipped
from btcbot.strategies.tilted_portfolio import TiltedPortfolio


def settings(**given: str) -> Settings:
    return load_settings({"SYMBOLS": "ADATRY,BTCTRY", **given}, default_env_file=None).settings


def test_settings_are_the_defaults_of_the_parameters() -> None:
    read = settings(
        PORTFOLIO_TARGETS="ADATRY:0.7,BTCTRY:0.3",
        PORTFOLIO_DRIFT="0.2",
        PORTFOLIO_ORDER_OFFSET_BPS="7",
        TRY_CASH_TARGET="450",
        MAX_POSITION_TRY_PER_SYMBOL="9000",
        REVERSION_TILT="0.5",
        REVERSION_WINDOW="90",
        REVERSION_ENTRY_Z="1.5",
        RISK_MAX_POSITION_PCT="75",
    )
    made = shipped()["tilted_portfolio"].with_defaults(portfolio_defaults(read)).make({})

    assert made == TiltedPortfolio(
        targets="ADATRY:0.7+BTCTRY:0.3",
        drift=Decimal("0.2"),
        order_offset_bps=Decimal(7),
        cash_target=Decimal(450),
        position_value_max=Decimal(9_000),
        position_share_max=Decimal(75),
        tilt=Decimal("0.5"),
        reversion_window=90,
        reversion_entry_z=Decimal("1.5"),
    )


def test_settings_and_parameters_have_the_same_defaults() -> None:
    defaults = portfolio_defaults(settings())

    assert shipped()["portfolio"].with_defaults(defaults).make({}) == Portfolio()
    assert shipped()["tilted_portfolio"].with_defaults(defaults).make({}) == TiltedPortfolio()


def test_scaled_targets_can_be_read_by_the_strategy() -> None:
    """0.97 in all: what was scaled has twelve decimals, and adds up to 1 within a rounding."""
    defaults = portfolio_defaults(settings(PORTFOLIO_TARGETS="ADATRY:0.6,BTCTRY:0.37"))
    made = shipped()["portfolio"].with_defaults(defaults).make({})

    assert getattr(made, "targets", None) == "ADATRY:0.618556701031+BTCTRY:0.381443298969"


def test_the_rules_of_allocation_are_those_of_the_settings() -> None:
    rules = allocation_rules(
        settings(
            INVESTABLE_USAGE_MODE="fraction",
            INVESTABLE_USAGE_FRACTION="0.5",
            ALLOCATION_FEE_BUFFER_BPS="40",
            ROUNDING_BUFFER_TRY="1",
            MAX_INTENT_NOTIONAL_TRY="1000",
            MAX_ORDERS_PER_CYCLE="7",
        )
    )

    assert (rules.usage, rules.usage_fraction) == (UsageMode.FRACTION, Decimal("0.5"))
    assert (rules.fee_buffer, rules.rounding_buffer) == (Decimal("0.004"), Decimal(1))
    assert (rules.notional_per_intent_max, rules.orders_per_cycle_max, rules.cooldown_ms) == (1_000, 7, 60_000)
    assert rules.sell_profit_min is None


def test_the_sell_floor_is_profit_and_slippage_where_it_is_wanted() -> None:
    rules = allocation_rules(settings(SELL_FLOOR_ENABLED="true", MIN_PROFIT_BPS="30", SLIPPAGE_BPS_BUFFER="15"))
    assert rules.sell_profit_min == Decimal("0.0045")


def test_the_bound_of_a_tuned_cash_target_is_never_below_the_target() -> None:
    assert allocation_rules(settings(TRY_CASH_TARGET="900")).cash_max == 900
    assert allocation_rules(settings(TRY_CASH_MAX="700")).cash_max == 700


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"MAX_INTENT_NOTIONAL_TRY": "99"},
            "MAX_INTENT_NOTIONAL_TRY: 99 is below 99.91, the least that an order of ADATRY needs; raise it",
        ),
        (
            {"NOTIONAL_CAP_TRY_PER_CYCLE": "50"},
            "NOTIONAL_CAP_TRY_PER_CYCLE: 50 is below 99.91, the least that an order of ADATRY needs; raise it",
        ),
        (
            {"MAX_POSITION_TRY_PER_SYMBOL": "100"},
            "MAX_POSITION_TRY_PER_SYMBOL: 100 is below 100.159775, the least that an order of ADATRY needs; raise it",
        ),
        (
            {"INVESTABLE_USAGE_MODE": "cap", "MAX_TRY_PER_CYCLE": "100"},
            "MAX_TRY_PER_CYCLE: 100 is below 100.159775, the least that an order of ADATRY needs; raise it",
        ),
        (
            {"MIN_ORDER_NOTIONAL_TRY": "600"},
            "MAX_INTENT_NOTIONAL_TRY: 500 is below 600, the least that an order of ADATRY needs; raise it",
        ),
    ],
)
def test_a_cap_below_the_least_order_is_refused_in_one_line(given: dict[str, str], said: str) -> None:
    instruments = {symbol: an_instrument(symbol) for symbol in ("ADATRY", "BTCTRY")}

    demand_room_for_orders(settings(), instruments)
    with pytest.raises(Refused) as refused:
        demand_room_for_orders(settings(**given), instruments)
    assert str(refused.value) == said
