"""The tax list: each sale with what it had cost by the books' own method, and sums that equal the books."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import pytest
from tests.unit.reporting.ledgers import Life

from btcbot.domain import money
from btcbot.domain.positions import Position
from btcbot.reporting.folding import fold
from btcbot.reporting.tax import tax_list

D = Decimal
CRASH = Path(__file__).parents[4] / "shared" / "market-data" / "try-1m-2022-11-08"


def test_a_sale_with_its_average_cost():
    """1 at 100 and 1 at 200, each with 1 of fee: one of them costs 151 on average."""
    life = Life().open("1000").buy("1", "100", fee="1").buy("1", "200", fee="1").sell("1", "180", fee="0.5", tax="0.1")
    taxes = tax_list(fold(life.store))
    sale = taxes.rows[-1]
    assert (sale.side, sale.symbol, sale.time) == ("sell", "ADATRY", "2026-11-07T12:00:00.000+03:00")
    assert (sale.proceeds, sale.acquisition_cost, sale.fee, sale.tax) == (180, 151, D("0.5"), D("0.1"))
    assert sale.profit == D("180") - 151 - D("0.6")
    assert (sale.position_after, sale.cost_after) == (1, 151)
    (year,) = taxes.years
    assert (year.period, year.sales, year.purchases, year.profit) == ("2026", 1, 2, D("28.4"))
    assert (year.fees, year.fees_of_sales) == (D("2.5"), D("0.5"))
    assert taxes.findings == []


def test_a_year_begins_at_midnight_in_istanbul():
    """31 December 2026, 23:59 and, two minutes later, New Year: in London both are the old year."""
    life = Life(at_ms=1_798_750_740_000).open("1000").buy("2", "100").sell("1", "110").wait(2 / 60).sell("1", "120")
    assert [year.period for year in tax_list(fold(life.store)).years] == ["2026", "2027"]
    new = tax_list(fold(life.store), 2027)
    assert [(row.side, row.profit) for row in new.rows] == [("sell", 20)]
    assert [month.period for month in new.months] == ["2027-01"]


def test_adopted_coins_bring_their_cost_and_released_ones_make_no_profit():
    life = Life().open("0").adopt("4", "400").wait(1).release("1").wait(1).sell("1", "150")
    rows = tax_list(fold(life.store)).rows
    assert [(row.side, row.acquisition_cost, row.profit) for row in rows] == [
        ("adopted", 400, 0),
        ("released", 100, 0),
        ("sell", 100, 50),
    ]


def test_sums_that_are_not_those_of_the_books_are_found():
    life = Life().open("1000").buy("1", "100").sell("1", "110")
    with life.store.transaction() as tx:
        tx.put_position(Position(symbol="ADATRY", realized_pnl=D(11)))
    assert [one.where for one in tax_list(fold(life.store)).findings] == ["position ADATRY"]


def demand_that_sums_equal_the_books(life: Life) -> int:
    taxes = tax_list(fold(life.store))
    assert taxes.findings == []
    positions = life.store.positions().values()
    for sums in (taxes.months, taxes.years):
        assert money.total(one.profit for one in sums) == money.total(p.realized_pnl for p in positions)
        assert money.total(one.fees for one in sums) == money.total(p.fees_paid for p in positions)
        assert money.total(one.taxes for one in sums) == money.total(p.taxes_paid for p in positions)
    bought = money.total(one.spent for one in taxes.years) + money.total(
        row.fee + row.tax for row in taxes.rows if row.side == "buy"
    )
    left = money.total(p.cost for p in positions)
    assert bought == left + money.total(one.acquisition_cost for one in taxes.years), "cost in equals cost out"
    by_year = [tax_list(fold(life.store), int(year.period)) for year in taxes.years]
    assert sum(len(one.rows) for one in by_year) == len(taxes.rows)
    return len(taxes.rows)


@pytest.mark.parametrize("seed", range(5))
def test_sums_equal_the_books_to_the_last_digit_whatever_was_traded(seed: int):
    """Odd prices, thirds of positions, two years."""
    chance = random.Random(seed)
    life = Life().open("1000000")
    for _ in range(120):
        held = life.store.positions().get("ADATRY", Position(symbol="ADATRY")).quantity
        price = str(D(chance.randrange(5_000, 15_000)) / 100)
        fee, tax = str(D(chance.randrange(0, 10**8)) / 10**8), str(D(chance.randrange(0, 10**8)) / 10**8)
        sell = held and chance.random() < 0.5
        quantity = money.round_down(held / 4 * chance.randrange(1, 5), 4) if sell else D(chance.randrange(1, 900)) / 100
        if quantity:
            (life.sell if sell else life.buy)(str(quantity), price, fee=fee, tax=tax)
        life.wait(chance.randrange(1, 150))
    assert demand_that_sums_equal_the_books(life) > 100


@pytest.mark.skipif(not CRASH.is_dir(), reason="the recorded market data lie beside the project")
def test_sums_equal_the_books_on_recorded_bars():
    """What a strategy traded through the crash of November 2022, booked once more, month by month."""
    import polars as pl

    from btcbot.adapters.replay.load import load_bars
    from btcbot.backtest.engine import run_backtest
    from btcbot.backtest.plan import BacktestPlan, settings_for
    from btcbot.bootstrap.strategies import make_strategy

    bars = load_bars(CRASH)
    wide = {
        "COOLDOWN_SECONDS": "0",
        "MAX_DAILY_LOSS_TRY": "20000",
        "MAX_ORDERS_PER_CYCLE": "12",
        "NOTIONAL_CAP_TRY_PER_CYCLE": "100000",
        "MAX_TOTAL_EXPOSURE_TRY": "90000",
    }
    settings = settings_for(bars, wide)
    strategy = make_strategy("profit_v1", {}, settings)
    result = run_backtest(BacktestPlan(bars=bars, strategy=strategy, settings=settings))
    life = Life().open("10000000")
    for row in result.fills.with_columns(pl.col("symbol", "side").cast(pl.String)).iter_rows(named=True):
        life.at_ms = row["at_ms"]
        trade = life.buy if row["side"] == "buy" else life.sell
        trade(str(row["quantity"]), str(row["price"]), symbol=row["symbol"], fee=str(row["fee"]))
    assert demand_that_sums_equal_the_books(life) == result.fill_count > 20
    taxes = tax_list(fold(life.store), 2022)
    assert money.total(one.profit for one in taxes.months) == result.fills["realized_pnl"].sum()
    assert sum(one.sales for one in taxes.years) > 5
