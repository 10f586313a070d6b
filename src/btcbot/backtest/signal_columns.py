"""Signals over whole columns: the same values as the incremental ones of `btcbot.strategies`, to the last bit, at once.

Equal to the last bit, because every number goes through the same additions in the same order: `cumsum` adds one after
the other, and what is not a running sum is done element by element. A signal that is not known here is run bar by bar.

Nothing can look ahead: the value at a bar is made of that bar and those before it, which a test tries on every kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import polars as pl

from btcbot.adapters.replay.columns import BarColumns
from btcbot.strategies import signals as kinds
from btcbot.strategies.base import Signal
from btcbot.strategies.signals import warm_ups

if TYPE_CHECKING:
    import numpy.typing as npt

    Column: TypeAlias = npt.NDArray[np.float64]

#: Integers up to here are floats without loss.
_EXACT_MAX: Final = 2**53
#: Powers of ten up to here are floats without loss.
_SCALE_MAX: Final = 22


def compute(signals: Mapping[str, Signal], bars: BarColumns) -> Mapping[str, Column]:
    """Name → float64 column, as long as `bars`. Before the bar at which all signals mean something every one is NaN."""
    first = warm_ups(signals)
    fields: dict[str, Column] = {}
    done: dict[str, Column] = {}

    def values_of(name: str) -> Column:
        if name in done:
            return done[name]
        if name not in fields:
            fields[name] = floats_of(bars, name)
        return fields[name]

    for name in first:
        signal = signals[name]
        inputs = signal.inputs
        start = max((first.get(one, 0) for one in inputs), default=0)
        if not start and len(bars):
            done[name] = _run(signal, [values_of(one) for one in inputs], len(bars))
            continue
        done[name] = column = np.full(len(bars), np.nan)
        if start < len(bars):
            column[start:] = _run(signal, [values_of(one)[start:] for one in inputs], len(bars) - start)
    all_warm_at = max(first.values(), default=0)
    for column in done.values():
        column[:all_warm_at] = np.nan
    return {name: done[name] for name in signals}


def change_points(column: Column) -> npt.NDArray[np.int64]:
    """Indices at which the value is another one than at the bar before, ascending. NaN is no value: from NaN to a value
    is a change, and so is a value at index 0; a column without a value has none."""
    before = np.concatenate(([np.nan], column[:-1])) if len(column) else column
    is_other = (column != before) & ~(np.isnan(column) & np.isnan(before))
    return np.flatnonzero(is_other).astype(np.int64, copy=False)


def floats_of(bars: BarColumns, field: str) -> Column:
    """One of `BAR_FIELDS` as floats, each the nearest to its exact decimal."""
    columns = {"open": bars.open, "high": bars.high, "low": bars.low, "close": bars.close, "volume": bars.volume}
    whole = columns[field]
    scale = bars.volume_scale if field == "volume" else bars.price_scale
    if not len(whole):
        return np.empty(0)
    if scale <= _SCALE_MAX and int(whole.max()) <= _EXACT_MAX and int(whole.min()) >= -_EXACT_MAX:
        return whole / np.float64(10**scale)  # two exact floats: one correct rounding
    return np.array([one / 10**scale for one in whole.tolist()], dtype=np.float64)  # integers divide correctly


def _run(signal: Signal, inputs: list[Column], length: int) -> Column:
    """The signal over inputs that all mean something; a value before its own warm-up means nothing."""
    known = _COLUMNS.get(type(signal))
    if known is not None:
        return known(signal, inputs)
    running = signal.start()
    rows = zip(*(column.tolist() for column in inputs), strict=True) if inputs else ((),) * length
    return np.fromiter((running.update(*row) for row in rows), dtype=np.float64, count=length)


def _same(_: kinds.Close, inputs: list[Column]) -> Column:
    return inputs[0].copy()


def _ema(signal: kinds.Ema, inputs: list[Column]) -> Column:
    # The library computes `f += alpha * (x - f)` as well, which a test compares to the last bit.
    return pl.Series(inputs[0]).ewm_mean(alpha=signal.alpha, adjust=False).to_numpy(writable=True)


def _rsi(signal: kinds.Rsi, inputs: list[Column]) -> Column:
    period, (values,) = signal.period, inputs
    column = np.full(len(values), np.nan)
    if len(values) <= period:
        return column
    moves = np.diff(values)
    gain = _smoothed(np.maximum(moves, 0.0), period)
    loss = _smoothed(np.maximum(-moves, 0.0), period)
    moved = gain + loss
    column[period:] = np.divide(100 * gain, moved, out=np.full(len(moved), 50.0), where=moved != 0)
    return column


def _smoothed(moves: Column, period: int) -> Column:
    """Wilder's average, from the mean of the first `period` moves on."""
    start = float(np.cumsum(moves[:period])[-1]) / period
    later = moves[period:].tolist()
    values = accumulate(later, lambda before, move: (before * (period - 1) + move) / period, initial=start)
    return np.fromiter(values, dtype=np.float64, count=len(later) + 1)


