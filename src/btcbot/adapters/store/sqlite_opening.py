"""Opening a SQLite database: check first and touch later, so that a file that is not ours stays as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from btcbot.adapters.store import revision
from btcbot.adapters.store.library import Connection, Library
from btcbot.adapters.store.queries import Dialect, load
from btcbot.adapters.store.sql import one_line
from btcbot.adapters.store.sqlite_failures import CANNOT_OPEN, CANNOT_WRITE, NOT_A_DATABASE, code_of, errors_of, told
from btcbot.errors import Refused, StoreFailed

BUSY_TIMEOUT_MS: Final = 5_000
#: Up to this size the whole file is checked at opening; above it the books, and not the reports of past cycles.
WHOLE_CHECK_BYTES_MAX: Final = 64 * 1024 * 1024
_BOOKS: Final = (
    "identity",
    "orders",
    "holds",
    "fills",
    "entries",
    "postings",
    "account_balances",
    "positions",
    "discrepancies",
    "named_values",
)
#: How SQLite begins what it tells of damage, on a line of its own.
_DAMAGE_HEADING: Final = "*** in database"
#: More than are ever asked of one connection: each is prepared once.
STATEMENTS_MAX: Final = len(load(Dialect.SQLITE)) + 16


def connect(
    path: Path, library: Library, busy_timeout_ms: int, *, read_only: bool, immutable: bool = False
) -> Connection:
    """A connection that makes no file by itself. `immutable`: nobody can write meanwhile, so nothing is locked."""
    with told(library, path.parent):
        connection: Connection = library.module.connect(
            f"{path.as_uri()}?mode={'ro' if read_only else 'rw'}{'&immutable=1' if immutable else ''}",
            uri=True,
            timeout=busy_timeout_ms / 1000,
            isolation_level=None,
            cached_statements=STATEMENTS_MAX,
        )
    guard(connection)
    return connection


def guard(connection: Connection) -> None:
    """What every connection is told first."""
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cell_size_check = ON")  # damaged pages are told when they are read
    connection.execute("PRAGMA trusted_schema = OFF")  # a schema that somebody tampered with calls nothing


def cannot_be_shared(connection: Connection, library: Library, path: Path) -> bool:
    """Whether SQLite cannot read because it may not make the files beside the database that keep readers apart."""
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except errors_of(library) as error:
        return code_of(error) in (CANNOT_WRITE, CANNOT_OPEN) and not os.access(path.parent, os.W_OK)
    return False


def demand_ours(connection: Connection, library: Library, path: Path, *, read_only: bool) -> None:
    """Refuse what is no database of a btcbot, is damaged, or is of a revision that cannot be used. Writes nothing."""
    try:
        application_id = pragma(connection, "application_id")
        is_empty = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except errors_of(library) as error:
        if code_of(error) == NOT_A_DATABASE:
            raise Refused(
                f"{path} is not a SQLite database: give the path of btcbot's own, or of a new file"
            ) from error
        raise
    if is_empty and application_id in (0, revision.APPLICATION_ID):
        # Just made, or its making was cut short before anything was committed.
        if read_only:
            raise Refused(f"{path} is empty: start the bot once, which makes the database")
        return
    if application_id != revision.APPLICATION_ID:
        raise Refused(
            f"{path} is a SQLite database of another program: give the path of btcbot's own, or of a new file"
        )
    damage = _damage(connection)
    if damage:
        raise StoreFailed(f"{path} is damaged ({damage}): keep a copy of it and restore a backup")
    told = revision_of(connection, path)
    if told not in revision.KNOWN:
        raise Refused(
            f"{path} was made by a newer btcbot, revision {told}; this one knows {revision.HEAD}: install the newer one"
        )
    if read_only and told != revision.HEAD:
        raise Refused(
            f"{path} was made by an older btcbot, revision {told}; this one reads {revision.HEAD}: "
            "start the bot once, which migrates the database"
        )


def revision_of(connection: Connection, path: Path) -> str:
    """The revision of the schema."""
    has_table = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    row = has_table and connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if not row:
        raise StoreFailed(f"{path} does not tell its schema revision: restore a backup")
    return str(row[0])


def _damage(connection: Connection) -> str:
    """The first sign of damage, an empty string for none."""
    size = pragma(connection, "page_count") * pragma(connection, "page_size")
    checks = ["quick_check(1)"] if size <= WHOLE_CHECK_BYTES_MAX else [f"quick_check({table})" for table in _BOOKS]
    told = (connection.execute(f"PRAGMA {check}").fetchone()[0] for check in checks)
    return next((line for text in told for line in signs_of_damage(text)), "")


def signs_of_damage(told: str) -> list[str]:
    """What a check of SQLite tells, a line for each thing; nothing for `ok`."""
    lines = [one_line(line) for line in told.splitlines() if not line.startswith(_DAMAGE_HEADING)]
    return [] if told == "ok" else [line for line in lines if line]


def keep_durably(connection: Connection, library: Library) -> None:
    """From now on a commit returns when it is on the disk."""
    wanted = "wal" if library.is_wal_safe else "delete"
    if pragma(connection, "journal_mode") != wanted:
        connection.execute(f"PRAGMA journal_mode = {wanted}")
        if pragma(connection, "journal_mode") != wanted:
            raise StoreFailed(f"the file system of the database cannot do journal_mode={wanted}: use a local disk")
    connection.execute(f"PRAGMA synchronous = {'FULL' if library.is_wal_safe else 'EXTRA'}")


def pragma(connection: Connection, name: str) -> Any:
    """What SQLite answers to a pragma of one value."""
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
