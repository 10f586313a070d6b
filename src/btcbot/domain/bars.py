"""A bar: what was traded of one symbol in one interval."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class Bar(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Open, high, low and close in quote, `volume` in base; `open_time_ms` is Unix time in ms, UTC.

    A bar is known when it has closed, at `close_time_ms`: the first moment that does not belong to it.
    """

    symbol: str
    interval_ms: int
    open_time_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    @property
    def close_time_ms(self) -> int:
        return self.open_time_ms + self.interval_ms
