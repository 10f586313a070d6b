"""When a bar fills an order, at which price and how much of it: chosen against us where the bar does not tell."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest
from tests.unit.backtest.market import MINUTE_MS, START_MS, Wishes, a_plan, columns_of

from btcbot.backtest.engine import run_backtest
from btcbot.backtest.result import BacktestResult
from btcbot.domain.intents import Side

BUY, SELL = Side.BUY, Side.SELL
QUIET = ("100.00", "100.00", "100.00", "100.00", "1000")


def fills_of(result: BacktestResult) -> list[tuple[str, Decimal, Decimal]]:
    return [
        (side, price.normalize(), quantity.normalize())
        for side, price, quantity in result.fills.select(
            pl.col("side").cast(pl.String), "price", "quantity"
        ).iter_rows()
    ]


def statuses(result: BacktestResult) -> list[str]:
    return result.orders["status"].cast(pl.String).to_list()


def test_an_order_that_takes_is_filled_at_the_next_open_not_at_the_close_that_it_saw() -> None:
    bars = columns_of([QUIET, ("100.40", "101.00", "100.00", "100.80", "1000"), QUIET])

    result = run_backtest(a_plan(bars, Wishes({0: (BUY, "101.00", "2")})))

    assert fills_of(result) == [("buy", Decimal("100.4"), Decimal(2))]
    assert result.fills["at_ms"].to_list() == [START_MS + MINUTE_MS + 1]


def test_taking_costs_half_the_spread_on_top_of_the_open() -> None:
    bars = columns_of([QUIET, ("100.40", "101.00", "100.00", "100.80", "1000"), QUIET])

    result = run_backtest(a_plan(bars, Wishes({0: (BUY, "101.00", "2")}), half_spread_bps=Decimal(10)))

    assert fills_of(result) == [("buy", Decimal("100.51"), Decimal(2))], "100.40 and 10 bps, up to the tick"


def test_an_order_that_wanted_to_take_rests_when_the_market_opens_beyond_its_limit() -> None:
    away = ("100.90", "101.00", "100.60", "100.90", "1000")
    back = ("100.90", "100.90", "100.40", "100.60", "1000")

    result = run_backtest(a_plan(columns_of([QUIET, away, back, QUIET]), Wishes({0: (BUY, "100.50", "2")})))

    assert fills_of(result) == [("buy", Decimal("100.5"), Decimal(2))], "at its own limit, by the bar that went through"
    assert result.fills["at_ms"].to_list() == [START_MS + 3 * MINUTE_MS - 1]


@pytest.mark.parametrize(("side", "touching"), [(BUY, "99.00"), (SELL, "101.00")])
def test_a_resting_order_is_not_filled_by_a_touch(side: Side, touching: str) -> None:
    """Who came first at that price is not known; the others are assumed to have."""
    touch = ("100.00", "101.00", "99.00", "100.00", "1000")
    bars = columns_of([QUIET, QUIET, touch, QUIET])
    wishes = {0: (BUY, "101.00", "2"), 1: (side, touching, "2")}

    careful = run_backtest(a_plan(bars, Wishes(wishes)))
    hopeful = run_backtest(a_plan(bars, Wishes(wishes), fills_at_touch=True))

    assert len(fills_of(careful)) == 1, "only the first buy, which took"
    assert fills_of(hopeful)[1:] == [(side.value, Decimal(touching), Decimal(2))]


def test_a_resting_order_is_filled_at_its_limit_and_never_better() -> None:
    crash = ("97.00", "97.50", "90.00", "91.00", "1000")

    result = run_backtest(a_plan(columns_of([QUIET, QUIET, crash, QUIET]), Wishes({0: (BUY, "99.00", "2")})))

    assert fills_of(result) == [("buy", Decimal(99), Decimal(2))], "although the bar opened at 97"


def test_no_bar_gives_more_than_its_share_and_the_rest_waits() -> None:
    thin = ("100.00", "100.00", "98.00", "100.00", "30")
    bars = columns_of([QUIET, thin, thin, thin, QUIET])

    result = run_backtest(a_plan(bars, Wishes({0: (BUY, "99.00", "5")}), volume_share=Decimal("0.1")))

    assert fills_of(result) == [("buy", Decimal(99), Decimal(3)), ("buy", Decimal(99), Decimal(2))]
    assert statuses(result) == ["FILLED"]


def test_two_orders_share_the_volume_of_a_bar_the_older_first() -> None:
    thin = ("100.00", "100.00", "98.00", "100.00", "50")
    wishes = {0: (BUY, "99.00", "4"), 1: (BUY, "99.50", "4")}

    result = run_backtest(
        a_plan(
            columns_of([QUIET, QUIET, thin, QUIET]), Wishes(wishes), {"TTL_SECONDS": "60"}, volume_share=Decimal("0.1")
        )
    )

    assert fills_of(result)[:1] == [("buy", Decimal("99.5"), Decimal(4))], "the first is past its time and cancelled"

    result = run_backtest(a_plan(columns_of([QUIET, QUIET, thin, QUIET]), Wishes(wishes), volume_share=Decimal("0.1")))

    assert fills_of(result) == [("buy", Decimal(99), Decimal(4)), ("buy", Decimal("99.5"), Decimal(1))]


def test_fee_and_tax_are_the_makers_or_the_takers_and_leave_the_cash() -> None:
    falls = ("100.00", "100.00", "98.00", "100.00", "1000")
    bars = columns_of([QUIET, falls, QUIET])

    taken = run_backtest(a_plan(bars, Wishes({0: (BUY, "101.00", "10")})))
    made = run_backtest(a_plan(bars, Wishes({0: (BUY, "99.00", "10")})))

    assert (taken.fees, made.fees) == (Decimal("2.40"), Decimal("1.188")), "24 bps of 1,000 and 12 bps of 990"
    assert taken.final_equity == Decimal(100_000) - Decimal("2.40")
    assert made.final_equity == Decimal(100_000) - Decimal("1.188") + 10


def test_an_order_past_its_time_is_cancelled_and_its_funds_are_free_in_the_same_cycle() -> None:
    bars = columns_of([QUIET] * 5)
    wishes = Wishes({0: (BUY, "90.00", "1060"), 2: (BUY, "91.00", "1050")})

    result = run_backtest(a_plan(bars, wishes, {"TTL_SECONDS": "120"}))

    assert statuses(result) == ["CANCELED", "CANCELED"], "the second was possible: its 95,550 were free again"
    assert result.orders["reason"].to_list() == ["order:stale", "order:stale"]


def test_what_the_account_does_not_have_is_refused_by_risk_with_its_reason() -> None:
    result = run_backtest(a_plan(columns_of([QUIET] * 3), Wishes({0: (BUY, "90.00", "5000")})))

    assert result.order_count == 0
    (code,) = result.decisions["code"].cast(pl.String).to_list()
    assert code == "risk_block:cash_reserve_target"


def test_no_money_is_made_or_lost_but_by_prices_and_fees() -> None:
    """The mistake of a bot of this kind: a replay that sells what it never paid for."""
    up = ("100.00", "110.00", "100.00", "110.00", "1000")
    flat = ("110.00", "110.00", "110.00", "110.00", "1000")
    wishes = Wishes({0: (BUY, "100.01", "100"), 2: (SELL, "110.00", "100")})

    result = run_backtest(a_plan(columns_of([QUIET, QUIET, up, flat, flat]), wishes))

    bought, sold = Decimal(100 * 100), Decimal(100 * 110)
    assert [fill[0] for fill in fills_of(result)] == ["buy", "sell"]
    assert result.final_equity == Decimal(100_000) - bought + sold - result.fees
    per_entry = result.postings.group_by("entry_id", "asset").agg(pl.col("amount").sum())
    assert set(per_entry["amount"].to_list()) == {Decimal(0)}, "each entry sums to zero for each asset"
