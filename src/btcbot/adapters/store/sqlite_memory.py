"""Databases in memory, each a copy of one that was made before: for tests, simulations and backtests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from btcbot.adapters.store.library import PREFERRED, Connection
from btcbot.adapters.store.sqlite_opening import STATEMENTS_MAX, guard


def open_memory() -> Connection:
    """A connection to a new database that has nothing in it, not even a schema."""
    # Copies may be taken in any thread; SQLite itself is built to serialize that.
    connection: Connection = PREFERRED.module.connect(
        ":memory:", isolation_level=None, cached_statements=STATEMENTS_MAX, check_same_thread=False
    )
    guard(connection)
    return connection


def copy_in_memory(template: Connection) -> Connection:
    """A connection to a copy of another connection's database."""
    connection = open_memory()
    template.backup(connection)
    return connection


@cache
def empty() -> Connection:
    """A connection to a database without any books: the template of all that begin empty."""
    from btcbot.adapters.store.migrate import migrate

    connection = open_memory()
    migrate(connection, PREFERRED)
    return connection


class Images:
    """The images read last, each as a database in memory from which copies are made in microseconds."""

    SIZE_MAX: Final = 4

    def __init__(self, load: Callable[[bytes], Connection]) -> None:
        """`load` makes a connection to a database in memory from the bytes of a file."""
        self._load = load
        self._read: dict[bytes, Connection] = {}

    def connection(self, image: bytes) -> Connection:
        found = self._read.get(image)
        if found is None:
            if len(self._read) >= self.SIZE_MAX:
                oldest = next(iter(self._read))
                self._read.pop(oldest).close()
            found = self._read[image] = self._load(image)
        return found
