"""Recorded quotes and trades are played by the same cycle: every few seconds, filled by what was shown and traded."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from tests.builders import an_instrument
from tests.unit.backtest.market import START_MS, WIDE, Wishes

from btcbot.adapters.replay.tables import quotes_of, trades_of
from btcbot.backtest.engine import run_backtest
from btcbot.backtest.plan import BacktestPlan, settings_for
from btcbot.backtest.result import BacktestResult
from btcbot.backtest.tape import Tape, bars_of_tape
from btcbot.domain.intents import Side

SECOND_MS = 1_000


def a_tape(prices: list[str], trades: dict[int, tuple[str, str, bool]] | None = None) -> Tape:
    """A quote each second, 0.10 wide with 20 on either side; trades by second as (price, quantity, the taker sold)."""
    quotes = quotes_of(
        "ADATRY",
        [
            (START_MS + at * SECOND_MS, Decimal(bid), Decimal(20), Decimal(bid) + Decimal("0.10"), Decimal(20))
            for at, bid in enumerate(prices)
        ],
    )
    told = trades_of(
        "ADATRY",
        [
            (START_MS + at * SECOND_MS, Decimal(price), Decimal(quantity), is_sell, f"t{at}")
            for at, (price, quantity, is_sell) in (trades or {}).items()
        ],
    )
    return Tape(quotes={"ADATRY": quotes}, trades={"ADATRY": told}, cycle_ms=5 * SECOND_MS)


def play(tape: Tape, wishes: dict[int, tuple[Side, str, str]], share: str = "1") -> BacktestResult:
    bars = bars_of_tape(tape)
    return run_backtest(
        BacktestPlan(
            bars=bars,
            tape=tape,
            strategy=Wishes(wishes),
            settings=settings_for(bars, WIDE),
            instruments={"ADATRY": an_instrument()},
            volume_share=Decimal(share),
        )
    )


def fills_of(result: BacktestResult) -> list[tuple[Decimal, Decimal]]:
    return [
        (price.normalize(), quantity.normalize()) for price, quantity in result.fills["price", "quantity"].iter_rows()
    ]


def test_an_order_that_takes_gets_the_quantity_that_was_shown_and_the_rest_waits() -> None:
    result = play(a_tape(["100.00"] * 30), {0: (Side.BUY, "100.10", "50")})

    assert fills_of(result)[0] == (Decimal("100.1"), Decimal(20)), "no more was on offer"
    assert result.final_equity < Decimal(100_000)
    sums = result.postings.group_by("entry_id", "asset").agg(pl.col("amount").sum())["amount"]
    assert set(sums.to_list()) == {Decimal(0)}


def test_a_resting_order_is_filled_by_trades_that_go_through_its_price() -> None:
    tape = a_tape(["100.00"] * 40, {12: ("99.00", "30", True)})

    whole = play(tape, {0: (Side.BUY, "99.50", "8")})
    share = play(tape, {0: (Side.BUY, "99.50", "8")}, "0.1")

    assert fills_of(whole) == [(Decimal("99.5"), Decimal(8))], "at its own price"
    assert fills_of(share) == [(Decimal("99.5"), Decimal(3))], "a tenth of what was traded"
    assert whole.fills["at_ms"].to_list() == [START_MS + 12 * SECOND_MS]


def test_a_cycle_runs_every_few_seconds_and_sees_the_quote_of_then() -> None:
    tape = a_tape([f"{100 + at}.00" for at in range(21)])
    watcher = Wishes({})

    run_backtest(
        BacktestPlan(
            bars=bars_of_tape(tape), tape=tape, strategy=watcher, settings=settings_for(bars_of_tape(tape), WIDE),
            instruments={"ADATRY": an_instrument()},
        )
    )  # fmt: skip

    seen = [(context.now_ms - START_MS, context.quotes["ADATRY"].bid) for context in watcher.asked]
    assert seen == [(at * 5_000, Decimal(100 + 5 * at)) for at in range(5)]


def test_bars_of_a_tape_have_the_bids_and_the_traded_volume() -> None:
    tape = a_tape(["100.00", "103.00", "99.00"] + ["101.00"] * 60, {1: ("100", "3", True), 2: ("100", "4", False)})

    bars = bars_of_tape(tape)["ADATRY"]

    assert [bars.bar(0).open, bars.bar(0).high, bars.bar(0).low, bars.bar(0).close] == [
        Decimal(100), Decimal(103), Decimal(99), Decimal(101),
    ]  # fmt: skip
    assert bars.bar(0).volume == 7
    assert len(bars) == 2
    assert bars.close.dtype == np.int64


@pytest.mark.parametrize("share", ["0.1", "1"])
def test_the_same_tape_gives_the_same_run(share: str) -> None:
    tape = a_tape([f"{100 + at % 7}.00" for at in range(200)], dict.fromkeys(range(3, 190, 9), ("99.80", "5", True)))
    wishes = {0: (Side.BUY, "100.50", "10"), 4: (Side.BUY, "99.90", "10"), 9: (Side.SELL, "104.00", "5")}

    first, second = (play(tape, wishes, share) for _ in range(2))

    assert first.fills.equals(second.fills)
    assert first.fill_count > 1
