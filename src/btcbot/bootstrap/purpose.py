"""The database and its purpose: what it was made for, what it remembers, and whether it may be traded with."""

from __future__ import annotations

import secrets as tokens
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.bootstrap.meaning import QUOTE_ASSET
from btcbot.config.secrets import RotationState, rotation
from btcbot.domain import money
from btcbot.domain.book import BookIdentity
from btcbot.domain.ledger import Account, Entry, EntryKind, Posting
from btcbot.domain.orders import OPEN, REOPENABLE
from btcbot.errors import Refused
from btcbot.ports import Clock, Log, StateStore
from btcbot.services import named_values, values
from btcbot.services.self_check import Check

if TYPE_CHECKING:
    from btcbot.config.settings import Settings

#: Up to this size the self-check reads the whole database, within a few hundredths of a second.
VERIFY_BYTES_MAX: Final = 4 * 1024 * 1024
FREE_BYTES_MIN: Final = 64 * 1024 * 1024


def bind(store: StateStore, mode: str, host: str, fingerprint: str | None, clock: Clock) -> BookIdentity:
    """Give a new database its purpose, or refuse one that was made for another."""
    identity = store.identity()
    key = fingerprint if mode != "dry_run" else None
    if identity is None:
        identity = BookIdentity(
            book_id=tokens.token_hex(4),
            mode=mode,
            venue_host=host,
            key_fingerprint=key,
            created_at_ms=clock.now_ms(),
        )
        with store.transaction() as tx:
            tx.put_identity(identity)
        return identity
    if identity.mode != mode:
        raise Refused(
            f"STATE_DB_PATH: this database was made for mode {identity.mode} and is never used for {mode}; name another"
        )
    if identity.venue_host != host:
        raise Refused(
            f"STATE_DB_PATH: this database belongs to the venue {identity.venue_host}, not to {host}; name another"
        )
    if identity.key_fingerprint != key:
        raise Refused(
            "STATE_DB_PATH: this database belongs to another API key; if you replaced the key of the same account, "
            "«btcbot db rebind» shows what that means"
        )
    return identity


def demand_key(settings: Settings) -> None:
    """Keys are there. Their form and scopes were checked with the settings."""
    if settings.btcturk_api_key is None or settings.btcturk_api_secret is None:
        raise Refused(
            "BTCTURK_API_KEY and BTCTURK_API_SECRET are needed without DRY_RUN; give them, or a *_FILE for each"
        )


def demand_young_key(settings: Settings, clock: Clock, log: Log) -> None:
    today = datetime.fromtimestamp(clock.now_ms() / 1000, tz=UTC).date()
    age = rotation(
        settings.btcturk_secret_rotated_at,
        today,
        settings.secret_rotation_warn_days,
        settings.btcturk_secret_max_age_days,
    )
    if age.state is RotationState.EXPIRED:
        raise Refused(age.line)
    if age.state is RotationState.WARN:
        log.warning("key_age", line=age.line)


def align_dry_run_balance(store: StateStore, balance: Decimal, clock: Clock) -> None:
    """A dry run's account is a setting: when it changes, the imagined difference is booked as a transfer."""
    if store.value(values.OPENING_AT_MS) is None:
        return
    difference = balance - store.account_balances(Account.VENUE).get(QUOTE_ASSET, money.ZERO)
    if not difference:
        return
    now_ms = clock.now_ms()
    postings = (
        Posting(Account.VENUE, QUOTE_ASSET, difference),
        Posting(Account.TRANSFERS, QUOTE_ASSET, -difference),
    )
    entry = Entry(
        entry_id=f"transfer:dry-run:{now_ms}",
        kind=EntryKind.TRANSFER,
        at_ms=now_ms,
        postings=postings,
        memo="DRY_RUN_TRY_BALANCE was changed",
    )
    with store.transaction() as tx:
        tx.insert_entry(entry)


def symbols_at_stake(settings: Settings, store: StateStore) -> Sequence[str]:
    """The symbols that are traded now, and those that an earlier choice left an order or a position in: where an order
    of ours may work. It is to be asked anew each time, for a universe that is chosen changes."""
    orders = store.orders((*OPEN, *REOPENABLE))
    held = (symbol for symbol, position in store.positions().items() if position.quantity)
    return tuple(dict.fromkeys([*settings.symbols, *(order.symbol for order in orders), *held]))


class NonceMark:
    """The high-water mark of stamps, kept among the database's values."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    def load(self) -> int:
        return named_values.whole_number(self._store, values.NONCE_MARK_MS) or 0

    def save(self, mark_ms: int) -> None:
        with self._store.transaction() as tx:
            tx.put_value(values.NONCE_MARK_MS, str(mark_ms))


def self_checks(store: SqliteStore, database: Path) -> Mapping[str, Check]:
    """What the loop's own self-check looks at. The venue and the key are checked by each cycle's reads."""

    def books() -> str | None:
        if database.stat().st_size > VERIFY_BYTES_MAX:
            return None  # a whole check would hold up trading; opening, each cycle and «btcbot db verify» check too
        findings = store.verify()
        return f"the database contradicts itself: {findings[0]}; see «btcbot db verify»" if findings else None

    def space() -> str | None:
        free = shutil.disk_usage(database.resolve().parent).free
        if free >= FREE_BYTES_MIN:
            return None
        return f"only {free // 1024} KiB are free beside the database; make room before orders are sent"

    return {"books": books, "space": space}
