"""Bars as columns of integers: exact, and fast to search.

A price is `column / 10**price_scale`; nothing here is ever a float.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from btcbot.domain.bars import Bar

if TYPE_CHECKING:
    import numpy as np
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
        price, volume = self.price_scale, self.volume_scale
        return Bar(
            symbol=self.symbol,
            interval_ms=self.interval_ms,
            open_time_ms=int(self.open_time_ms[index]),
            open=Decimal(int(self.open[index])).scaleb(-price),
            high=Decimal(int(self.high[index])).scaleb(-price),
            low=Decimal(int(self.low[index])).scaleb(-price),
            close=Decimal(int(self.close[index])).scaleb(-price),
            volume=Decimal(int(self.volume[index])).scaleb(-volume),
        )

    def between(self, start_ms: int | None, end_ms: int | None) -> BarColumns:
        """The bars that open at or after `start_ms` and before `end_ms`; views, nothing is copied."""
        times = self.open_time_ms
        first = 0 if start_ms is None else int(times.searchsorted(start_ms))
        last = len(times) if end_ms is None else int(times.searchsorted(end_ms))
        cut = slice(first, last)
        columns = {
            name: getattr(self, name)[cut] for name in ("open_time_ms", "open", "high", "low", "close", "volume")
        }
        return msgspec.structs.replace(self, **columns)


class Cursor:
    """Where a clock stands in the bars of one symbol: `at` is the index of the last bar that has closed, -1 before."""

    __slots__ = ("_interval_ms", "_opens", "_times", "at")

    def __init__(self, bars: BarColumns) -> None:
        self._opens = bars.open_time_ms
        self._times = bars.open_time_ms.data  # single values are read from it twice as fast
        self._interval_ms = bars.interval_ms
        self.at = -1

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
        return at
