"""What a performance stands on, made once for thousands of them: an empty database, and the caps of its settings."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Final

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.config.loading import load_settings
from btcbot.config.secrets import Secret, key_fingerprint
from btcbot.domain import money
from btcbot.domain.book import BookIdentity
from btcbot.testing.manual_clock import EPOCH_MS
from btcbot.testing.swarm import Limits

BOOK_ID: Final = "57071e50"


@cache
def blank(key: str, mode: str) -> bytes:
    """A database that has been made for this key and has seen nothing yet."""
    money.arm()
    store = SqliteStore.in_memory()
    identity = BookIdentity(
        book_id=BOOK_ID,
        mode=mode,
        venue_host="127.0.0.1",
        key_fingerprint=None if mode == "dry_run" else key_fingerprint(Secret(key)),
        created_at_ms=EPOCH_MS,
    )
    with store.transaction() as tx:
        tx.put_identity(identity)
    image = store.image()
    store.close()
    return image


@lru_cache(maxsize=256)
def limits(environment: tuple[tuple[str, str], ...]) -> Limits:
    """The caps that these settings mean, for those who check them."""
    read = load_settings(dict(environment), default_env_file=None).settings
    return Limits(
        orders_per_cycle=read.max_orders_per_cycle,
        open_per_symbol=read.max_open_orders_per_symbol,
        per_order=read.max_notional_per_order_try,
        per_cycle=read.notional_cap_try_per_cycle,
        position=read.max_position_try_per_symbol,
        exposure=read.max_total_exposure_try,
        collar_bps=read.price_collar_bps,
        quote_age_ms=read.max_market_data_age_ms,
    )
