"""What a world stands on: a prepared database, a fast folder, a silent log, a client that knows its venue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from btcbot.adapters.btcturk import listing
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.config.secrets import Secret, key_fingerprint
from btcbot.domain import money
from btcbot.domain.book import BookIdentity
from btcbot.testing.manual_clock import EPOCH_MS

BOOK_ID: Final = "5eed5eed"


@cache
def prepared_image(key: str) -> bytes:
    """A database that has been made for this key and has seen nothing yet."""
    money.arm()
    store = SqliteStore.in_memory()
    with store.transaction() as tx:
        tx.put_identity(
            BookIdentity(
                book_id=BOOK_ID,
                mode="demo",
                venue_host="127.0.0.1",
                key_fingerprint=key_fingerprint(Secret(key)),
                created_at_ms=EPOCH_MS,
            )
        )
    image = store.image()
    store.close()
    return image


def fast_folder() -> Path | None:
    """Where files cost nothing, if there is such a place."""
    memory = Path("/dev/shm")  # noqa: S108 # nosec B108 (a folder of its own is made in it)
    return memory if memory.is_dir() else None


@contextmanager
def trades_told_at_once(rows: int) -> Iterator[None]:
    """The client knows by heart how many trades its venue tells at most; here it knows a venue that tells so many."""
    before = listing.TRADES_CAP
    _know(rows)
    try:
        yield
    finally:
        _know(before)


def _know(rows: int) -> None:
    setattr(listing, "TRADES_CAP", rows)  # noqa: B010 (a constant, but for this)


class NoLog:
    """`Log` that keeps nothing."""

    def debug(self, event: str, **fields: object) -> None:
        """Gone."""

    info = warning = error = debug
