"""Cycles that can change nothing are left out, and leaving them out changes nothing.

For random markets with gaps, random settings and each shipped strategy: the run with and without the cycles in between
has the same orders, fills, decisions, books and equity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.backtest.market import MINUTE_MS, START_MS, a_plan, columns_of, random_columns

from btcbot.adapters.replay.columns import BarColumns
from btcbot.backtest.engine import run_backtest
from btcbot.backtest.fingerprint import fingerprint
from btcbot.domain.intents import Intent, Side
from btcbot.strategies.base import HasWakes, Strategy, StrategyContext, Wakes
from btcbot.strategies.ema_cross import EmaCross
from btcbot.strategies.mean_reversion import MeanReversion
from btcbot.strategies.profit_v1 import ProfitAwareStrategyV1
from btcbot.strategies.rebalance import Rebalance

BUDGET = Decimal(500)
STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "profit_v1": lambda: ProfitAwareStrategyV1(
        entry_budget=BUDGET, profit_bps_min=Decimal(30), slice_fraction=Decimal("0.5"), spread_bps_max=Decimal(50)
    ),
    "ema_cross": lambda: EmaCross(fast=3, slow=12, entry_budget=BUDGET),
    "ema_cross that persists": lambda: EmaCross(fast=3, slow=12, entry_budget=BUDGET, persist=True),
    "mean_reversion": lambda: MeanReversion(window=10, entry_budget=BUDGET),
    "rebalance": lambda: Rebalance(invested=Decimal("0.5"), band=Decimal("0.02")),
    "rebalance now and then": lambda: Rebalance(invested=Decimal("0.5"), band=Decimal("0.02"), every_minutes=60),
}
#: Settings that risk or upkeep acts on; each of them can make a cycle matter that would not have.
SETTINGS = st.fixed_dictionaries(
    {
        "COOLDOWN_SECONDS": st.sampled_from(["0", "60", "600"]),
        "TTL_SECONDS": st.sampled_from(["60", "90", "600", "3600"]),
        "MAX_DAILY_LOSS_TRY": st.sampled_from(["5", "100", "1000000"]),
        "MAX_ORDERS_PER_CYCLE": st.sampled_from(["1", "5"]),
        "NOTIONAL_CAP_TRY_PER_CYCLE": st.sampled_from(["600", "100000"]),
        "MAX_TOTAL_EXPOSURE_TRY": st.sampled_from(["700", "1000000"]),
    }
)


def later(bars: BarColumns) -> BarColumns:
    return replace(bars, open_time_ms=bars.open_time_ms + 19 * 3_600_000)


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    symbols=st.sampled_from([("ADATRY",), ("ADATRY", "XRPTRY"), ("ADATRY", "XRPTRY", "TRXTRY")]),
    gaps=st.sampled_from([0.0, 0.05, 0.4]),
    half_spread_bps=st.sampled_from([0, 5, 20]),
    volume_share=st.sampled_from(["0.0005", "0.1", "1"]),
    changes=SETTINGS,
)
def test_a_run_without_the_cycles_in_between_is_the_same_run(
    name: str,
    seed: int,
    symbols: tuple[str, ...],
    gaps: float,
    half_spread_bps: int,
    volume_share: str,
    changes: dict[str, str],
) -> None:
    strategy = STRATEGIES[name]()
    # The day of Istanbul ends within these hours, and with it the loss that is counted for it.
    bars = [later(random_columns(seed, 300, symbol, gaps)) for symbol in symbols]
    given_plan = {"half_spread_bps": Decimal(half_spread_bps), "volume_share": Decimal(volume_share)}

    skipping = run_backtest(a_plan(bars, strategy, changes, **given_plan))
    whole = run_backtest(a_plan(bars, strategy, changes, every_bar=True, **given_plan))

    assert whole.cycles_run >= skipping.cycles_run
    for table in ("fills", "equity"):
        assert getattr(skipping, table).equals(getattr(whole, table)), table
    assert skipping.final_equity == whole.final_equity
    assert fingerprint(skipping) == fingerprint(whole)


@pytest.mark.parametrize(
    "name", [name for name in STRATEGIES if isinstance(STRATEGIES[name](), HasWakes) and name != "rebalance"]
)
def test_most_cycles_of_a_patient_strategy_are_left_out(name: str) -> None:
    bars = random_columns(7, 2_000)
    assert isinstance(STRATEGIES[name](), HasWakes)

    result = run_backtest(a_plan(bars, STRATEGIES[name](), {"TTL_SECONDS": "3600"}))

    assert result.cycles_run < len(bars) * 3 / 4


# -- two examples of what wakes a strategy that sleeps -----------------------------------------------------------------


class Sleeper:
    """Wishes buys at these moments, and wants to be left alone in between."""

    name = "sleeper"

    def __init__(self, *buys: tuple[int, str, str]) -> None:
        self._buys = buys

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        return [
            Intent(
                intent_id=f"{context.cycle_id}:{number}",
                cycle_id=context.cycle_id,
                strategy=self.name,
                symbol="ADATRY",
                side=Side.BUY,
                price=Decimal(price),
                quantity=Decimal(quantity),
                why="it is time",
            )
            for number, (at_ms, price, quantity) in enumerate(self._buys)
            if at_ms == context.now_ms
        ]

    def wakes(self, context: StrategyContext) -> Wakes:
        later = [at_ms for at_ms, _, _ in self._buys if at_ms > context.now_ms]
        return Wakes(not_before_ms=min(later, default=None), on_fill=False)


def test_the_loss_of_a_day_counts_from_its_first_bar_although_nobody_was_awake_then() -> None:
    """100 ADA are held while the price falls from 100 to 90 after midnight in Istanbul: 1,000 TRY on one day. Who wakes
    at 90 may lose 500 a day, and buys no more."""
    minutes = range(21 * 60 - 3, 21 * 60 + 7)  # midnight in Istanbul is 21:00 UTC
    falls = ["100", "100", "100", "100", "98", "96", "94", "92", "90", "90"]
    bars = columns_of([(price, price, price, price, "1000") for price in falls], minutes=minutes)
    first_ms, woken_ms = (START_MS + (minutes[at] + 1) * MINUTE_MS for at in (0, 8))
    sleeper = Sleeper((first_ms, "100", "100"), (woken_ms, "90", "2"))

    result = run_backtest(a_plan(bars, sleeper, {"MAX_DAILY_LOSS_TRY": "500"}))

    codes = result.decisions["code"].cast(pl.String).to_list()
    assert codes == ["allowed", "risk_block:max_daily_loss"]
    assert result.cycles_run < len(falls), "it did sleep"


def test_two_orders_that_want_the_same_volume_are_not_both_taken_for_filled() -> None:
    """Each buy of 4 would find its 4 in the next bar, which gives 5 in all. The second gets 1; what is left of it is
    too old a minute later and is cancelled, although every later bar could fill it."""
    quiet, thin = ("100", "100", "100", "100", "1000"), ("100", "100", "100", "100", "50")
    bars = columns_of([quiet, thin, thin, *[quiet] * 6])
    now_ms = START_MS + MINUTE_MS
    given_plan = {"volume_share": Decimal("0.1")}

    for every_bar in (True, False):
        sleeper = Sleeper((now_ms, "101", "4"), (now_ms, "101", "4"))
        plan = a_plan(bars, sleeper, {"TTL_SECONDS": "60"}, every_bar=every_bar, **given_plan)
        result = run_backtest(plan)

        assert result.fills["quantity"].to_list() == [4, 1]
        assert result.orders["status"].cast(pl.String).to_list() == ["FILLED", "CANCELED"]
