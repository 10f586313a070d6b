"""The paper venue's memory as a file beside the bot's database: a small database of its own.

The bot's books and this file are two parties, as with any venue: the bot may die between the two, and finds out at its
next start what the venue took in, from the venue's lists. One unit of this file is one step of the venue: the orders it
changed, its fills, the balances, and up to where public trades were used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from btcbot.adapters.paper.matching import PaperOrder
from btcbot.adapters.paper.records import Saved
from btcbot.adapters.store import files
from btcbot.adapters.store.library import PREFERRED, Connection
from btcbot.adapters.store.rows import Row
from btcbot.domain import money
from btcbot.domain.account import Balance
from btcbot.domain.fills import VenueTrade
from btcbot.errors import Refused, StoreFailed

#: What follows the name of the bot's database.
SUFFIX: Final = ".venue"
#: Of the tables below and of what stands in their rows.
VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE about (version INTEGER NOT NULL, book_id TEXT NOT NULL, opening TEXT NOT NULL, state TEXT NOT NULL);
CREATE TABLE orders (
    number INTEGER PRIMARY KEY, venue_order_id TEXT NOT NULL UNIQUE, client_order_id TEXT NOT NULL UNIQUE,
    symbol TEXT NOT NULL, is_open INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL, row TEXT NOT NULL
);
CREATE INDEX open_orders ON orders (symbol) WHERE is_open;
CREATE INDEX orders_by_time ON orders (symbol, updated_at_ms);
CREATE TABLE trades (
    trade_id TEXT PRIMARY KEY, venue_order_id TEXT NOT NULL, at_ms INTEGER NOT NULL, row TEXT NOT NULL
);
CREATE INDEX trades_by_time ON trades (at_ms);
CREATE INDEX trades_by_order ON trades (venue_order_id);
"""
_ORDER: Final = msgspec.json.Decoder(PaperOrder)
_TRADE: Final = msgspec.json.Decoder(VenueTrade)
_SAVED: Final = msgspec.json.Decoder(Saved)


def path_beside(database: Path) -> Path:
    """Where the paper venue of this database keeps its file."""
    return database.with_name(database.name + SUFFIX)


