"""Reading a capped list whole.

The venue answers at most 200 trades, and an unknown number of orders, without saying that there is more. A list that is
not complete must not look complete: absence of an order is proved by two listings, and a fill that is not listed is a
fill that is not booked. Nothing is assumed here about the order of rows or the number of the first page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from btcbot.adapters.btcturk.wire import ListedOrder
from btcbot.domain.fills import VenueTrade
from btcbot.domain.venue import VenueOrder
from btcbot.errors import VenueUnavailable

#: BtcTurk's staff: at most 200 rows, no paging.
TRADES_CAP: Final = 200
#: The smallest cap ever reported for order listings; fewer rows than this are a whole list under any of them.
ORDERS_CAP_MIN: Final = 25
REQUESTS_MAX: Final = 60
#: Rows of a list that is read in several goes, at most: one that goes on beyond it has no end.
TRADES_KEPT_MAX: Final = 200_000
#: How much of what an earlier go has read the next one reads again: trades may be listed late.
READ_AGAIN_MS: Final = 600_000


class TooLong(VenueUnavailable):
    """A list that does not end within the requests of one go: what was read of it is kept, and the next one goes on."""


class Endless(VenueUnavailable):
    """A list that no number of goes would read whole, as it is listed now."""


class TradeReading:
    """A trade list since `start_ms` that is read in as many goes as it takes.

    A bot that comes back to an account where thousands were traded meanwhile (an older backup, another program with its
    own key) could not read them at once, and beginning anew each time it would never come to the end.
    """

    __slots__ = ("_found", "_todo", "_until_ms", "start_ms")

    def __init__(self, start_ms: int) -> None:
        self.start_ms = start_ms
        self._found: dict[str, VenueTrade] = {}
        self._todo: list[tuple[int, int]] = []
        self._until_ms = start_ms

    def go_on(self, fetch: Callable[[int, int], Sequence[VenueTrade]], end_ms: int) -> list[VenueTrade]:
        """All trades from the start to `end_ms`; `fetch(start, end)` gives at most 200 of them.

        A full answer is one unbroken run of the interval, at its newer or its older end: what lies before its oldest
        row and what lies after its newest one is asked for again. Raises TooLong when that does not end now,
        Endless when it never would, and whatever `fetch` raises: then the next go begins where this one stood.
        """
        # What an earlier go read as the newest may have been listed late: some of it is read again.
        self._todo.append((max(self.start_ms, self._until_ms - READ_AGAIN_MS), end_ms))
        self._until_ms = end_ms
        for _ in range(REQUESTS_MAX):
            if not self._todo:
                return list(self._found.values())
            first_ms, last_ms = self._todo[-1]
            rows = fetch(first_ms, last_ms)
            self._todo.pop()  # not before: where nothing came, it is still to be asked for
            for row in rows:
                self._found[row.trade_id] = row
            if len(rows) < TRADES_CAP:
                continue
            oldest_ms, newest_ms = min(row.at_ms for row in rows), max(row.at_ms for row in rows)
            # Both ends again, inclusive: other trades may share their millisecond.
            rest = [(first_ms, min(oldest_ms, last_ms)), (max(newest_ms, first_ms), last_ms)]
            if (first_ms, last_ms) in rest:
                raise Endless(f"BtcTurk lists {len(rows)} trades within {first_ms}..{last_ms} ms and no way to see all")
            self._todo += [part for part in rest if part[0] <= part[1]]
        if not self._todo:
            return list(self._found.values())
        if len(self._found) > TRADES_KEPT_MAX:
            raise Endless(f"the trade list has more than {TRADES_KEPT_MAX} rows and does not end")
        raise TooLong(f"the trade list did not end within {REQUESTS_MAX} requests; {len(self._found)} trades are read")


def whole_trades(fetch: Callable[[int, int], Sequence[VenueTrade]], start_ms: int, end_ms: int) -> list[VenueTrade]:
    """All trades in [start_ms, end_ms], in one go; see `TradeReading`."""
    return TradeReading(start_ms).go_on(fetch, end_ms)


def whole_orders(fetch: Callable[[int | None, int | None], Sequence[ListedOrder]]) -> list[VenueOrder]:
    """All orders of a listing; `fetch(page, end_s)` gives one page of those placed until `end_s` (None: no such bound).

    Fewer than 25 rows are complete. Otherwise pages are asked until one adds nothing (the first page may be number 0 or
    1, so one repetition is no end), and then older times until nothing is added. Raises VenueUnavailable when neither
    ends.
    """
    found: dict[str, ListedOrder] = {}

    def add(rows: Sequence[ListedOrder]) -> bool:
        before = len(found)
        for row in rows:
            found.setdefault(row.order.venue_order_id, row)
        return len(found) > before

    requests = 1
    rows = fetch(None, None)
    add(rows)
    end_s: int | None = None
    while len(rows) >= ORDERS_CAP_MIN:
        page = 1
        while requests < REQUESTS_MAX:
            requests += 1
            rows = fetch(page, end_s)
            if not add(rows) and (page > 1 or not rows):
                break
            page += 1
        oldest_ms = min((row.placed_at_ms or row.order.updated_at_ms for row in found.values()), default=0)
        # A second more than the oldest row's: whether the bound is inclusive is not documented.
        older_s = oldest_ms // 1000 + 1
        if requests >= REQUESTS_MAX:
            raise VenueUnavailable(f"the order list did not end within {REQUESTS_MAX} requests")
        if end_s is not None and older_s >= end_s:
            break
        end_s = older_s
        requests += 1
        rows = fetch(None, end_s)
        if not add(rows):
            break
    return [row.order for row in found.values()]
