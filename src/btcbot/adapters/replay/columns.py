"""Bars as columns of integers: exact, and fast to search.

A price is `column / 10**price_scale`; nothing here is ever a float.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from btcbot.domain import money
from btcbot.domain.bars import Bar

if TYPE_CHECKING:
    import numpy.typing as npt


class BarColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Bars of one symbol, ascending by time without repetition; gaps are left out, not filled.

    `open_time_ms`: Unix ms, UTC, int64. `open`, `high`, `low`, `close`: int64, quote scaled by `10**price_scale`;
    `volume`: int64, base scaled by `10**volume_scale`.
    """

    symbol: str
    interval_ms: int
    price_scale: int
    volume_scale: int
    open_time_ms: npt.NDArray[np.int64]
    open: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    low: npt.NDArray[np.int64]
    close: npt.NDArray[np.int64]
    volume: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.open_time_ms)

    def bar(self, index: int) -> Bar:
        """One bar in exact decimals."""
        return BarRows(self).bar(index)

    def between(self, start_ms: int | None, end_ms: int | None) -> BarColumns:
        """The bars that open at or after `start_ms` and before `end_ms`; views, nothing is copied."""
        times = self.open_time_ms
        first = 0 if start_ms is None else int(times.searchsorted(start_ms))
        last = len(times) if end_ms is None else int(times.searchsorted(end_ms))
        cut = slice(first, last)
        return msgspec.structs.replace(
            self,
            open_time_ms=times[cut],
            open=self.open[cut],
            high=self.high[cut],
            low=self.low[cut],
            close=self.close[cut],
            volume=self.volume[cut],
        )


class BarRows:
    """Single bars of columns in exact decimals. Scalars are read through memoryviews: twice as fast."""

    __slots__ = (
        "closes",
        "highs",
        "interval_ms",
        "lows",
        "opens",
        "symbol",
        "times",
        "unit",
        "volume_unit",
        "volumes",
    )

    def __init__(self, bars: BarColumns) -> None:
        self.symbol = bars.symbol
        self.interval_ms = bars.interval_ms
        self.times = bars.open_time_ms.data
        self.opens = bars.open.data
        self.highs = bars.high.data
        self.lows = bars.low.data
        self.closes = bars.close.data
        self.volumes = bars.volume.data
        self.unit = money.unit(bars.price_scale)
        self.volume_unit = money.unit(bars.volume_scale)

    def bar(self, index: int) -> Bar:
        unit = self.unit
        return Bar(
            symbol=self.symbol,
            interval_ms=self.interval_ms,
            open_time_ms=self.times[index],
            open=self.opens[index] * unit,
            high=self.highs[index] * unit,
            low=self.lows[index] * unit,
            close=self.closes[index] * unit,
            volume=self.volumes[index] * self.volume_unit,
        )


class Cursor:
    """Where a clock stands in the bars of one symbol: `at` is the index of the last bar that has closed, -1 before, and
    `closed_at_ms` when that was."""

    __slots__ = ("_interval_ms", "_opens", "_times", "at", "closed_at_ms")

    def __init__(self, bars: BarColumns) -> None:
        self._opens = bars.open_time_ms
        self._times = bars.open_time_ms.data  # single values are read from it twice as fast
        self._interval_ms = bars.interval_ms
        self.at = -1
        self.closed_at_ms = 0

    def move_to(self, now_ms: int) -> int:
        """The last bar closed by `now_ms`, never going back. Reckoned where no bar is missing, else searched for."""
        times, interval_ms, following = self._times, self._interval_ms, self.at + 1
        count = len(times)
        if following == count or times[following] + interval_ms > now_ms:
            return self.at
        at = following + (now_ms - interval_ms - times[following]) // interval_ms
        if (
            at >= count
            or times[at] + interval_ms > now_ms
            or (at + 1 < count and times[at + 1] + interval_ms <= now_ms)
        ):
            at = int(self._opens.searchsorted(now_ms - interval_ms, side="right")) - 1
        self.at = at
        self.closed_at_ms = times[at] + interval_ms
        return at


def distinct_times(bars: Iterable[BarColumns]) -> list[npt.NDArray[np.int64]]:
    """When the bars of these symbols open: columns of times that are the same are in it once."""
    found: list[npt.NDArray[np.int64]] = []
    for columns in bars:
        times = columns.open_time_ms
        if not any(times is one or np.array_equal(times, one) for one in found):
            found.append(times)
    return found


def cursors_of(bars: Mapping[str, BarColumns]) -> Mapping[str, Cursor]:
    """A cursor for each symbol. Symbols with bars of the same times share one, so that it is moved once for all."""
    made: list[tuple[BarColumns, Cursor]] = []
    cursors: dict[str, Cursor] = {}
    for symbol, columns in bars.items():
        for other, cursor in made:
            if columns.interval_ms == other.interval_ms and np.array_equal(columns.open_time_ms, other.open_time_ms):
                cursors[symbol] = cursor
                break
        else:
            cursors[symbol] = Cursor(columns)
            made.append((columns, cursors[symbol]))
    return cursors
