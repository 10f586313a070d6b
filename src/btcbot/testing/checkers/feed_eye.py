"""What the bot has been handed by the live feed, read by code that is none of the bot's.

`FeedEye` sits where the frames come off the wire, after whatever spoiled them, and keeps for each pair the book that
they tell, whether their chain is whole, and whether REST has shown the same lately. From that it says why no order may
leave on a book. It is never stricter than what it is sure of: after a frame that could be read in two ways, it says
nothing of that pair until the next snapshot.

Times are the world's, in milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

#: Best prices of the feed and of REST that lie this far apart in time may be compared.
APART_MS: Final = 2_000
#: No answer is under way so long: one that is so much older than a snapshot was read late, and compares nothing. The
#: bot reckons the venue's clock by answers about the time, which may be slow.
ANSWER_AGE_MS: Final = 10_000 + 1_500
#: How long best prices are remembered.
_TOPS_KEPT_MS: Final = 120_000
_TELLINGS_KEPT: Final = 4
_PAST_KEPT: Final = 8
_BOOK: Final = "[431,"
_CHANGE: Final = "[432,"
_CHANGE_TYPE: Final = 432
_DELETED: Final = 3
_FRAME_MAX: Final = 300_000
_NAMED: Final = re.compile(r'"PS":"([A-Z0-9]+)"')


class _Row(msgspec.Struct):
    P: str
    A: str
    CP: int = 1


class _Body(msgspec.Struct):
    CS: int
    PS: str
    AO: list[_Row]
    BO: list[_Row]


_frame: Final = msgspec.json.Decoder(tuple[int, _Body])


class Top(msgspec.Struct):
    """Best prices, and since when they have stood."""

    since_ms: int
    bid: Decimal
    ask: Decimal


class Batch(msgspec.Struct):
    """Books that REST was asked for one after the other; the bot looks at them when it has all of them."""

    asked_ms: int
    answered_ms: int
    is_clean: bool = True  # each of them was answered, as the venue had it, at the first attempt


class Telling(msgspec.Struct):
    """A book as REST told it."""

    batch: Batch
    made_ms: int
    answered_ms: int
    bid: Decimal
    ask: Decimal


class Book:
    """One pair since its last snapshot. `is_sure` False: a frame came that might be read in two ways."""

    def __init__(self, body: _Body, text: str, now_ms: int) -> None:
        self.counter = body.CS
        self.last = text
        self.snapshot_ms = self.changed_ms = now_ms
        self.broken_ms: int | None = None
        self.is_sure = True
        self.tops: list[Top] = []
        self._sides: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = {}, {}
        self._apply(body, now_ms)

    def change(self, body: _Body, text: str, now_ms: int) -> None:
        if text == self.last:
            return
        if self.counter + 1 != body.CS:
            self._break(now_ms)
            return
        self.counter, self.last, self.changed_ms = body.CS, text, now_ms
        self._apply(body, now_ms)

    def _break(self, now_ms: int) -> None:
        if self.broken_ms is None:
            self.broken_ms = now_ms

    def _apply(self, body: _Body, now_ms: int) -> None:
        try:
            for rows, side in ((body.BO, self._sides[0]), (body.AO, self._sides[1])):
                for row in rows:
                    price = Decimal(row.P)
                    if row.CP == _DELETED:
                        side.pop(price, None)
                    else:
                        side[price] = Decimal(row.A)
                    if price <= 0 or not row.A[:1].isdigit():
                        self.is_sure = False
        except InvalidOperation:
            self.is_sure = False
            return
        bids, asks = self._sides
        if not bids or not asks or (bid := max(bids)) >= (ask := min(asks)):
            self._break(now_ms)
            return
        last = self.tops[-1] if self.tops else None
        if last is None or last.bid != bid or last.ask != ask:
            self.tops.append(Top(now_ms, bid, ask))
            while len(self.tops) > 1 and self.tops[1].since_ms < now_ms - _TOPS_KEPT_MS:
                del self.tops[0]

    def stood(self, from_ms: int, until_ms: int) -> list[Top]:
        """Best prices that stood at some moment between the two."""
        ends = [*(top.since_ms for top in self.tops[1:]), until_ms + 1][: len(self.tops)]
        return [
            top for top, end_ms in zip(self.tops, ends, strict=True) if top.since_ms <= until_ms and end_ms >= from_ms
        ]


class FeedEye:
    """The `Listener` of a story's feeds, and of what REST tells of books beside them."""

    def __init__(self) -> None:
        self.books: dict[str, Book] = {}
        #: Best prices of books that others have replaced since, each with its end.
        self._past: dict[str, list[tuple[Top, int]]] = {}
        self._is_connected = False
        self._heard_ms = self._lost_ms = 0
        self._batch: Batch | None = None
        self._tellings: dict[str, list[Telling]] = {}
        #: What happened to the connection, for the trace: it may be taken and emptied.
        self.news: list[tuple[int, str]] = []
        #: How often anything came of the feed: frames, and connections that began or ended.
        self.tellings = 0

    # -- the feed ------------------------------------------------------------------------------------------------------

    def connected(self, now_ms: int) -> None:
        self.tellings += 1
        self._is_connected, self._heard_ms = True, now_ms
        self.news.append((now_ms, "feed connected"))

    def heard(self, text: str | None, now_ms: int) -> None:
        self.tellings += 1
        self._heard_ms = now_ms
        if text is not None and text.startswith((_CHANGE, _BOOK)):
            self._read(text, now_ms)

    def lost(self, why: str, now_ms: int) -> None:
        self.tellings += 1
        if self._is_connected:
            self._lost_ms = now_ms
        self._is_connected = False
        for symbol in tuple(self.books):
            self._replace(symbol, None, now_ms)
        self.news.append((now_ms, f"feed {why}"))

    def _read(self, text: str, now_ms: int) -> None:
        try:
            if len(text) > _FRAME_MAX:
                raise ValueError
            kind, body = _frame.decode(text)
        except (msgspec.DecodeError, ValueError, RecursionError):
            named = _NAMED.search(text[:200])
            for symbol, book in self.books.items():
                if named is None or named[1] == symbol:
                    book.is_sure = False
            return
        known = self.books.get(body.PS)
        if kind == _CHANGE_TYPE:
            if known is not None:
                known.change(body, text, now_ms)
        elif known is None or known.last != text:
            self._replace(body.PS, Book(body, text, now_ms), now_ms)

    def _replace(self, symbol: str, book: Book | None, now_ms: int) -> None:
        old = self.books.pop(symbol, None)
        if old is not None:
            past = self._past.setdefault(symbol, [])
            past += [(top, now_ms) for top in old.tops[-1:]]
            del past[:-_PAST_KEPT]
        if book is not None:
            self.books[symbol] = book

    # -- REST ----------------------------------------------------------------------------------------------------------

    def new_life(self) -> None:
        """Another process knows nothing of what REST told the last one."""
        self._tellings.clear()
        self._batch = None

    def asks(self, is_book: bool, now_ms: int) -> None:
        """A request leaves; the answer to the last one did or did not come."""
        batch = self._batch
        if not is_book:
            self._batch = None
        elif batch is None:
            self._batch = Batch(now_ms, -1)
        else:
            # An answer that has not come by now was lost, and the book is asked for again.
            batch.is_clean = batch.is_clean and batch.answered_ms >= 0
            batch.answered_ms = -1

    def told(self, symbol: str, bid: Decimal, ask: Decimal, made_ms: int, now_ms: int, *, is_clean: bool) -> None:
        """REST has told this pair's best prices, as they were at `made_ms`. `is_clean` False: somebody on the way has
        changed the answer."""
        batch = self._batch
        if batch is None:
            return
        batch.answered_ms, batch.is_clean = now_ms, batch.is_clean and is_clean
        tellings = self._tellings.setdefault(symbol, [])
        tellings.append(Telling(batch, made_ms, now_ms, bid, ask))
        del tellings[:-_TELLINGS_KEPT]

    def failed(self) -> None:
        """An answer about a book came that nobody could trade on."""
        if self._batch is not None:
            self._batch.is_clean = False

    def stood_still(self, now_ms: int) -> None:
        """The process did, until now: an answer that came just before may have been read only after, as were the
        frames that came meanwhile."""
        batch = self._batch
        if batch is None or batch.answered_ms < 0:
            return
        for tellings in self._tellings.values():
            if tellings[-1].batch is batch and tellings[-1].answered_ms == batch.answered_ms:
                tellings[-1].answered_ms = now_ms
        batch.answered_ms = now_ms

    # -- judgement -----------------------------------------------------------------------------------------------------

    def why_not(self, symbol: str, now_ms: int, margin_ms: int, silence_ms: int, check_ms: int) -> str | None:
        """Why no order may leave on what the feed shows of this pair; None where it may, or cannot be said.

        What is younger than `margin_ms` may have happened after the bot's last look.
        """
        if not self._is_connected:
            return "has no connection" if now_ms - self._lost_ms > margin_ms else None
        if now_ms - self._heard_ms > silence_ms + margin_ms:
            return f"gave its last sign of life {now_ms - self._heard_ms} ms ago"
        book = self.books.get(symbol)
        if book is None:
            return "shows no book of it"
        if not book.is_sure:
            return None
        if book.broken_ms is not None:
            return (
                "misses a change of it, or shows what can be no book" if now_ms - book.broken_ms > margin_ms else None
            )
        agreed_ms, differed_ms = self._agreed(symbol, book, now_ms, margin_ms)
        if differed_ms is not None:
            return f"showed another book of it than REST {now_ms - differed_ms} ms ago"
        if agreed_ms is None:
            return (
                "has shown a book that was never compared with REST" if now_ms - book.snapshot_ms > margin_ms else None
            )
        if now_ms - agreed_ms > check_ms + margin_ms:
            return f"was last compared with REST {now_ms - agreed_ms} ms ago"
        silent_ms = now_ms - max(book.changed_ms, agreed_ms)
        if silent_ms > silence_ms + margin_ms:
            return f"was silent of it for {silent_ms} ms, and no comparison came before the order"
        return None

    def tops(self, symbol: str, from_ms: int, now_ms: int) -> Sequence[Top] | None:
        """Best prices that the feed has shown since then; None where that cannot be said."""
        book = self.books.get(symbol)
        if book is None or not book.is_sure:
            return None
        past = [top for top, until_ms in self._past.get(symbol, ()) if until_ms >= from_ms]
        return [*book.stood(from_ms, now_ms), *past]

    def _agreed(self, symbol: str, book: Book, now_ms: int, margin_ms: int) -> tuple[int | None, int | None]:
        """When REST last showed the same, or when it showed something else after that."""
        for telling in reversed(self._tellings.get(symbol, ())):
            batch = telling.batch
            answered_ms = max(batch.answered_ms, telling.answered_ms)
            if min(answered_ms, telling.made_ms + ANSWER_AGE_MS) < book.snapshot_ms:
                break
            from_ms, until_ms = batch.asked_ms - APART_MS - 1, answered_ms + APART_MS + 1
            if _shows(book.stood(from_ms, until_ms), telling):
                return answered_ms, None
            is_final = batch.is_clean and batch.answered_ms >= 0 and telling.answered_ms >= book.snapshot_ms
            if is_final and now_ms - until_ms > margin_ms:
                return None, answered_ms
        return None, None


def _shows(tops: Sequence[Top], telling: Telling) -> bool:
    """What comes and goes within a batch of the feed is never shown by it: each side has to lie in the stretch over
    which the feed's best price moved."""
    return (
        bool(tops)
        and min(top.bid for top in tops) <= telling.bid <= max(top.bid for top in tops)
        and min(top.ask for top in tops) <= telling.ask <= max(top.ask for top in tops)
    )
