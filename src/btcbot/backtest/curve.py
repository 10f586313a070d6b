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
    count = len(grid)
    steps = grid.searchsorted(fills["at_ms"].to_numpy())
    is_buy = (fills["side"].cast(pl.String) == "buy").to_numpy()
    price, quantity, fee = (fills[name].cast(pl.Float64).to_numpy() for name in ("price", "quantity", "fee"))
    equity = _running(steps, np.where(is_buy, -1.0, 1.0) * price * quantity - fee, count, opening=float(opening))
    symbols = fills["symbol"].cast(pl.String).to_numpy()
    moves = np.where(is_buy, quantity, -quantity)
    exposure: npt.NDArray[np.float64] | None = None
    for symbol, columns in bars.items():
        of_symbol = symbols == symbol
        if not of_symbol.any():
            continue
        value = _running(steps[of_symbol], moves[of_symbol], count, nothing_below=1e-12)
        value *= _closes(columns, grid)
        if exposure is None:
            exposure = value
        else:
            exposure += value
    if exposure is None:
        exposure = np.zeros(count)
    equity += exposure
    return pl.DataFrame({"at_ms": grid, "equity": equity, "exposure": exposure})


def _running(
    steps: npt.NDArray[np.int64],
    amounts: npt.NDArray[np.float64],
    count: int,
    *,
    opening: float = 0.0,
    nothing_below: float = 0.0,
) -> npt.NDArray[np.float64]:
    """At each of `count` steps, `opening` and the sum of the amounts up to it.

    A sum that is no more than `nothing_below` is zero, which rounding hides. Reckoned only where something moves.
    """
    moved_at, which = np.unique(steps, return_inverse=True)
    sums = np.cumsum(np.bincount(which, weights=amounts))
    sums[np.abs(sums) <= nothing_below] = 0.0
    lengths = np.diff(np.concatenate(([0], np.minimum(moved_at, count), [count])))
    return np.repeat(np.concatenate(([0.0], sums)) + opening, lengths)


def _closes(columns: BarColumns, grid: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The last close at each step; before the first bar its own."""
    closes = columns.close
    if not np.array_equal(columns.open_time_ms + columns.interval_ms, grid):
        last_bar = columns.open_time_ms.searchsorted(grid - columns.interval_ms, side="right") - 1
        closes = closes[np.maximum(last_bar, 0)]
    return closes / 10.0**columns.price_scale
