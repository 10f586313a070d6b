"""Signals and prices of recorded bars, as of a moment: a strategy is handed values, never the columns.

There is no way to look ahead: what is handed out are the numbers of one bar that has closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from btcbot.adapters.replay.bar_venue import NEVER
from btcbot.adapters.replay.columns import BarColumns, Cursor
from btcbot.domain.bars import Bar
from btcbot.strategies.base import Signal
from btcbot.strategies.signals import warm_up_of

if TYPE_CHECKING:
    import numpy.typing as npt


_V = TypeVar("_V")


class _AsOf(Mapping[str, _V]):
    """What is known of each symbol at one bar, read from the columns when it is asked for: a strategy that looks at one
    symbol of ten does not pay for ten. It answers for that bar and no other, now and later."""

    __slots__ = ("_at", "_read")

    def __init__(self, at: Mapping[str, int], read: Callable[[str, int], _V]) -> None:
        self._at = at
        self._read = read

    def __getitem__(self, symbol: str) -> _V:
        return self._read(symbol, self._at[symbol])

    def get(self, symbol: str, default: Any = None) -> Any:
        at = self._at.get(symbol)
        return default if at is None else self._read(symbol, at)

    def __iter__(self) -> Iterator[str]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)


class ColumnSignals:
    """`SignalSource` over columns that were computed once, before the first cycle."""

    def __init__(self, signals: Mapping[str, Signal], bars: Mapping[str, BarColumns]) -> None:
        from btcbot.backtest.signal_columns import change_points, compute

        self._bars = bars
        #: Index of the first bar at which every signal means something.
        self._warm_at = warm_up_of(signals) if signals else 0
        self._cursors = {symbol: Cursor(columns) for symbol, columns in bars.items()}
        self._columns: dict[str, dict[str, memoryview[Any]]] = {}
        self._changes: dict[tuple[str, str], npt.NDArray[np.int64]] = {}
        for symbol, columns in bars.items():
            computed = compute(signals, columns) if signals else {}
            self._columns[symbol] = {name: column.data for name, column in computed.items()}
            for name, column in computed.items():
                self._changes[symbol, name] = change_points(column)

    def at(self, venue_now_ms: int, *, may_read: bool) -> tuple[Mapping[str, Bar], Mapping[str, Mapping[str, float]]]:
        """Bars that closed at this very moment at the latest, and the signals up to and including them."""
        warm = {
            symbol: at
            for symbol, cursor in self._cursors.items()
            if (at := cursor.move_to(venue_now_ms)) >= self._warm_at
        }
        return _AsOf(warm, self._bar), _AsOf(warm, self._values)

    def _bar(self, symbol: str, at: int) -> Bar:
        return self._bars[symbol].bar(at)

    def _values(self, symbol: str, at: int) -> Mapping[str, float]:
        return {name: column[at] for name, column in self._columns[symbol].items()}

    def change_times(self, changes: Sequence[tuple[str, str]]) -> npt.NDArray[np.int64]:
        """When bars close in which one of these (symbol, signal) takes another value, ascending.

        The first value that means anything is a change too: until then the strategy was given none.
        """
        times = [
            self._bars[symbol].open_time_ms[self._changes[symbol, name]] + self._bars[symbol].interval_ms
            for symbol, name in changes
        ]
        return np.unique(np.concatenate(times))


class ColumnPrices:
    """Where closes first reach a price; a quote's bid lies at or below the close, its ask at or above it."""

    def __init__(self, bars: Mapping[str, BarColumns]) -> None:
        self._bars = bars

    def first_close_at_least(self, symbol: str, price: Decimal, after_ms: int) -> int:
        """Close time of the first bar after a moment that closes at or above the price, or never."""
        return self._first(symbol, price, after_ms, above=True)

    def first_close_at_most(self, symbol: str, price: Decimal, after_ms: int) -> int:
        """Close time of the first bar after a moment that closes at or below the price, or never."""
        return self._first(symbol, price, after_ms, above=False)

    def _first(self, symbol: str, price: Decimal, after_ms: int, *, above: bool) -> int:
        columns = self._bars[symbol]
        closes = columns.close
        scaled = price.scaleb(columns.price_scale)
        # A limit beyond what 64 bits hold is beyond every price.
        if abs(scaled) >= NEVER:
            return NEVER if above == (scaled > 0) else after_ms + 1
        limit = int(scaled)
        if above and limit != scaled and scaled > 0:
            limit += 1
        first = int(columns.open_time_ms.searchsorted(after_ms - columns.interval_ms, side="right"))
        stride = 512
        while first < len(closes):
            part = closes[first : first + stride]
            hits = part >= limit if above else part <= limit
            at = int(hits.argmax())
            if hits[at]:
                return int(columns.open_time_ms[first + at]) + columns.interval_ms
            first += stride
            stride *= 2
        return NEVER