def _blocks(values: Column, period: int) -> Column:
    """One row for each block of `period` values. The last row is filled up with zeros, which only values beyond the end
    would be made of."""
    rows = -(-len(values) // period)
    padded = np.zeros(rows * period)
    padded[: len(values)] = values
    return padded.reshape(rows, period)


def _tails_before(tails: Column) -> Column:
    """For each place in a block the tail of the block before that completes its window; for the first block nothing.

    `tails[b, j]`: of the values of block `b` from `j` on. The window that ends at place `j` begins at `j + 1`.
    """
    before = np.full((len(tails), tails.shape[1] - 1), np.nan)
    before[1:] = tails[:-1, 1:]
    return before


def _sma(signal: kinds.Sma, inputs: list[Column]) -> Column:
    period, (values,) = signal.period, inputs
    blocks = _blocks(values, period)
    total = np.cumsum(blocks, axis=1)
    tails = np.cumsum(blocks[:, ::-1], axis=1)[:, ::-1]
    total[:, :-1] = _tails_before(tails) + total[:, :-1]
    column: Column = (total / period).reshape(-1)[: len(values)]
    return column


def _moments(parts: Column) -> tuple[Column, Column]:
    """For each row and each place: mean and sum of squared deviations of the values up to there."""
    anchor = parts[:, :1]
    away = parts - anchor
    counts = np.arange(1, parts.shape[1] + 1, dtype=np.float64)
    total = np.cumsum(away, axis=1)
    squares = np.cumsum(away * away, axis=1)
    return anchor + total / counts, np.maximum(squares - total * total / counts, 0.0)


def _mean_and_deviation(values: Column, period: int) -> tuple[Column, Column]:
    blocks = _blocks(values, period)
    mean, squared = _moments(blocks)
    tail_mean, tail_squared = (_tails_before(part[:, ::-1]) for part in _moments(blocks[:, ::-1]))
    count = np.arange(1, period, dtype=np.float64)
    apart = mean[:, :-1] - tail_mean
    mean[:, :-1] = tail_mean + apart * count / period
    squared[:, :-1] = tail_squared + squared[:, :-1] + apart * apart * (period - count) * count / period
    deviation = np.sqrt(squared / period)
    return mean.reshape(-1)[: len(values)], deviation.reshape(-1)[: len(values)]


def _stdev(signal: kinds.Stdev, inputs: list[Column]) -> Column:
    return _mean_and_deviation(inputs[0], signal.period)[1]


def _zscore(signal: kinds.ZScore, inputs: list[Column]) -> Column:
    (values,) = inputs
    mean, deviation = _mean_and_deviation(values, signal.period)
    return np.divide(values - mean, deviation, out=np.zeros(len(values)), where=deviation != 0)


def _extreme(values: Column, period: int, pick: np.ufunc) -> Column:
    """The extreme of a window is that of the tail of one block and of the head of the next."""
    blocks = _blocks(values, period)
    heads: Column = pick.accumulate(blocks, axis=1)
    tails = pick.accumulate(blocks[:, ::-1], axis=1)[:, ::-1]
    heads[:, :-1] = pick(_tails_before(tails), heads[:, :-1])
    return heads.reshape(-1)[: len(values)]


def _highest(signal: kinds.Highest, inputs: list[Column]) -> Column:
    return _extreme(inputs[0], signal.period, np.maximum)


def _lowest(signal: kinds.Lowest, inputs: list[Column]) -> Column:
    return _extreme(inputs[0], signal.period, np.minimum)


def _above(_: kinds.Above, inputs: list[Column]) -> Column:
    return (inputs[0] > inputs[1]).astype(np.float64)


def _at_least(signal: kinds.AtLeast, inputs: list[Column]) -> Column:
    return (inputs[0] >= signal.threshold).astype(np.float64)


def _at_most(signal: kinds.AtMost, inputs: list[Column]) -> Column:
    return (inputs[0] <= signal.threshold).astype(np.float64)


def _changed(_: kinds.Changed, inputs: list[Column]) -> Column:
    (values,) = inputs
    column = np.ones(len(values))
    column[1:] = values[1:] != values[:-1]
    return column


_COLUMNS: Final[Mapping[type, Callable[..., Column]]] = {
    kinds.Close: _same,
    kinds.Ema: _ema,
    kinds.Rsi: _rsi,
    kinds.Sma: _sma,
    kinds.Stdev: _stdev,
    kinds.ZScore: _zscore,
    kinds.Highest: _highest,
    kinds.Lowest: _lowest,
    kinds.Above: _above,
    kinds.AtLeast: _at_least,
    kinds.AtMost: _at_most,
    kinds.Changed: _changed,
}
