"""Whether a book that was kept from the feed may be traded on.

A feed tells only what changed. So a book is believed while three things hold together (settled with the exchange's own
habits in mind: its frames carry no time and no checksum): the connection proves that it lives, the chain of changes is
whole since the snapshot, and the venue's REST interface showed the same best prices not long ago. A quiet pair is not a
stale pair; but before an order on one that has been silent, the comparison has to be a fresh one.

All times are monotonic milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from btcbot.domain.feed import FeedBook, FeedView

#: The feed sends changes in batches of about three quarters of a second, REST answers may be cached as long: best
#: prices that far apart in time are compared as if they were of one moment.
APART_MS = 2_000
#: A request is given up long before its answer is so old. Where one is all the same, the process stood still before it
#: read it, and a book that came meanwhile is not compared with it.
ANSWER_AGE_MS_MAX = 10_000
#: Comparisons are renewed when so much of their time has passed, so that trust does not end between two of them.
RENEW_TENTHS = 7


class TrustLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`silence_ms_max`: without any sign of life; also how old a comparison may be before an order on a silent pair.
    `check_ms_max`: how long a comparison is believed."""

    silence_ms_max: int
    check_ms_max: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Best prices as REST told them, when it was asked and answered, and when the venue made the answer."""

    symbol: str
    bid: Decimal
    ask: Decimal
    asked_at_ms: int
    answered_at_ms: int
    made_at_ms: int


class Finding(StrEnum):
    """What a comparison says of a book."""

    AGREES = "agrees"
    DIFFERS = "differs"
    TOO_EARLY = "too_early"  # the feed may still catch up with what REST showed
    VOID = "void"  # the book is younger than the answer


def compare(comparison: Comparison, book: FeedBook, now_ms: int) -> Finding:
    """Are REST's best prices among those that the book showed at about that time?

    A batch of the feed swallows what came and went within it, and REST may show just that. So they agree when each side
    lies within what the feed showed: on a quiet pair one price, on a moving one the stretch it moved over.
    """
    earliest_ms = comparison.asked_at_ms - APART_MS
    latest_ms = comparison.answered_at_ms + APART_MS
    if book.snapshot_at_ms > min(comparison.answered_at_ms, comparison.made_at_ms + ANSWER_AGE_MS_MAX):
        return Finding.VOID
    untils = [*(top.since_ms for top in book.tops[1:]), now_ms]
    stood = [
        top
        for top, until_ms in zip(book.tops, untils, strict=True)
        if top.since_ms <= latest_ms and until_ms >= earliest_ms
    ]
    bids, asks = [top.bid for top in stood], [top.ask for top in stood]
    if stood and min(bids) <= comparison.bid <= max(bids) and min(asks) <= comparison.ask <= max(asks):
        return Finding.AGREES
    return Finding.TOO_EARLY if now_ms <= latest_ms else Finding.DIFFERS


def distrust(
    symbol: str, view: FeedView, compared_at_ms: Mapping[str, int], limits: TrustLimits, now_ms: int
) -> str | None:
    """Why this symbol's book may not be traded on, for people; None when it may."""
    if view.alive_at_ms is None:
        return f"the feed is down: {view.why_down}"
    silent_ms = now_ms - view.alive_at_ms
    if silent_ms > limits.silence_ms_max:
        return f"the feed has given no sign of life for {silent_ms} ms"
    book = view.books.get(symbol)
    if book is None:
        return view.without_book.get(symbol, "the feed shows no book of it")
    at_ms = compared_at_ms.get(symbol)
    if at_ms is None or at_ms < book.snapshot_at_ms:
        return "its book has not yet been compared with REST"
    if now_ms - at_ms > limits.check_ms_max:
        return f"its book was last compared with REST {now_ms - at_ms} ms ago"
    return None


def is_silent(book: FeedBook, compared_at_ms: int, limits: TrustLimits, now_ms: int) -> bool:
    """Whether neither the feed nor a comparison has shown this book lately: then an order wants a comparison first."""
    return now_ms - max(book.changed_at_ms, compared_at_ms) > limits.silence_ms_max


def due(
    symbols: Sequence[str], view: FeedView, compared_at_ms: Mapping[str, int], limits: TrustLimits, now_ms: int
) -> Sequence[str]:
    """Symbols whose books want a comparison, the one compared longest ago first."""
    renew_ms = limits.check_ms_max * RENEW_TENTHS // 10
    wanting = [
        (at_ms, symbol)
        for symbol in symbols
        if (book := view.books.get(symbol)) is not None
        and ((at_ms := compared_at_ms.get(symbol, -1)) < book.snapshot_at_ms or now_ms - at_ms >= renew_ms)
    ]
    return [symbol for _, symbol in sorted(wanting)]
