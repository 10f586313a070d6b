"""Recorded markets for examples of backtests: a few bars written by hand, or many from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from tests.builders import an_instrument

from btcbot.adapters.replay.columns import BarColumns
from btcbot.backtest.plan import BacktestPlan, settings_for
from btcbot.domain.intents import Intent, Side
from btcbot.strategies.base import Strategy, StrategyContext

#: 8 November 2022, 00:00 UTC.
START_MS = 1_667_865_600_000
MINUTE_MS = 60_000
#: Limits wide enough to stay out of the way of examples that are about something else.
WIDE = {
    "COOLDOWN_SECONDS": "0",
    "TTL_SECONDS": "600",
    "MAX_DAILY_LOSS_TRY": "1000000",
    "MAX_ORDERS_PER_CYCLE": "50",
    "MAX_OPEN_ORDERS_PER_SYMBOL": "5",
    "NOTIONAL_CAP_TRY_PER_CYCLE": "1000000",
    "MAX_POSITION_TRY_PER_SYMBOL": "1000000",
    "MAX_TOTAL_EXPOSURE_TRY": "10000000",
    "PRICE_COLLAR_BPS": "5000",
    "FEE_BPS_TAKER": "24",
    "FEE_BPS_MAKER": "12",
}


def columns_of(
    rows: Sequence[tuple[str, str, str, str, str]], symbol: str = "ADATRY", minutes: Sequence[int] | None = None
) -> BarColumns:
    """Bars of a minute as (open, high, low, close, volume); `minutes` says which ones where some are missing."""
    at = np.arange(len(rows)) if minutes is None else np.asarray(minutes)

    def scaled(index: int, places: int) -> np.ndarray:
        return np.array([int(Decimal(row[index]).scaleb(places)) for row in rows], dtype=np.int64)

    return BarColumns(
        symbol=symbol,
        interval_ms=MINUTE_MS,
        price_scale=2,
        volume_scale=4,
        open_time_ms=(START_MS + at * MINUTE_MS).astype(np.int64),
        open=scaled(0, 2),
        high=scaled(1, 2),
        low=scaled(2, 2),
        close=scaled(3, 2),
        volume=scaled(4, 4),
    )


def random_columns(
    seed: int,
    count: int,
    symbol: str = "ADATRY",
    gaps: float = 0.0,
    price: float = 100.0,
    sigma: float = 0.003,
    depth: float = 4.0,
) -> BarColumns:
    """A walk of minutes around a price; a share of the minutes is missing. `depth`: of the volumes, as a logarithm."""
    random = np.random.default_rng([seed, *symbol.encode()])
    close = np.round(price * np.exp(np.cumsum(random.normal(0, sigma, count))), 2)
    open_ = np.concatenate([[price], close[:-1]])
    high = np.round(np.maximum(open_, close) * (1 + np.abs(random.normal(0, sigma / 2, count))), 2)
    low = np.round(np.minimum(open_, close) * (1 - np.abs(random.normal(0, sigma / 2, count))), 2)
    volume = random.lognormal(depth, 1.5, count)
    kept = random.random(count) >= gaps
    kept[0] = True

    def scaled(values: np.ndarray, factor: int) -> np.ndarray:
        return np.round(values[kept] * factor).astype(np.int64)

    return BarColumns(
        symbol=symbol,
        interval_ms=MINUTE_MS,
        price_scale=2,
        volume_scale=4,
        open_time_ms=(START_MS + np.arange(count, dtype=np.int64) * MINUTE_MS)[kept],
        open=scaled(open_, 100),
        high=scaled(high, 100),
        low=scaled(low, 100),
        close=scaled(close, 100),
        volume=scaled(volume, 10_000) + 1,
    )


class Wishes:
    """A strategy that wishes what a test says, at the bars that it says: step (from 0) → (side, price, quantity)."""

    name = "wishes"

    def __init__(self, wishes: dict[int, tuple[Side, str, str]], symbol: str = "ADATRY") -> None:
        self._wishes = wishes
        self._symbol = symbol
        self.asked: list[StrategyContext] = []

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        wish = self._wishes.get(len(self.asked))
        self.asked.append(context)
        if wish is None:
            return []
        side, price, quantity = wish
        return [
            Intent(
                intent_id=f"{context.cycle_id}:wish",
                cycle_id=context.cycle_id,
                strategy=self.name,
                symbol=self._symbol,
                side=side,
                price=Decimal(price),
                quantity=Decimal(quantity),
                why="a test wants it",
            )
        ]


def a_plan(
    bars: BarColumns | Sequence[BarColumns],
    strategy: Strategy,
    settings: dict[str, str] | None = None,
    **changes: object,
) -> BacktestPlan:
    """A plan with wide limits, no spread and the small market's rules, unless told otherwise."""
    by_symbol = {one.symbol: one for one in ([bars] if isinstance(bars, BarColumns) else bars)}
    given: dict[str, object] = {
        "opening": Decimal(100_000),
        "half_spread_bps": Decimal(0),
        "volume_share": Decimal(1),
        "instruments": {symbol: an_instrument(symbol) for symbol in by_symbol},
        **changes,
    }
    read = settings_for(by_symbol, {**WIDE, **(settings or {})})
    return BacktestPlan(bars=by_symbol, strategy=strategy, settings=read, **given)  # type: ignore[arg-type]
