"""What a capture knows of one symbol and one table: how far it has come, what is new, and where a hole is.

Three tables, three kinds of hole. Bars can always be asked for again, so theirs is what the venue itself leaves out.
Trades come as lists of the last fifty: where such a list does not reach back to a trade that is known, those between
are lost. Quotes are moments: when nobody looked, they are gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from btcbot.adapters.btcturk.feed_frames import PublicTrade
from btcbot.domain.bars import Bar

#: Trade ids remembered, many times what a list holds.
IDS_KEPT: Final = 2_000
#: A quote that stands is written down again after so long: then the last row tells how far a recording goes.
QUOTE_AGAIN_MS: Final = 60_000
#: Bars that one look back asks for at most; what lies before is a hole.
BARS_BACK_MAX: Final = 9_000
#: From one request for a bar to the next, should it not have come.
AGAIN_MS: Final = 5_000


class Gap(NamedTuple):
    """A stretch of one table that is not, and cannot be, in the data. Unix ms, venue time."""

    table: str
    symbol: str
    from_ms: int
    to_ms: int
    why: str


class QuoteRow(NamedTuple):
    """Best bid and ask at one moment; a quantity is None where it was not told."""

    time_ms: int
    bid: Decimal
    bid_quantity: Decimal | None
    ask: Decimal
    ask_quantity: Decimal | None


class TradeLine:
    """Trades of one symbol. `known` are ids of the newest that are stored, `last_ms` the newest one's time."""

    def __init__(self, symbol: str, known: Iterable[str], last_ms: int | None) -> None:
        self._symbol = symbol
        self._order = deque(known, maxlen=IDS_KEPT)
        self._known = set(self._order)
        self._last_ms = last_ms

    def take(self, listed: Sequence[PublicTrade]) -> tuple[list[PublicTrade], Gap | None]:
        """What is new of the venue's list of last trades, oldest first; and the hole before it, if there is one."""
        new = [trade for trade in listed if trade.trade_id not in self._known]
        gap = None
        if new and len(new) == len(listed) and self._last_ms is not None:
            oldest_ms = min(trade.at_ms for trade in new)
            why = "more was traded than the venue lists"
            gap = Gap("trades", self._symbol, self._last_ms, max(oldest_ms, self._last_ms), why)
        for trade in new:
            if len(self._order) == IDS_KEPT:
                self._known.discard(self._order[0])
            self._order.append(trade.trade_id)
            self._known.add(trade.trade_id)
            self._last_ms = max(self._last_ms or 0, trade.at_ms)
        return new, gap


class QuoteLine:
    """Quotes of one symbol, at most one each `interval_ms`. `seen_ms`: until when quotes are stored."""

    def __init__(self, symbol: str, seen_ms: int | None, interval_ms: int, gap_ms: int) -> None:
        self._symbol = symbol
        self._seen_ms = seen_ms
        self._interval_ms = interval_ms
        self._gap_ms = gap_ms
        self._last: QuoteRow | None = None

    def take(self, row: QuoteRow) -> tuple[QuoteRow | None, Gap | None]:
        """The row, where it is to be written down; and the time in which nobody saw a quote, where that was long."""
        seen_ms, self._seen_ms = self._seen_ms, row.time_ms
        gap = None
        if seen_ms is not None and row.time_ms - seen_ms > self._gap_ms:
            gap = Gap("quotes", self._symbol, seen_ms, row.time_ms, "nobody saw a book")
        last = self._last
        if last is not None:
            age_ms = row.time_ms - last.time_ms
            # Our estimate of the venue's time may step back by a little: then it is early still.
            is_due = age_ms >= self._interval_ms and row[1:] != last[1:]
            if not is_due and age_ms < QUOTE_AGAIN_MS and gap is None:
                return None, None
        self._last = row
        return row, gap


class BarLine:
    """Bars of one symbol. `last_ms`: when the newest stored one opens."""

    def __init__(self, symbol: str, interval_ms: int, last_ms: int | None) -> None:
        self.symbol = symbol
        self._interval_ms = interval_ms
        self._last_ms = last_ms
        self._not_before_ms = 0

    def is_due(self, now_ms: int, settle_ms: int) -> bool:
        """Whether another bar should have closed, and stood for `settle_ms`."""
        if now_ms < self._not_before_ms:
            return False
        if self._last_ms is None:
            return True
        return now_ms - settle_ms >= self._last_ms + 2 * self._interval_ms

    def since_ms(self, now_ms: int) -> tuple[int, Gap | None]:
        """From where on to ask: the newest one again, for it may have been read early; and what is too long ago."""
        step_ms = self._interval_ms
        # A pair that is not drawn is not asked for all the time.
        self._not_before_ms = now_ms + AGAIN_MS
        if self._last_ms is None:
            # The one before the last: the last may not have settled yet.
            return (now_ms // step_ms - 2) * step_ms, None
        first_ms = now_ms // step_ms * step_ms - BARS_BACK_MAX * step_ms
        if self._last_ms >= first_ms:
            return self._last_ms, None
        why = "longer ago than is asked for"
        gap = Gap("bars", self.symbol, self._last_ms + step_ms, first_ms, why)
        self._last_ms = first_ms - step_ms
        return first_ms, gap

    def take(self, found: Sequence[Bar]) -> list[Gap]:
        """Note how far these bars reach; the holes that the venue left between them and before them."""
        gaps = []
        for bar in found:
            if self._last_ms is not None and bar.open_time_ms > self._last_ms + self._interval_ms:
                why = "the venue draws no bar"
                gaps.append(Gap("bars", self.symbol, self._last_ms + self._interval_ms, bar.open_time_ms, why))
            self._last_ms = bar.open_time_ms if self._last_ms is None else max(self._last_ms, bar.open_time_ms)
        return gaps
