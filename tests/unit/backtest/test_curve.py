"""The curve of equity at each bar: what is held counts however little it is, and what is sold counts for nothing."""

from __future__ import annotations

from decimal import Decimal

from tests.unit.backtest.market import Wishes, a_plan, columns_of

from btcbot.backtest.engine import run_backtest
from btcbot.backtest.statistics import measure
from btcbot.domain.intents import Side

BUY, SELL = Side.BUY, Side.SELL
QUIET = ("100.00", "100.00", "100.00", "100.00", "1000")
DEAR = ("1000000.00", "1000000.00", "1000000.00", "1000000.00", "1000")
NO_FEES = {"FEE_BPS_TAKER": "0", "FEE_BPS_MAKER": "0"}


def test_who_has_sold_all_is_out_of_the_market_to_the_last_digit() -> None:
    """1.1 and 2.2 less 3.3 is nothing, and in floats a little more: 4e-16 of a coin is no time in the market."""
    wishes = Wishes({0: (BUY, "101", "1.1"), 1: (BUY, "101", "2.2"), 2: (SELL, "99", "3.3")})

    result = run_backtest(a_plan(columns_of([QUIET] * 6), wishes, NO_FEES))

    assert result.equity["exposure"].round(6).to_list()[:3] == [0, 110, 330]
    assert result.equity["exposure"].to_list()[3:] == [0, 0, 0]
    assert result.equity["equity"].to_list()[3:] == [100_000] * 3
    statistics, _ = measure(result)
    assert statistics.time_in_market == round(2 / 6, 12)


def test_half_a_thousandth_of_a_dear_coin_is_held_and_not_lost() -> None:
    """0.0005 at 1,000,000 TRY are 500 TRY."""
    wishes = Wishes({0: (BUY, "1000001", "0.0005")})

    result = run_backtest(a_plan(columns_of([DEAR] * 3), wishes, NO_FEES))

    assert result.equity["exposure"].to_list() == [0, 500, 500]
    assert result.final_equity == Decimal(100_000)
    assert result.equity["equity"].to_list() == [100_000] * 3
