"""A clock in a test's hand: time passes when it is told to, for the bot and for all the world around it."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Final, Protocol

from btcbot.ports import StopSignal

#: 23 September 2026, 03:00 in Istanbul: no day begins or ends within a story.
EPOCH_MS: Final = 1_790_121_600_000


class Beside(Protocol):
    """Something that lives on the same clock as the bot, and beside it."""

    def next_ms(self) -> int | None:
        """When it has something to do, in monotonic milliseconds; it may be too early, never too late."""
        ...

    def run(self) -> None:
        """Do what is due by now."""
        ...


class Agenda:
    """What a story has in store, each at its time, whatever becomes of the bot until then."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._numbers = itertools.count()
        self._waiting: list[tuple[int, int, Callable[[], object]]] = []
        clock.beside.append(self)

    def at(self, after_ms: int, happening: Callable[[], object]) -> None:
        """Let this happen so many ms from now."""
        at_ms = self._clock.monotonic_ns() // 1_000_000 + after_ms
        heapq.heappush(self._waiting, (at_ms, next(self._numbers), happening))

    def next_ms(self) -> int | None:
        return self._waiting[0][0] if self._waiting else None

    def run(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._clock.monotonic_ns() // 1_000_000:
            heapq.heappop(self._waiting)[2]()


class ManualClock:
    """`Clock` in a test's hand. The venue lives by `true_ms`; a step of the wall clock is ours alone."""

    def __init__(self, now_ms: int = EPOCH_MS) -> None:
        self._started_ms = now_ms
        self._elapsed_ns = 0
        self._step_ms = 0
        #: While the clock is moved, each of them does what it has to do at the very moment at which it is due.
        self.beside: list[Beside] = []
        self._is_moving = False

    def now_ms(self) -> int:
        return self._started_ms + self._elapsed_ns // 1_000_000 + self._step_ms

    def monotonic_ns(self) -> int:
        return self._elapsed_ns

    def sleep(self, seconds: float, stop: StopSignal) -> bool:
        self.advance(max(seconds, 0.0))
        return stop.is_set()

    def true_ms(self) -> int:
        """What all clocks of the world but ours show."""
        return self._started_ms + self._elapsed_ns // 1_000_000

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        until_ns = self._elapsed_ns + round(seconds * 1e9)
        if self.beside and not self._is_moving:
            self._is_moving = True
            try:
                self._live_until(until_ns)
            finally:
                self._is_moving = False
        self._elapsed_ns = max(self._elapsed_ns, until_ns)

    def _live_until(self, until_ns: int) -> None:
        """All that is due on the way, in its order; what is still due when it was done is done a little later."""
        earliest_ns = self._elapsed_ns
        while (due_ms := self._next_ms()) is not None:
            at_ns = max(due_ms * 1_000_000, earliest_ns)
            if at_ns > until_ns:
                break
            self._elapsed_ns, earliest_ns = max(self._elapsed_ns, at_ns), at_ns + 1_000_000
            for each in tuple(self.beside):
                each.run()

    def _next_ms(self) -> int | None:
        """When the first of all beside has something to do."""
        first_ms: int | None = None
        for each in self.beside:
            at_ms = each.next_ms()
            if at_ms is not None and (first_ms is None or at_ms < first_ms):
                first_ms = at_ms
        return first_ms

    def step(self, seconds: float) -> None:
        """Set our wall clock forward, or back."""
        self._step_ms += round(seconds * 1_000)

    def set_right(self) -> None:
        """Let our wall clock show the world's time again."""
        self._step_ms = 0
