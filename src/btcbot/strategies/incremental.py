"""Signals at work: each takes one bar's values after the other, at a cost that does not grow with its window.

This is the definition of every signal, to the last bit. Sums over a window cut time into blocks as long as the window:
a window is the tail of one block and the head of the next, so no sum is older than two blocks, and no rounding error
lives longer. (The tails are summed when a block ends: one more addition for each bar, taken together.)
"""

from __future__ import annotations

import math
from collections import deque
from itertools import accumulate


class Same:
    def update(self, *values: float) -> float:
        return values[0]


class Exponential:
    """`f += alpha * (x - f)`, from the first value on."""

    def __init__(self, alpha: float) -> None:
        self._alpha = alpha
        self._value: float | None = None

    def update(self, *values: float) -> float:
        (value,) = values
        before = self._value
        self._value = value if before is None else before + self._alpha * (value - before)
        return self._value


class RelativeStrength:
    """Wilder's: averages of gains and losses, started as the mean of the first `period` moves."""

    def __init__(self, period: int) -> None:
        self._period = period
        self._moves = 0
        self._last: float | None = None
        self._gain = self._loss = 0.0

    def update(self, *values: float) -> float:
        (value,) = values
        last, self._last = self._last, value
        if last is None:
            return math.nan
        move, period = value - last, self._period
        gain, loss = max(move, 0.0), max(-move, 0.0)
        self._moves += 1
        if self._moves <= period:
            self._gain += gain
            self._loss += loss
            if self._moves < period:
                return math.nan
            self._gain /= period
            self._loss /= period
        else:
            self._gain = (self._gain * (period - 1) + gain) / period
            self._loss = (self._loss * (period - 1) + loss) / period
        moved = self._gain + self._loss
        return 100 * self._gain / moved if moved else 50.0


class Mean:
    """The tail of the block before, and the head of this one."""

    def __init__(self, period: int) -> None:
        self._period = period
        self._head = 0.0
        self._block: list[float] = []
        self._tails: list[float] = []  # [k]: sum of the last k + 1 values of the block before

    def update(self, *values: float) -> float:
        (value,) = values
        block, period = self._block, self._period
        block.append(value)
        count = len(block)
        self._head = value if count == 1 else self._head + value
        if count == period:
            self._tails = list(accumulate(reversed(block)))
            self._block = []
            return self._head / period
        if not self._tails:
            return math.nan
        return (self._tails[period - count - 1] + self._head) / period


class Deviation:
    """Mean and squared deviations of tail and head, put together.

    Each part is summed as the distance from one of its own values: of a large price only what moves is squared, and in
    a market that stands still the deviation is exactly zero.
    """

    def __init__(self, period: int, *, as_score: bool) -> None:
        self._period = period
        self._as_score = as_score
        self._block: list[float] = []
        self._anchor = self._total = self._squares = 0.0
        self._tails: list[tuple[float, float]] = []  # [k]: mean and squared deviations of the last k + 1 values

    def update(self, *values: float) -> float:
        (value,) = values
        block, period = self._block, self._period
        block.append(value)
        count = len(block)
        if count == 1:
            self._anchor, self._total, self._squares = value, 0.0, 0.0
        else:
            away = value - self._anchor
            self._total += away
            self._squares += away * away
        mean, squared = _moments(self._anchor, self._total, self._squares, count)
        if count == period:
            self._end_block()
        elif not self._tails:
            return math.nan
        else:
            before = period - count
            tail_mean, tail_squared = self._tails[before - 1]
            apart = mean - tail_mean
            mean = tail_mean + apart * count / period
            squared = tail_squared + squared + apart * apart * before * count / period
        deviation = math.sqrt(squared / period)
        if not self._as_score:
            return deviation
        return (value - mean) / deviation if deviation else 0.0

    def _end_block(self) -> None:
        anchor = self._block[-1]
        total = squares = 0.0
        self._tails = []
        for count, value in enumerate(reversed(self._block), start=1):
            away = value - anchor
            total += away
            squares += away * away
            self._tails.append(_moments(anchor, total, squares, count))
        self._block = []


def _moments(anchor: float, total: float, squares: float, count: int) -> tuple[float, float]:
    """Mean, and sum of squared deviations from it; `total` and `squares` are of the distances from `anchor`."""
    return anchor + total / count, max(squares - total * total / count, 0.0)


class Extreme:
    """Keeps only the values that may still become the largest (sign 1) or smallest (sign -1) of a window."""

    def __init__(self, period: int, sign: float) -> None:
        self._period = period
        self._sign = sign
        self._seen = 0
        self._kept: deque[tuple[int, float]] = deque()

    def update(self, *values: float) -> float:
        (value,) = values
        kept = self._kept
        while kept and (value - kept[-1][1]) * self._sign >= 0:
            kept.pop()
        kept.append((self._seen, value))
        if kept[0][0] <= self._seen - self._period:
            kept.popleft()
        self._seen += 1
        return kept[0][1] if self._seen >= self._period else math.nan


class IsAbove:
    def update(self, *values: float) -> float:
        return 1.0 if values[0] > values[1] else 0.0


class IsAtLeast:
    def __init__(self, level: float) -> None:
        self._level = level

    def update(self, *values: float) -> float:
        return 1.0 if values[0] >= self._level else 0.0


class IsAtMost:
    def __init__(self, level: float) -> None:
        self._level = level

    def update(self, *values: float) -> float:
        return 1.0 if values[0] <= self._level else 0.0


class HasChanged:
    """The first value is a change, from nothing."""

    def __init__(self) -> None:
        self._last: float | None = None

    def update(self, *values: float) -> float:
        (value,) = values
        last, self._last = self._last, value
        return 0.0 if value == last else 1.0
