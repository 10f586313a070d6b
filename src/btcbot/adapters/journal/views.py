"""The live feed's views as a journal has them: each as its difference from the one before.

A view shows every best price of the last seconds, and the next one shows nearly all of them again. What both share is
the same object, so a look finds it without comparing: a book that did not change is its symbol, and of a book that did
only the new prices are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.domain.feed import AccountEvent, FeedBook, FeedView, Top

_NO_BOOKS: Final[Mapping[str, FeedBook]] = {}

#: since_ms, bid, bid_quantity, ask, ask_quantity
TopRow = tuple[int, Decimal, Decimal, Decimal, Decimal]


class BookChange(msgspec.Struct, array_like=True, frozen=True):
    """Of the tops before, `kept` from the one at `dropped` on are there still; `tops` came after them."""

    symbol: str
    dropped: int
    kept: int
    tops: list[TopRow]
    snapshot_at_ms: int
    changed_at_ms: int


class ViewChange(msgspec.Struct, array_like=True, frozen=True):
    """A `FeedView` whose books are symbols (as before) and changes, in their order."""

    connection: int
    alive_at_ms: int | None
    why_down: str
    is_logged_in: bool
    books: list[str | BookChange]
    without_book: Mapping[str, str] = {}
    events: tuple[AccountEvent, ...] = ()
    has_lost_events: bool = False
    why_not_logged_in: str = ""


class ViewWriter:
    """Turns views into changes; remembers the last one."""

    def __init__(self) -> None:
        self._books = _NO_BOOKS

    def change(self, view: FeedView) -> ViewChange:
        before, self._books = self._books, view.books
        return ViewChange(
            view.connection,
            view.alive_at_ms,
            view.why_down,
            view.is_logged_in,
            [
                symbol if (was := before.get(symbol)) is book else _change(was, book)
                for symbol, book in view.books.items()
            ],
            view.without_book,
            view.events,
            view.has_lost_events,
            view.why_not_logged_in,
        )


def _change(before: FeedBook | None, book: FeedBook) -> BookChange:
    tops, old = book.tops, before.tops if before is not None else ()
    first = tops[0]
    dropped = next((at for at, top in enumerate(old) if top is first), len(old))
    kept = 0
    for was, now in zip(old[dropped:], tops, strict=False):
        if was is not now:
            break
        kept += 1
    new = [(top.since_ms, top.bid, top.bid_quantity, top.ask, top.ask_quantity) for top in tops[kept:]]
    return BookChange(book.symbol, dropped, kept, new, book.snapshot_at_ms, book.changed_at_ms)


class ViewReader:
    """Turns changes back into views."""

    def __init__(self) -> None:
        self._books = _NO_BOOKS

    def view(self, change: ViewChange) -> FeedView:
        """Raises LookupError or TypeError for a change that does not follow the last one."""
        books = {}
        for told in change.books:
            book = self._books[told] if isinstance(told, str) else self._book(told)
            books[book.symbol] = book
        self._books = books
        return FeedView(
            connection=change.connection,
            alive_at_ms=change.alive_at_ms,
            why_down=change.why_down,
            is_logged_in=change.is_logged_in,
            books=books,
            without_book=change.without_book,
            events=change.events,
            has_lost_events=change.has_lost_events,
            why_not_logged_in=change.why_not_logged_in,
        )

    def _book(self, change: BookChange) -> FeedBook:
        before = self._books.get(change.symbol)
        kept = before.tops[change.dropped : change.dropped + change.kept] if before is not None else ()
        if len(kept) != change.kept:
            raise LookupError(f"a view of {change.symbol} goes on from prices that were never shown")
        return FeedBook(
            symbol=change.symbol,
            tops=(*kept, *(Top(*row) for row in change.tops)),
            snapshot_at_ms=change.snapshot_at_ms,
            changed_at_ms=change.changed_at_ms,
        )
