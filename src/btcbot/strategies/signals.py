"""Signals: what a strategy may have computed over closed bars, one bar after the other and without looking ahead.

    def signals(self) -> Mapping[str, Signal]:
        return {"fast": Ema(20), "slow": Ema(100), "is_above": Above("fast", "slow")}

A signal takes fields of the bar, or other signals by their names. What it gives is a statistic, so it is a float;
prices and quantities of orders come from quotes and bars, which are exact.

How each is computed stands in `btcbot.strategies.incremental`; `btcbot.backtest.signal_columns` computes the same over
whole columns, equal to the last bit. A signal of your own is a frozen Struct with `inputs`, `warm_up` and `start`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, Final, TypeAlias

import msgspec

from btcbot.domain.bars import Bar
from btcbot.strategies import incremental
from btcbot.strategies.base import Running, Signal

#: What a bar offers as an input; no signal may take one of these names.
BAR_FIELDS: Final = ("open", "high", "low", "close", "volume")
#: A window longer than a year of minutes is a typing error.
PERIOD_MAX: Final = 600_000

Level: TypeAlias = int | float | Decimal


class Close(msgspec.Struct, frozen=True):
    """The input itself, the close unless told otherwise: for a strategy that only wants to be given its bars."""

    of: str = "close"
    warm_up: ClassVar[int] = 0

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.of,)

    def start(self) -> Running:
        return incremental.Same()


class OverWindow(msgspec.Struct, frozen=True):
    """What signals of one input over the last `period` bars have in common."""

    period: int
    of: str = "close"

    def __post_init__(self) -> None:
        if not 1 <= self.period <= PERIOD_MAX:
            raise ValueError(f"{type(self).__name__} over {self.period} bars; give 1 to {PERIOD_MAX}")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.of,)

    @property
    def warm_up(self) -> int:
        return self.period - 1


class Ema(OverWindow, frozen=True):
    """Exponential average: it starts at the first value, then `f += alpha * (x - f)` with alpha = 2 / (period + 1)."""

    @property
    def warm_up(self) -> int:
        """A whole period: the value it started at has lost most of its weight by then."""
        return self.period

    @property
    def alpha(self) -> float:
        return 2 / (self.period + 1)

    def start(self) -> Running:
        return incremental.Exponential(self.alpha)


class Rsi(OverWindow, frozen=True):
    """Wilder's relative strength index, 0 to 100: the share of gains in all moves; 50 where nothing moved.

    Average gain and loss start as the mean of the first `period` moves, then each becomes
    `(average * (period - 1) + new) / period`.
    """

    @property
    def warm_up(self) -> int:
        """A move is the difference of two bars, so one bar more than there are moves."""
        return self.period

    def start(self) -> Running:
        return incremental.RelativeStrength(self.period)


class Sma(OverWindow, frozen=True):
    """The mean of the last `period` values."""

    def start(self) -> Running:
        return incremental.Mean(self.period)


class Stdev(OverWindow, frozen=True):
    """The standard deviation of the last `period` values, divided by `period` as in Bollinger's bands; 0 where they are
    all equal."""

    def start(self) -> Running:
        return incremental.Deviation(self.period, as_score=False)


class ZScore(OverWindow, frozen=True):
    """How many standard deviations the last value lies above the mean of the last `period`; 0 where they are equal."""

    def start(self) -> Running:
        return incremental.Deviation(self.period, as_score=True)


class Highest(OverWindow, frozen=True):
    """The largest of the last `period` values, of the highs unless told otherwise."""

    of: str = "high"

    def start(self) -> Running:
        return incremental.Extreme(self.period, 1.0)


class Lowest(OverWindow, frozen=True):
    """The smallest of the last `period` values, of the lows unless told otherwise."""

    of: str = "low"

    def start(self) -> Running:
        return incremental.Extreme(self.period, -1.0)


class Above(msgspec.Struct, frozen=True):
    """1 where `a` is above `b`, else 0."""

    a: str
    b: str
    warm_up: ClassVar[int] = 0

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.a, self.b)

    def start(self) -> Running:
        return incremental.IsAbove()


class AtLeast(msgspec.Struct, frozen=True):
    """1 where the input is at `level` or higher, else 0."""

    of: str
    level: Level
    warm_up: ClassVar[int] = 0

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.of,)

    @property
    def threshold(self) -> float:
        return float(self.level)

    def start(self) -> Running:
        return incremental.IsAtLeast(self.threshold)


class AtMost(msgspec.Struct, frozen=True):
    """1 where the input is at `level` or lower, else 0."""

    of: str
    level: Level
    warm_up: ClassVar[int] = 0

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.of,)

    @property
    def threshold(self) -> float:
        return float(self.level)

    def start(self) -> Running:
        return incremental.IsAtMost(self.threshold)


class Changed(msgspec.Struct, frozen=True):
    """1 at the bar at which the input takes another value than at the bar before, else 0. Its first value is a change
    too."""

    of: str
    warm_up: ClassVar[int] = 0

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.of,)

    def start(self) -> Running:
        return incremental.HasChanged()


def order_of(signals: Mapping[str, Signal]) -> tuple[str, ...]:
    """Names in an order in which each comes after its inputs. ValueError for an input that is nothing, or a circle."""
    for name in signals:
        if name in BAR_FIELDS:
            raise ValueError(f"a signal cannot be named {name}: that is a field of the bar; choose another name")
    done: dict[str, None] = {}
    waiting: list[str] = []

    def visit(name: str, needed_by: str) -> None:
        if name in done or name in BAR_FIELDS:
            return
        if name not in signals:
            raise ValueError(
                f"the signal {needed_by} takes {name}, which is neither another signal nor one of "
                f"{', '.join(BAR_FIELDS)}"
            )
        if name in waiting:
            circle = " from ".join([*waiting[waiting.index(name) :], name])
            raise ValueError(f"signals go in a circle: {circle}")
        waiting.append(name)
        for one in signals[name].inputs:
            visit(one, name)
        waiting.pop()
        done[name] = None

    for name in signals:
        visit(name, name)
    return tuple(done)


def warm_ups(signals: Mapping[str, Signal]) -> Mapping[str, int]:
    """For each signal the index, from 0, of the first bar at which it means something, its inputs' warm-up included."""
    first: dict[str, int] = {}
    for name in order_of(signals):
        signal = signals[name]
        if signal.warm_up < 0:
            raise ValueError(f"the signal {name} warms up over {signal.warm_up} bars; it cannot be fewer than 0")
        first[name] = signal.warm_up + max((first.get(one, 0) for one in signal.inputs), default=0)
    return first


