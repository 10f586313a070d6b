"""What a database is, and what it is still wondering about."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class BookIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What a database is for, fixed when it is made: `mode` dry_run|paper|live|demo, one venue, one API key.

    A dry-run database never becomes a live one, and a demo database never arms against another venue.
    """

    book_id: str
    mode: str
    venue_host: str
    key_fingerprint: str | None
    created_at_ms: int


class Discrepancy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Venue minus books in one asset, not yet explained; kept so that a restart does not forget it."""

    asset: str
    amount: Decimal
    first_seen_ms: int
    seen_count: int
