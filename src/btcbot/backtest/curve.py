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
    cash_moved = np.where(is_buy, -1.0, 1.0) * price * quantity - fee
    cash = float(opening) + np.cumsum(np.bincount(steps, weights=cash_moved, minlength=len(grid))[: len(grid)])
    exposure = np.zeros(len(grid))
    symbols = fills["symbol"].cast(pl.String).to_numpy()
    for symbol, columns in bars.items():
        of_symbol = symbols == symbol
        if not of_symbol.any():
            continue
        moved = np.where(is_buy, quantity, -quantity) * of_symbol
        held = np.cumsum(np.bincount(steps, weights=moved, minlength=len(grid))[: len(grid)])
        last_bar = columns.open_time_ms.searchsorted(grid - columns.interval_ms, side="right") - 1
        close = columns.close[np.maximum(last_bar, 0)] / 10.0**columns.price_scale
        exposure += np.where(np.abs(held) > 1e-12, held, 0.0) * close
    return pl.DataFrame({"at_ms": grid, "equity": cash + exposure, "exposure": exposure})
