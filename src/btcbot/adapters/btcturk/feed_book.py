"""The book of one pair, kept from a snapshot (431) and the changes after it (432).

The frames carry no time and no checksum; what says that nothing is missing is their count. So a book is `whole` from
its snapshot until the first change that does not follow, or that leads to a book that cannot be: then it is broken,
says why, and stays so until it is begun anew. A broken book is never shown.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from btcbot.adapters.btcturk.feed_frames import BookDiff, BookSnapshot, Change, ChangeKind, Level
from btcbot.domain.feed import FeedBook, Top

#: How long best prices are remembered, for comparison with an answer that was asked for in the meantime.
TOPS_KEPT_MS: Final = 5_000
#: And how many of them at most, should they change without end.
TOPS_MAX: Final = 64
#: Levels of each side that the venue shows; what lies beyond is forgotten here as well.
WINDOW: Final = 100


class Doubt(StrEnum):
    """What a book was given up for. The values are labels of a metric."""

    BEGINNING = "beginning"  # there was none yet
    GAP = "gap"  # a change is missing
    IMPOSSIBLE = "impossible"  # crossed, empty, a price twice
    UNASKED = "unasked"  # a snapshot out of turn
    UNREADABLE = "unreadable"  # a frame was lost that may have been a change of it
    MISSING = "missing"  # BtcTurk said ok, and then nothing
    REFUSED = "refused"  # BtcTurk said no
    COMPARED = "compared"  # the core saw it differ from the venue's
    OFFLINE = "offline"  # the connection is gone


class Depth(msgspec.Struct, frozen=True, gc=False):
    """The best levels of a book, the best ones first."""

    asks: tuple[Level, ...]
    bids: tuple[Level, ...]


class _Side:
    """One side: prices and quantities side by side, by price ascending. No hashing: finding a decimal by bisection is
    cheaper."""

    __slots__ = ("is_ask", "odd", "prices", "quantities")

    def __init__(self, levels: tuple[Level, ...], *, is_ask: bool) -> None:
        ordered = sorted((level.price, level.quantity) for level in levels)
        self.prices: list[Decimal] = [price for price, _ in ordered]
        self.quantities: list[Decimal] = [quantity for _, quantity in ordered]
        self.is_ask = is_ask
        self.odd = 0

    def apply(self, changes: tuple[Change, ...]) -> None:
        prices, quantities = self.prices, self.quantities
        for change in changes:
            price = change.price
            at = bisect_left(prices, price)
            is_known = at < len(prices) and prices[at] == price
            if change.kind is ChangeKind.DELETE:
                if is_known:
                    del prices[at], quantities[at]
                else:
                    self.odd += 1  # seen in 2020 and 2022: deletions of levels that were never shown
            elif is_known:
                if change.kind is ChangeKind.INSERT:
                    self.odd += 1
                quantities[at] = change.quantity
            else:
                if change.kind is ChangeKind.UPDATE:
                    self.odd += 1
                prices.insert(at, price)
                quantities.insert(at, change.quantity)
        if len(prices) > WINDOW:
            beyond = slice(WINDOW, None) if self.is_ask else slice(0, len(prices) - WINDOW)
            del prices[beyond], quantities[beyond]

    def best(self) -> tuple[Decimal, Decimal]:
        at = 0 if self.is_ask else -1
        return self.prices[at], self.quantities[at]

    def levels(self, count: int) -> tuple[Level, ...]:
        pairs = list(zip(self.prices, self.quantities, strict=True))
        if not self.is_ask:
            pairs.reverse()
        return tuple(Level(price, quantity) for price, quantity in pairs[:count])


class LocalBook:
    """The book of `symbol`. Empty and broken until `begin`; all times are monotonic milliseconds, handed in."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        #: Why the book may not be shown; empty when it may.
        self.why_broken = "no snapshot yet"
        self.doubt = Doubt.BEGINNING
        #: What was odd and harmless so far: changes that do not fit what is known, frames that came twice.
        self.odd: Counter[str] = Counter()
        self._asks = _Side((), is_ask=True)
        self._bids = _Side((), is_ask=False)
        self._sequence = 0
        self._last: BookSnapshot | BookDiff | None = None
        self._tops: deque[Top] = deque(maxlen=TOPS_MAX)
        self._snapshot_at_ms = 0
        self._changed_at_ms = 0
        self._shown: FeedBook | None = None

    @property
    def is_whole(self) -> bool:
        return not self.why_broken

    def begin(self, snapshot: BookSnapshot, now_ms: int) -> bool:
        """Start from this snapshot, whatever was before. True when the best price is another one than before."""
        before = self._tops[-1] if self._tops and self.is_whole else None
        self._forget()
        for side, levels in (("ask", snapshot.asks), ("bid", snapshot.bids)):
            if len({level.price for level in levels}) != len(levels):
                self.break_off(Doubt.IMPOSSIBLE, f"the snapshot holds the same {side} price twice")
                return False
        self._asks, self._bids = _Side(snapshot.asks, is_ask=True), _Side(snapshot.bids, is_ask=False)
        self._sequence, self._last = snapshot.sequence, snapshot
        self._snapshot_at_ms = now_ms
        self.why_broken = ""
        self._judge(now_ms)
        return self.is_whole and (before is None or not _same_prices(before, self._tops[-1]))

    def again(self, snapshot: BookSnapshot, now_ms: int) -> None:
        """A snapshot that nobody asked for. The very one that the book stands on came twice; any other breaks it: it
        may be an old one, and a book must not go back in time."""
        if snapshot == self._last:
            self.odd["twice"] += 1
            self._changed_at_ms, self._shown = now_ms, None
        else:
            self.break_off(Doubt.UNASKED, "a snapshot came that was not asked for")

    def apply(self, diff: BookDiff, now_ms: int) -> bool:
        """The next change. True when the best price changed. Nothing happens to a book that is broken."""
        if self.why_broken:
            return False
        if diff.sequence != self._sequence + 1:
            if diff == self._last:
                self.odd["twice"] += 1
            else:
                self.break_off(Doubt.GAP, f"a gap: change {diff.sequence} came after {self._sequence}")
            return False
        self._sequence, self._last = diff.sequence, diff
        self._asks.apply(diff.asks)
        self._bids.apply(diff.bids)
        if self._asks.odd or self._bids.odd:
            self.odd["level"] += self._asks.odd + self._bids.odd
            self._asks.odd = self._bids.odd = 0
        return self._judge(now_ms)

    def break_off(self, doubt: Doubt, why: str) -> None:
        """The book can no longer be trusted. The newest reason is told."""
        self.doubt, self.why_broken = doubt, why
        self._forget()

    def shown(self, now_ms: int) -> FeedBook | None:
        """The book as the core sees it, None while it is broken."""
        if self.why_broken:
            return None
        if len(self._tops) > 1 and self._tops[1].since_ms <= now_ms - TOPS_KEPT_MS:
            self._drop_old_tops(now_ms)
            self._shown = None
        if self._shown is None:
            self._shown = FeedBook(
                symbol=self.symbol,
                tops=tuple(self._tops),
                snapshot_at_ms=self._snapshot_at_ms,
                changed_at_ms=self._changed_at_ms,
            )
        return self._shown

    def depth(self, levels: int) -> Depth | None:
        """The best `levels` of both sides, None while the book is broken."""
        if self.why_broken:
            return None
        return Depth(self._asks.levels(levels), self._bids.levels(levels))

    # -- inside --------------------------------------------------------------------------------------------------------

    def _judge(self, now_ms: int) -> bool:
        """After a change: can this be a book? True when it can and its best price is a new one."""
        self._changed_at_ms, self._shown = now_ms, None
        if not self._asks.prices or not self._bids.prices:
            self.break_off(Doubt.IMPOSSIBLE, f"it has no {'bids' if self._asks.prices else 'asks'}")
            return False
        ask, ask_quantity = self._asks.best()
        bid, bid_quantity = self._bids.best()
        if bid >= ask:
            self.break_off(Doubt.IMPOSSIBLE, f"it is crossed: bid {bid}, ask {ask}")
            return False
        last = self._tops[-1] if self._tops else None
        if (
            last is not None
            and last.bid == bid
            and last.ask == ask
            and last.bid_quantity == bid_quantity
            and last.ask_quantity == ask_quantity
        ):
            return False
        top = Top(now_ms, bid, bid_quantity, ask, ask_quantity)
        self._tops.append(top)
        self._drop_old_tops(now_ms)
        return last is None or not _same_prices(last, top)

    def _drop_old_tops(self, now_ms: int) -> None:
        """Those that another had replaced before the span that is kept."""
        while len(self._tops) > 1 and self._tops[1].since_ms <= now_ms - TOPS_KEPT_MS:
            self._tops.popleft()

    def _forget(self) -> None:
        self._tops.clear()
        self._last = None
        self._shown = None
        self._asks, self._bids = _Side((), is_ask=True), _Side((), is_ask=False)


def _same_prices(one: Top, other: Top) -> bool:
    return one.bid == other.bid and one.ask == other.ask
