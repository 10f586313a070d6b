"""What the live feed shows: books kept from it, whether its connection lives, and what it tells of our own account.

All times in this module are *monotonic* milliseconds of our clock: the feed's frames carry no time of the venue, and an
age must not change when the wall clock is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec


class Top(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask, and since when they have stood."""

    since_ms: int
    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal


class FeedBook(msgspec.Struct, frozen=True, kw_only=True):
    """A book whose chain of changes is unbroken since its snapshot; one with a gap is not shown at all.

    `tops` are the best prices of the last seconds, oldest first, the present one last; never empty. `changed_at_ms` is
    when the last frame of this pair arrived: a quiet pair has an old one and is not stale for that.
    """

    symbol: str
    tops: tuple[Top, ...]
    snapshot_at_ms: int
    changed_at_ms: int

    @property
    def top(self) -> Top:
        return self.tops[-1]


class AccountEventKind(StrEnum):
    """What the venue told of our account."""

    FILL = "fill"  # 423: a trade of ours, with its id
    MATCH = "match"  # 441: an order of ours met another
    INSERTED = "inserted"  # 451
    DELETED = "deleted"  # 452: the final word on a cancel request
    UPDATED = "updated"  # 453
    BALANCE = "balance"  # 201


class AccountEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A hint that something happened: it is never booked, it says where to look. Ids are None where none was told."""

    kind: AccountEventKind
    received_at_ms: int
    symbol: str | None = None
    venue_order_id: str | None = None
    client_order_id: str | None = None
    trade_id: str | None = None


class FeedView(msgspec.Struct, frozen=True, kw_only=True):
    """The feed as it stands at one moment.

    `connection` counts connections: another number means that everything in between may have been missed. `alive_at_ms`
    is when the connection last proved that it lives (any frame or pong), None while there is none. `without_book` tells
    for each wanted symbol that has no book why. `why_not_logged_in` is empty when we are, and when there is no key to
    log in with. `events` are those since the last look, oldest first; `has_lost_events` tells that there were more than
    the feed keeps, or that some may have been missed: after every connection, login and end of either.
    """

    connection: int
    alive_at_ms: int | None
    why_down: str
    is_logged_in: bool
    books: Mapping[str, FeedBook]
    without_book: Mapping[str, str]
    events: tuple[AccountEvent, ...] = ()
    has_lost_events: bool = False
    why_not_logged_in: str = ""


class Wake(StrEnum):
    """Why a wait ended."""

    TIME = "time"
    STOP = "stop"
    MARKET = "market"  # the best price of a wanted symbol changed
    ACCOUNT = "account"  # the venue told something of our account, or the feed came back
