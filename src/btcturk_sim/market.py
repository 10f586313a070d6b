"""The market's clock: which bar is played when, and how the price walks inside a bar.

Bars are played `speed` times faster than the wall clock. Each is walked in a fixed number of steps from open
through one extreme and the other to close (low first in a rising bar, high first in a falling one), touching
all four prices exactly. A step's wall time is a function of its number alone, so the run is the same however
often the market is asked to catch up.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

import msgspec

from btcturk_sim.bars import Bar, BarSource
from btcturk_sim.money import ZERO, divide_down, round_half_up

STEPS_PER_BAR: Final = 8


class AtEnd(StrEnum):
    HOLD = "hold"
    LOOP = "loop"
    EXIT = "exit"


class StepPrice(msgspec.Struct, frozen=True):
    """One pair at one step: the traded price and how much of the bar's volume trades there."""

    price: Decimal
    flow: Decimal
    bar_volume: Decimal
    opens_bar: bool


def walk(bar: Bar, places: int) -> tuple[Decimal, ...]:
    """The eight prices of a bar: open, ·, extreme, ·, ·, other extreme, ·, close."""
    first, second = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)

    def between(start: Decimal, end: Decimal, part: Decimal) -> Decimal:
        return round_half_up(start + (end - start) * part, places)

    half, third, two_thirds = Decimal("0.5"), Decimal("0.333"), Decimal("0.667")
    return (
        bar.open, between(bar.open, first, half), first,
        between(first, second, third), between(first, second, two_thirds), second,
        between(second, bar.close, half), bar.close,
    )  # fmt: skip


class Market:
    """Plays a `BarSource` against the wall clock."""

    def __init__(self, source: BarSource, *, speed: Fraction, start_ms: int, at_end: AtEnd = AtEnd.HOLD) -> None:
        self.source = source
        self.speed = speed
        self.at_end = at_end
        self.ended = False
        self._origin_ms = start_ms
        self._paused_at_ms: int | None = None
        self._step = 0
        #: How long after the origin the next step is due: asked far more often than it changes.
        self._elapsed_ms = 0
        self._places = {one.symbol: one.price_scale if one.has_fraction else 0 for one in source.instruments}
        self._scales = {one.symbol: one.quantity_scale for one in source.instruments}
        self._price = {one.symbol: source.opening_price(one.symbol) for one in source.instruments}
        self._walks: dict[str, tuple[tuple[Decimal, ...], Decimal, Decimal] | None] = {}

    @property
    def bar_index(self) -> int:
        """Number of the bar being played (rising also through a loop)."""
        return max(0, self._step - 1) // STEPS_PER_BAR

    @property
    def step_in_bar(self) -> int:
        return max(0, self._step - 1) % STEPS_PER_BAR

    @property
    def market_time_ms(self) -> int:
        return self.source.first_open_ms + max(0, self._step - 1) * self.source.interval_ms // STEPS_PER_BAR

    @property
    def paused(self) -> bool:
        return self._paused_at_ms is not None

    def pause(self, now_ms: int) -> None:
        if self._paused_at_ms is None:
            self._paused_at_ms = now_ms

    def resume(self, now_ms: int) -> None:
        if self._paused_at_ms is not None:
            self._origin_ms += now_ms - self._paused_at_ms
            self._paused_at_ms = None

    def next_step_ms(self) -> int | None:
        """Wall time of the next step; None while paused, or over for good."""
        if self._paused_at_ms is not None or (self.ended and self.at_end is AtEnd.EXIT):
            return None
        return self._origin_ms + self._elapsed_ms

    def step(self) -> dict[str, StepPrice]:
        """Take the next step, for all pairs at once."""
        index, part = divmod(self._step, STEPS_PER_BAR)
        self._step += 1
        elapsed = self._step * self.source.interval_ms * self.speed.denominator
        self._elapsed_ms = elapsed // (STEPS_PER_BAR * self.speed.numerator)
        length = self.source.length
        if length is not None and index >= length:
            if self.at_end is AtEnd.LOOP:
                index %= length
            else:
                self.ended = True
        if part == 0:
            self._open_bar(index)
        prices = {}
        for symbol, walked in self._walks.items():
            if walked is None:
                prices[symbol] = StepPrice(self._price[symbol], ZERO, ZERO, part == 0)
            else:
                path, flow, volume = walked
                price = self._price[symbol] = path[part]
                prices[symbol] = StepPrice(price, flow, volume, part == 0)
        return prices

    def _open_bar(self, index: int) -> None:
        for symbol, places in self._places.items():
            bar = None if self.ended else self.source.bar(symbol, index)
            if bar is None:
                self._walks[symbol] = None
            else:
                flow = divide_down(bar.volume, Decimal(STEPS_PER_BAR), self._scales[symbol])
                self._walks[symbol] = (walk(bar, places), flow, bar.volume)