class FileRecords:
    """`Records` in a file. One process writes it: the one that holds the writer lock of the bot's database."""

    def __init__(self, path: Path, connection: Connection) -> None:
        self._path = path
        self._connection = connection
        #: Set by a write that failed: the venue in memory knows more than the file, so nothing of it may be told.
        self._failed: str | None = None

    @classmethod
    def open(cls, path: Path, book_id: str, opening: Mapping[str, Decimal], *, is_new_book: bool) -> FileRecords:
        """The file at `path`, made where the bot's books are new. Raises Refused where the two do not belong together.

        `opening` is what a new account begins with; one that was made before keeps what it has.
        """
        if is_new_book and not path.exists():
            files.create(path)
        elif not path.exists():
            raise Refused(
                f"the paper venue's file {path} is missing, and the database beside it has traded there; bring the "
                "file back, or begin anew with another STATE_DB_PATH"
            )
        files.demand_usable(path, read_only=False)
        records = cls(path, PREFERRED.module.connect(str(path), isolation_level=None, timeout=5.0))
        with ExitStack() as undo:
            undo.callback(records.close)
            records._prepare(book_id, opening)
            undo.pop_all()  # the file stays open
        return records

    def _prepare(self, book_id: str, opening: Mapping[str, Decimal]) -> None:
        try:
            self._connection.execute("PRAGMA journal_mode=DELETE")
            self._connection.execute("PRAGMA synchronous=EXTRA")
            if not self._all("SELECT 1 FROM sqlite_master"):
                self._make(book_id, opening)
            version, owner = self._all("SELECT version, book_id FROM about")[0]
        except (PREFERRED.module.Error, IndexError) as error:
            raise StoreFailed(f"the paper venue's file {self._path} cannot be read: {error}") from error
        if version != VERSION:
            raise Refused(f"the paper venue's file {self._path} is of version {version}; this btcbot reads {VERSION}")
        if owner != book_id:
            raise Refused(
                f"the paper venue's file {self._path} belongs to another database; give each database its own name, "
                "or move that file away to begin anew"
            )

    def _make(self, book_id: str, opening: Mapping[str, Decimal]) -> None:
        balances = {asset: Balance(asset, amount, money.ZERO) for asset, amount in opening.items()}
        saved = Saved(balances=balances, marks={}, taken={})
        self._connection.execute("BEGIN IMMEDIATE")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            self._connection.execute(statement)
        row = (VERSION, book_id, _text({asset: money.plain(amount) for asset, amount in opening.items()}), _text(saved))
        self._connection.execute("INSERT INTO about VALUES (?, ?, ?, ?)", row)
        self._connection.execute("COMMIT")

    # -- Records -------------------------------------------------------------------------------------------------------

    def load(self) -> tuple[Saved, Sequence[PaperOrder]]:
        """See `Records`. Raises StoreFailed where the file contradicts itself."""
        saved = _SAVED.decode(self._read("SELECT state FROM about")[0][0])
        resting = [_ORDER.decode(row) for (row,) in self._read("SELECT row FROM orders WHERE is_open ORDER BY number")]
        locked: dict[str, Decimal] = {}
        for order in resting:
            locked[order.locked_asset] = locked.get(order.locked_asset, money.ZERO) + order.locked
        for asset, balance in saved.balances.items():
            if balance.locked != locked.get(asset, money.ZERO):
                raise StoreFailed(
                    f"the paper venue's file {self._path} contradicts itself: {money.plain(balance.locked)} {asset} is "
                    f"locked and its open orders lock {money.plain(locked.get(asset, money.ZERO))}; begin anew with "
                    "another STATE_DB_PATH"
                )
        return saved, resting

    @property
    def opening(self) -> Mapping[str, Decimal]:
        """What the account began with."""
        return msgspec.json.decode(self._read("SELECT opening FROM about")[0][0], type=dict[str, Decimal])

    def save(self, saved: Saved, orders: Sequence[PaperOrder], trades: Sequence[VenueTrade]) -> None:
        self._demand_whole()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE SET "
                "is_open = excluded.is_open, updated_at_ms = excluded.updated_at_ms, row = excluded.row",
                [
                    (one.number, one.venue_order_id, one.client_order_id, one.symbol, one.is_open, one.updated_at_ms,
                     _text(one))
                    for one in orders
                ],
            )  # fmt: skip
            self._connection.executemany(
                "INSERT INTO trades VALUES (?, ?, ?, ?)",
                [(one.trade_id, one.venue_order_id, one.at_ms, _text(one)) for one in trades],
            )
            self._connection.execute("UPDATE about SET state = ?", (_text(saved),))
            self._connection.execute("COMMIT")
        except PREFERRED.module.Error as error:
            self._failed = f"the paper venue's file {self._path} could not be written: {error}"
            with suppress(PREFERRED.module.Error):
                self._connection.execute("ROLLBACK")
            raise StoreFailed(self._failed) from error

    def order(self, venue_order_id: str) -> PaperOrder | None:
        return self._order("SELECT row FROM orders WHERE venue_order_id = ?", venue_order_id)

    def order_of(self, client_order_id: str) -> PaperOrder | None:
        return self._order("SELECT row FROM orders WHERE client_order_id = ?", client_order_id)

    def orders(self, symbol: str, since_ms: int) -> Sequence[PaperOrder]:
        query = "SELECT row FROM orders WHERE symbol = ? AND (is_open OR updated_at_ms >= ?) ORDER BY number"
        return [_ORDER.decode(row) for (row,) in self._read(query, symbol, since_ms)]

    def trades(self, since_ms: int) -> Sequence[VenueTrade]:
        query = "SELECT row FROM trades WHERE at_ms >= ? ORDER BY at_ms, trade_id"
        return [_TRADE.decode(row) for (row,) in self._read(query, since_ms)]

    def trades_of(self, venue_order_id: str) -> Sequence[VenueTrade]:
        query = "SELECT row FROM trades WHERE venue_order_id = ? ORDER BY trade_id"
        return [_TRADE.decode(row) for (row,) in self._read(query, venue_order_id)]

    def close(self) -> None:
        self._connection.close()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _order(self, query: str, key: str) -> PaperOrder | None:
        found = self._read(query, key)
        return _ORDER.decode(found[0][0]) if found else None

    def _read(self, query: str, *values: object) -> list[Row]:
        self._demand_whole()
        try:
            return self._all(query, *values)
        except PREFERRED.module.Error as error:
            raise StoreFailed(f"the paper venue's file {self._path} cannot be read: {error}") from error

    def _all(self, query: str, *values: object) -> list[Row]:
        found: list[Row] = self._connection.execute(query, values).fetchall()
        return found

    def _demand_whole(self) -> None:
        if self._failed is not None:
            raise StoreFailed(self._failed)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
