"""The curve of equity: what the account was worth at each step, from the fills and the closes.

For statistics and charts, hence in floats; the exact figure of the end is the books'.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from btcbot.adapters.replay.columns import BarColumns

if TYPE_CHECKING:
    import numpy.typing as npt


def equity_curve(
    grid: npt.NDArray[np.int64], bars: Mapping[str, BarColumns], fills: pl.DataFrame, opening: Decimal
) -> pl.DataFrame:
    """Columns at_ms, equity, exposure; positions at the last close of their symbol."""
    steps = grid.searchsorted(fills["at_ms"].to_numpy())
    is_buy = (fills["side"].cast(pl.String) == "buy").to_numpy()
    price, quantity, fee = (fills[name].cast(pl.Float64).to_numpy() for name in ("price", "quantity", "fee"))
    equity = _running(steps, np.where(is_buy, -1.0, 1.0) * price * quantity - fee, len(grid))
    equity += float(opening)
    exposure = np.zeros(len(grid))
    symbols = fills["symbol"].cast(pl.String).to_numpy()
    moves = np.where(is_buy, quantity, -quantity)
    for symbol, columns in bars.items():
        of_symbol = symbols == symbol
        if not of_symbol.any():
            continue
        held = _running(steps, moves * of_symbol, len(grid))
        held[np.abs(held) <= 1e-12] = 0.0
        held *= _closes(columns, grid)
        exposure += held
    equity += exposure
    return pl.DataFrame({"at_ms": grid, "equity": equity, "exposure": exposure})


def _running(steps: npt.NDArray[np.int64], amounts: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """At each of `count` steps, the sum of the amounts up to it."""
    moved = np.bincount(steps, weights=amounts, minlength=count)[:count].astype(np.float64, copy=False)
    return np.cumsum(moved, out=moved)


def _closes(columns: BarColumns, grid: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The last close at each step; before the first bar its own."""
    closes = columns.close
    if not np.array_equal(columns.open_time_ms + columns.interval_ms, grid):
        last_bar = columns.open_time_ms.searchsorted(grid - columns.interval_ms, side="right") - 1
        closes = closes[np.maximum(last_bar, 0)]
    return closes / 10.0**columns.price_scale
