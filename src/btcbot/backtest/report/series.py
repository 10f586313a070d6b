"""What the charts draw: prices, trades and equity, drawn together to what a screen can show, packed small.

A series is a column of integers. Packed, each is the difference to the one before, in the zigzag form (0, -1, 1, -2 …
become 0, 1, 2, 3 …), seven bits to a byte with the high bit for "more follows", in base64. Prices stay exact; several
bars drawn together keep their first open, highest high, lowest low and last close.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from btcbot.backtest.roundtrips import BUY
from btcbot.backtest.statistics import hold_curve, underwater

if TYPE_CHECKING:
    from btcbot.adapters.replay.columns import BarColumns
    from btcbot.backtest.findings import Findings
    from btcbot.backtest.result import BacktestResult

Ints = npt.NDArray[np.int64]

#: Candles over all symbols; beyond that, several bars make one.
CANDLES_MAX: Final = 120_000
#: Points of the curve of equity.
POINTS_MAX: Final = 20_000
#: Marks of fills over all symbols; beyond that, several fills of one side make one.
MARKS_MAX: Final = 20_000
#: JavaScript's numbers are exact up to 2**53.
_EXACT_MAX: Final = 2**50
#: Equity in hundredths of the quote currency, shares in millionths.
_HUNDREDTHS: Final = 100
_MILLIONTHS: Final = 1_000_000


def charts(findings: Findings) -> dict[str, Any]:
    """Everything that the page's script draws, ready for JSON. Times in ms since `start`."""
    result = findings.result
    start = findings.statistics.start_ms
    share = max(1, CANDLES_MAX // len(result.bars))
    return {
        "start": start,
        "end": findings.statistics.end_ms,
        "quote": result.quote_asset,
        "curve": _curve(findings, start),
        "prices": [_price(result, symbol, bars, start, share) for symbol, bars in sorted(result.bars.items())],
    }


def pack(values: Ints) -> str:
    """A column of integers as text; `unpack` of the page's script is the way back."""
    deltas = np.diff(values, prepend=np.int64(0))
    left = ((deltas << 1) ^ (deltas >> 63)).astype(np.uint64)
    groups = []
    while True:
        more = left >= 128
        groups.append(((left & np.uint64(127)) | (more.astype(np.uint64) << np.uint64(7))).astype(np.uint8))
        if not more.any():
            break
        left = left >> np.uint64(7)
    table = np.stack(groups, axis=1)
    return base64.b64encode(table[_is_used(table)].tobytes()).decode()


def _is_used(table: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """The bytes of a row up to the first without the high bit."""
    goes_on = np.logical_and.accumulate(table >= 128, axis=1)
    return np.concatenate((np.ones((len(table), 1), dtype=bool), goes_on[:, :-1]), axis=1)


def _starts(count: int, at_most: int) -> Ints:
    """Where each stretch begins when `count` rows become at most so many."""
    return np.arange(0, count, max(1, -(-count // at_most)), dtype=np.int64)


def _price(result: BacktestResult, symbol: str, bars: BarColumns, start: int, share: int) -> dict[str, Any]:
    starts = _starts(len(bars), share)
    ends = np.append(starts[1:], len(bars)) - 1
    scale, divisor = bars.price_scale, 1
    while int(bars.high.max()) // divisor > _EXACT_MAX:
        scale, divisor = scale - 1, divisor * 10
    columns: Mapping[str, Ints] = {
        "open": bars.open[starts],
        "high": np.maximum.reduceat(bars.high, starts),
        "low": np.minimum.reduceat(bars.low, starts),
        "close": bars.close[ends],
    }
    return {
        "symbol": symbol,
        "scale": scale,
        "bars": int(starts[1]) if len(starts) > 1 else len(bars),
        "width": bars.interval_ms * (int(starts[1]) if len(starts) > 1 else 1),
        "time": pack(bars.open_time_ms[starts] - start),
        **{name: pack(column // divisor) for name, column in columns.items()},
        "marks": _marks(result, symbol, scale, start),
    }


def _marks(result: BacktestResult, symbol: str, scale: int, start: int) -> dict[str, Any]:
    """Where it bought and sold: time, price in the chart's own unit, and how many fills each mark stands for."""
    import polars as pl

    together = max(1, -(-result.fills.height // MARKS_MAX))
    own = result.fills.filter(pl.col("symbol").cast(pl.String) == symbol)
    is_buy = own["side"].cast(pl.String) == BUY
    marks = {}
    for name, fills in (("buys", own.filter(is_buy)), ("sells", own.filter(~is_buy))):
        starts = _starts(fills.height, -(-fills.height // together) or 1)
        price = np.rint(fills["price"].cast(pl.Float64).to_numpy() * 10.0**scale).astype(np.int64)
        ends = np.append(starts[1:], fills.height) if len(starts) else starts
        marks[name] = {
            "time": pack(fills["at_ms"].to_numpy()[starts] - start),
            "price": pack(price[starts]),
            "count": pack(ends - starts),
        }
    return {**marks, "together": together}


def _curve(findings: Findings, start: int) -> dict[str, Any]:
    """Equity, its extremes within each stretch, buy and hold, drawdown and exposure; from the opening on."""
    result = findings.result
    opening = float(result.opening_equity)
    at_ms = np.concatenate(([start], result.equity["at_ms"].to_numpy()))
    equity = np.concatenate(([opening], result.equity["equity"].to_numpy()))
    held = np.concatenate(([0.0], result.equity["exposure"].to_numpy()))
    hold = np.concatenate(([opening], hold_curve(at_ms[1:], result.bars, opening)))
    share = np.divide(held, equity, out=np.zeros_like(held), where=equity > 0)
    starts = _starts(len(at_ms), POINTS_MAX)
    ends = np.append(starts[1:], len(at_ms)) - 1

    def ints(values: npt.NDArray[np.float64], unit: int) -> str:
        return pack(np.rint(values * unit).astype(np.int64))

    return {
        "time": pack(at_ms[ends] - start),
        "equity": ints(equity[ends], _HUNDREDTHS),
        "low": ints(np.minimum.reduceat(equity, starts), _HUNDREDTHS),
        "high": ints(np.maximum.reduceat(equity, starts), _HUNDREDTHS),
        "hold": ints(hold[ends], _HUNDREDTHS),
        "drawdown": ints(np.maximum.reduceat(underwater(equity), starts), _MILLIONTHS),
        "exposure": ints(share[ends], _MILLIONTHS),
        "steps": int(starts[1]) if len(starts) > 1 else 1,
    }
