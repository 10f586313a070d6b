"""Signals and prices of recorded bars, as of a moment: a strategy is handed values, never the columns.

There is no way to look ahead: what is handed out are the numbers of one bar that has closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from btcbot.adapters.replay.bar_venue import NEVER
from btcbot.adapters.replay.columns import BarColumns, BarRows, cursors_of
from btcbot.domain.bars import Bar
from btcbot.strategies.base import Signal, SignalBoard
from btcbot.strategies.signals import warm_up_of

if TYPE_CHECKING:
    import numpy.typing as npt


_V = TypeVar("_V")


class _Values(Mapping[str, float]):
    """The signals of one symbol at one bar, each read from its column when it is asked for."""

    __slots__ = ("_at", "_columns")

    def __init__(self, lane: _Lane, at: int) -> None:
        self._columns = lane.columns
        self._at = at

    def __getitem__(self, name: str) -> float:
        value: float = self._columns[name][self._at]
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


class _Lane:
    """What is known of one symbol: its bars and its signals, as columns. `clock`: which of the clocks is its own."""

    __slots__ = ("bar", "clock", "columns", "interval_ms", "times")

    def __init__(self, bars: BarColumns, columns: Mapping[str, memoryview[Any]], clock: int) -> None:
        self.bar = BarRows(bars).bar
        self.times = bars.open_time_ms
        self.interval_ms = bars.interval_ms
        self.columns = columns
        self.clock = clock


class _Lanes:
    """All that is known, of all symbols. `warm_at`: index of the first bar at which every signal means something."""

    __slots__ = ("_by_signal", "by_symbol", "warm_at")

    def __init__(self, by_symbol: Mapping[str, _Lane], warm_at: int) -> None:
        self.by_symbol = by_symbol
        self.warm_at = warm_at
        self._by_signal: dict[str, Sequence[tuple[str, memoryview[Any], int]]] = {}

    def of_signal(self, name: str) -> Sequence[tuple[str, memoryview[Any], int]]:
        """A signal's column of each symbol, and which of the clocks is that symbol's."""
        found = self._by_signal.get(name)
        if found is None:
            found = [(symbol, lane.columns[name], lane.clock) for symbol, lane in self.by_symbol.items()]
            self._by_signal[name] = found
        return found


class _AsOf(Mapping[str, _V]):
    """What is known of each symbol at one moment, read from the columns when it is asked for: a strategy that looks at
    one symbol of ten does not pay for ten. It answers for that moment and no other, now and later.

    `at`: the last closed bar of each clock. A symbol of which not every signal means something by then is not in it.
    """

    __slots__ = ("_at", "_lanes")
    _read: Callable[[_Lane, int], _V]

    def __init__(self, lanes: _Lanes, at: Sequence[int]) -> None:
        self._lanes = lanes
        self._at = at

    def __getitem__(self, symbol: str) -> _V:
        lane = self._lanes.by_symbol[symbol]
        at = self._at[lane.clock]
        if at < self._lanes.warm_at:
            raise KeyError(symbol)
        return self._read(lane, at)

    # As `Mapping` has it: the type of the default adds to that of the answer, in overloads that say no more.
    def get(self, symbol: str, default: Any = None) -> Any:
        lane = self._lanes.by_symbol.get(symbol)
        if lane is None:
            return default
        at = self._at[lane.clock]
        return default if at < self._lanes.warm_at else self._read(lane, at)

    def __iter__(self) -> Iterator[str]:
        warm_at = self._lanes.warm_at
        return (symbol for symbol, lane in self._lanes.by_symbol.items() if self._at[lane.clock] >= warm_at)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Bars(_AsOf[Bar]):
    """The bar of each symbol."""

    __slots__ = ()

    @staticmethod
    def _read(lane: _Lane, at: int) -> Bar:
        return lane.bar(at)


class _Board(_AsOf[Mapping[str, float]], SignalBoard):
    """The signals of each symbol."""

    __slots__ = ()
    _read = _Values

    def standing(self, signal: str) -> Sequence[str]:
        at, warm_at, found = self._at, self._lanes.warm_at, []
        for symbol, column, clock in self._lanes.of_signal(signal):
            index = at[clock]
            if index >= warm_at and column[index]:
                found.append(symbol)
        return found


class ColumnSignals:
    """`SignalSource` over columns that were computed once, before the first cycle."""

    def __init__(self, signals: Mapping[str, Signal], bars: Mapping[str, BarColumns]) -> None:
        from btcbot.backtest.signal_columns import compute

        cursors = cursors_of(bars)
        self._clocks = list(dict.fromkeys(cursors.values()))
        lanes: dict[str, _Lane] = {}
        for symbol, columns in bars.items():
            computed = compute(signals, columns) if signals else {}
            values = {name: column.data for name, column in computed.items()}
            lanes[symbol] = _Lane(columns, values, self._clocks.index(cursors[symbol]))
        self._lanes = _Lanes(lanes, warm_up_of(signals) if signals else 0)

    def at(self, venue_now_ms: int, *, may_read: bool) -> tuple[Mapping[str, Bar], Mapping[str, Mapping[str, float]]]:
        """Bars that closed at this very moment at the latest, and the signals up to and including them."""
        at = [clock.move_to(venue_now_ms) for clock in self._clocks]
        return _Bars(self._lanes, at), _Board(self._lanes, at)

    def change_times(self, changes: Sequence[tuple[str, str]]) -> npt.NDArray[np.int64]:
        """When bars close in which one of these (symbol, signal) takes another value, ascending.

        The first value that means anything is a change too: until then the strategy was given none.
        """
        from btcbot.backtest.signal_columns import change_points

        lanes = [(self._lanes.by_symbol[symbol], name) for symbol, name in changes]
        times = [lane.times[change_points(np.asarray(lane.columns[name]))] + lane.interval_ms for lane, name in lanes]
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
