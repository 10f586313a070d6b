"""Bars from before the market opened, for charts and tickers that look back further than the program runs.

Each bar of the past takes its own time on the wall clock, whatever the speed at which the market is played after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol, runtime_checkable

from btcturk_sim.bars import Bar

#: Gives (wall time of opening, bar), oldest first.
Past = Callable[[], Sequence[tuple[int, Bar]]]


@runtime_checkable
class BarHistory(Protocol):
    """A `BarSource` that also knows what came before its first bar."""

    def history(self, symbol: str) -> Sequence[tuple[int, Bar]]:
        """(how many bars before the opening, bar), oldest first; asked once for a pair, when somebody looks."""


def past_of(source: BarHistory, symbol: str, opened_ms: int, interval_ms: int) -> Past:
    """The past of one pair whose market opens at `opened_ms`, made when first asked for."""

    @cache
    def past() -> Sequence[tuple[int, Bar]]:
        return [(opened_ms - before * interval_ms, bar) for before, bar in source.history(symbol)]

    return past
