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


def whole_trades(fetch: Callable[[int, int], Sequence[VenueTrade]], start_ms: int, end_ms: int) -> list[VenueTrade]:
    """All trades in [start_ms, end_ms]; `fetch(start, end)` gives at most 200 of them.

    A full answer is one unbroken run of the interval, at its newer or its older end: what lies before its oldest row
    and what lies after its newest one is asked for again. Raises VenueUnavailable when that does not end.
    """
    found: dict[str, VenueTrade] = {}
    todo = [(start_ms, end_ms)]
    for _ in range(REQUESTS_MAX):
        if not todo:
            return list(found.values())
        first_ms, last_ms = todo.pop()
        rows = fetch(first_ms, last_ms)
        for row in rows:
            found[row.trade_id] = row
        if len(rows) < TRADES_CAP:
            continue
        oldest_ms, newest_ms = min(row.at_ms for row in rows), max(row.at_ms for row in rows)
        # Both ends again, inclusive: other trades may share their millisecond.
        rest = [(first_ms, min(oldest_ms, last_ms)), (max(newest_ms, first_ms), last_ms)]
        if (first_ms, last_ms) in rest:
            raise VenueUnavailable(
                f"BtcTurk lists {len(rows)} trades within {first_ms}..{last_ms} ms and no way to see all"
            )
        todo += [part for part in rest if part[0] <= part[1]]
    raise VenueUnavailable(f"the trade list did not end within {REQUESTS_MAX} requests")


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
