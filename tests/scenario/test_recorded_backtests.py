"""Recorded markets, end to end: real pairs through a crash, and a month of one pair, with every shipped strategy.

What the run must keep, whatever the market did: money is moved and never made, nothing is sold that was not bought, and
leaving cycles out changes nothing.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from btcbot.adapters.replay.columns import BarColumns
from btcbot.adapters.replay.load import load_bars
from btcbot.backtest.engine import run_backtest
from btcbot.backtest.fingerprint import fingerprint
from btcbot.backtest.plan import BacktestPlan, settings_for
from btcbot.backtest.result import BacktestResult
from btcbot.bootstrap.strategies import make_strategy
from btcbot.profiles import RUN, STAGE4, STAGE7, Profile

MARKET_DATA = Path(__file__).parents[3] / "shared" / "market-data"
CRASH = MARKET_DATA / "try-1m-2022-11-08"
MONTH = MARKET_DATA / "btcusd-1m-2022-01"
STRATEGIES = {
    "profit_v1": {},
    "ema_cross": {"fast": "5", "slow": "30"},
    "mean_reversion": {"window": "30"},
    "limit_band": {"offset_bps": "30"},
    "rebalance": {"invested": "0.6", "band": "0.01"},
    "portfolio": {"drift": "0.02"},
    "tilted_portfolio": {"drift": "0.02", "reversion_window": "30"},
}
SETTINGS = {
    "COOLDOWN_SECONDS": "0",
    "TTL_SECONDS": "60",
    "MAX_DAILY_LOSS_TRY": "20000",
    "MAX_ORDERS_PER_CYCLE": "12",
    "NOTIONAL_CAP_TRY_PER_CYCLE": "100000",
    "MAX_POSITION_TRY_PER_SYMBOL": "20000",
    "MAX_TOTAL_EXPOSURE_TRY": "90000",
}

needs_data = pytest.mark.skipif(not CRASH.is_dir(), reason="the recorded market data lie beside the project")


def play(bars: dict[str, BarColumns], name: str, *, every_bar: bool = False, profile: Profile = RUN) -> BacktestResult:
    settings = settings_for(bars, SETTINGS)
    strategy = make_strategy(name, STRATEGIES[name], settings)
    return run_backtest(
        BacktestPlan(bars=bars, strategy=strategy, settings=settings, every_bar=every_bar, profile=profile)
    )


def demand_honest_books(result: BacktestResult, quote: str) -> None:
    """Fold the whole ledger once more, by other means than the run did."""
    venue = result.postings.filter(pl.col("account").cast(pl.String) == "venue")
    held = dict(venue.group_by(pl.col("asset").cast(pl.String)).agg(pl.col("amount").sum()).iter_rows())
    sums = result.postings.group_by("entry_id", "asset").agg(pl.col("amount").sum())["amount"]
    assert sums.abs().max() == 0, "each entry sums to zero for each asset"
    worth = Decimal(0)
    for symbol, columns in result.bars.items():
        quantity = held.get(symbol.removesuffix(quote), Decimal(0))
        assert quantity >= 0, f"more {symbol} was sold than bought"
        worth += quantity * columns.bar(len(columns) - 1).close
    fees = result.fills["fee"].sum()
    assert fees == result.fees
    assert abs(held[quote] + worth - result.final_equity) <= worth * Decimal("0.001"), "but for half the spread"
    bought = result.fills.filter(pl.col("side").cast(pl.String) == "buy")
    sold = result.fills.filter(pl.col("side").cast(pl.String) == "sell")
    values = [(each["price"].cast(pl.Float64) * each["quantity"].cast(pl.Float64)).sum() for each in (bought, sold)]
    assert float(held[quote]) == pytest.approx(float(result.opening_equity) - values[0] + values[1] - float(fees))


@needs_data
@pytest.mark.parametrize("name", STRATEGIES)
def test_twelve_pairs_through_the_crash_of_november_2022(name: str) -> None:
    bars = load_bars(CRASH)

    result = play(bars, name)

    assert len(result.bars) == 12
    assert result.bars_played == 12_000
    assert result.fill_count > 20
    assert {symbol for (symbol,) in result.fills.select(pl.col("symbol").cast(pl.String)).unique().iter_rows()} >= {
        "BTCTRY",
        "ETHTRY",
    }
    demand_honest_books(result, "TRY")
    assert fingerprint(result) == fingerprint(play(bars, name, every_bar=True))


@needs_data
@pytest.mark.parametrize("name", ["profit_v1", "ema_cross", "mean_reversion"])
def test_a_month_of_bitcoin_by_the_minute(name: str) -> None:
    bars = load_bars(MONTH)

    result = play(bars, name)

    assert result.bars_played == 45_031
    assert result.quote_asset == "USD"
    assert result.fill_count > 0
    assert result.cycles_run < result.bars_played / 2, "most cycles could be left out"
    demand_honest_books(result, "USD")


@needs_data
@pytest.mark.parametrize("profile", [STAGE4, STAGE7], ids=lambda profile: profile.name)
def test_a_profile_trades_a_market_that_is_not_priced_in_lira(profile: Profile) -> None:
    """Two days of bitcoin in dollars: all money of the parts around the strategy is in the market's own currency."""
    bars = {
        symbol: columns.between(None, int(columns.open_time_ms[3_000])) for symbol, columns in load_bars(MONTH).items()
    }

    result = play(bars, profile.strategy, profile=profile)

    assert result.cycles_run == result.bars_played == 3_000
    assert (result.quote_asset, set(result.balances)) == ("USD", {"USD", "BTC"})
    assert result.fill_count > 5
    demand_honest_books(result, "USD")