def warm_up_of(signals: Mapping[str, Signal]) -> int:
    """The index, from 0, of the first bar at which all of them mean something."""
    return max(warm_ups(signals).values(), default=0)


class RunningSignals:
    """The signals of a strategy at work on the bars of one symbol."""

    def __init__(self, signals: Mapping[str, Signal]) -> None:
        self._first = warm_ups(signals)
        self._all_warm_at = max(self._first.values(), default=0)
        self._running = {name: (signals[name].inputs, signals[name].start()) for name in self._first}
        self._names = tuple(signals)
        self._bars = 0

    def update(self, bar: Bar) -> Mapping[str, float] | None:
        """Every value after one more closed bar; None as long as one of them means nothing yet."""
        values = {
            "open": float(bar.open),
            "high": float(bar.high),
            "low": float(bar.low),
            "close": float(bar.close),
            "volume": float(bar.volume),
        }
        for name, (inputs, running) in self._running.items():
            # A signal starts at the first bar at which all its inputs mean something.
            if all(self._bars >= self._first.get(one, 0) for one in inputs):
                values[name] = running.update(*(values[one] for one in inputs))
            else:
                values[name] = math.nan
        self._bars += 1
        if self._bars <= self._all_warm_at:
            return None
        return {name: values[name] for name in self._names}
