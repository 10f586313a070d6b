"""What charts and tickers remember: candles by wall time, and the last 24 hours of market time.

The two differ on purpose. Every stamp on the wire is wall time, so charts are drawn in it; a "daily" high over
wall time would be meaningless when bars are played six hundred times faster, so the ticker looks back over
24 hours of the bars themselves.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Final

import msgspec

from btcturk_sim.bars import Bar
from btcturk_sim.history import Past
from btcturk_sim.money import ZERO, divide_half_up

MINUTES_KEPT_MAX: Final = 7 * 24 * 60
_DAY_MS: Final = 86_400_000
_QUARTER: Final = Decimal("0.25")


class Candle(msgspec.Struct):
    """`total` is the turnover in quote currency."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO
    total: Decimal = ZERO

    def add(self, price: Decimal, volume: Decimal) -> None:
        self.close = price
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        if volume:
            self.volume += volume
            self.total += price * volume

    def absorb(self, later: Candle) -> None:
        self.close = later.close
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.volume += later.volume
        self.total += later.total

    @classmethod
    def of(cls, bar: Bar) -> Candle:
        """A bar as a candle; its turnover is taken at the middle of its prices."""
        middle = (bar.open + bar.high + bar.low + bar.close) * _QUARTER
        return cls(bar.open, bar.high, bar.low, bar.close, bar.volume, bar.volume * middle)

    def copy(self) -> Candle:
        return Candle(self.open, self.high, self.low, self.close, self.volume, self.total)


class Chart:
    """Candles of one wall minute, from which all longer ones are made when asked."""

    __slots__ = ("_minutes", "_past")

    def __init__(self, past: Past | None = None) -> None:
        self._minutes: deque[tuple[int, Candle]] = deque(maxlen=MINUTES_KEPT_MAX)
        #: What came before the market opened, until somebody looks.
        self._past = past

    def add(self, time_ms: int, price: Decimal, volume: Decimal) -> None:
        minute = time_ms // 60_000
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append((minute, Candle(price, price, price, price)))
        self._minutes[-1][1].add(price, volume)

    def candles(self, minutes: int, from_s: int, to_s: int) -> list[tuple[int, Candle]]:
        """(open second, candle) of the given length, oldest first, opening within [from, to]."""
        self._remember()
        rows: list[tuple[int, Candle]] = []
        for minute, candle in self._minutes:
            second = minute // minutes * minutes * 60
            if not from_s <= second <= to_s:
                continue
            if rows and rows[-1][0] == second:
                rows[-1][1].absorb(candle)
            else:
                rows.append((second, candle.copy()))
        return rows

    def current(self, minutes: int) -> tuple[int, Candle] | None:
        """(open second, candle) of the given length that is being drawn; None before the first price."""
        self._remember()
        first, found = 0, None
        for minute, candle in reversed(self._minutes):
            if found is None:
                first, found = minute // minutes * minutes, candle.copy()
            elif minute < first:
                break
            else:
                earlier = candle.copy()
                earlier.absorb(found)
                found = earlier
        return None if found is None else (first * 60, found)

    def _remember(self) -> None:
        """Put the past before what was drawn since, as far as there is room."""
        if self._past is None:
            return
        past, self._past = self._past(), None
        earlier: list[tuple[int, Candle]] = []
        for time_ms, bar in past:
            minute = time_ms // 60_000
            if earlier and earlier[-1][0] == minute:
                earlier[-1][1].absorb(Candle.of(bar))
            else:
                earlier.append((minute, Candle.of(bar)))
        if earlier and self._minutes and earlier[-1][0] == self._minutes[0][0]:
            # The market opened in the middle of a minute, and bars are shorter than one.
            whole = earlier.pop()[1]
            whole.absorb(self._minutes[0][1])
            self._minutes[0] = self._minutes[0][0], whole
        room = MINUTES_KEPT_MAX - len(self._minutes)
        self._minutes.extendleft(islice(reversed(earlier), room))


@dataclass(frozen=True, slots=True)
class DayStats:
    open: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal
    average: Decimal


class Day:
    """The last 24 hours of market time, one candle per bar."""

    __slots__ = ("_bars", "_cached", "_past", "_places")

    def __init__(self, interval_ms: int, places: int, past: Past | None = None) -> None:
        #: What came before the market opened, until somebody looks.
        self._past = past
        self._bars: deque[Candle] = deque(maxlen=max(1, _DAY_MS // interval_ms))
        self._places = places
        self._cached: tuple[Candle, Candle] | None = None

    def add(self, price: Decimal, volume: Decimal, opens_bar: bool) -> None:
        if opens_bar or not self._bars:
            self._bars.append(Candle(price, price, price, price))
            self._cached = None
        self._bars[-1].add(price, volume)

    def stats(self) -> DayStats:
        """Summed over completed bars once per bar; only the running bar is added each time."""
        running = self._bars[-1]
        if self._past is not None:
            past, self._past, self._cached = self._past(), None, None
            room = (self._bars.maxlen or 0) - len(self._bars)
            self._bars.extendleft(islice((Candle.of(bar) for _, bar in reversed(past)), room))
        if self._cached is None or self._cached[0] is not running:
            earlier = self._bars[0].copy()
            for index in range(1, len(self._bars) - 1):
                earlier.absorb(self._bars[index])
            self._cached = (running, earlier)
        whole = self._cached[1].copy() if len(self._bars) > 1 else running.copy()
        if len(self._bars) > 1:
            whole.absorb(running)
        average = divide_half_up(whole.total, whole.volume, self._places) if whole.volume else whole.close
        return DayStats(whole.open, whole.high, whole.low, whole.volume, average)
