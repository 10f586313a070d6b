"""Lives of a database, each recorded below SQLite: made, written by units or by a bot, closed, opened, upgraded."""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from btcbot.adapters.store import SqliteStore
from btcbot.adapters.store.library import PREFERRED, Library
from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Side
from btcbot.domain.ledger import Account, Entry, EntryKind, Hold, Posting
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.positions import Position
from btcbot.ports import StateStore
from btcbot.testing.disks import watched
from btcbot.testing.in_process_rig import Rig
from btcbot.testing.power import Tape
from proof import next_revision

#: The same SQLite under the number of one whose write-ahead log is not to be trusted: the store keeps a journal.
JOURNAL: Final = Library(name="an older SQLite", module=PREFERRED.module, version=(3, 40, 1))
DATABASE: Final = "books.db"


class Life(msgspec.Struct, kw_only=True):
    """What was recorded. `states[n]` is the content of the database at the n-th acknowledgement, as a digest."""

    name: str
    tape: Tape
    library: Library
    states: list[str] = msgspec.field(default_factory=list)
    #: The content at the beginning of the tape, empty for no database.
    before: str = ""
    #: Upgrades: the migrations of the release that reads this database.
    migrations: Path | None = None

    def allowed_after(self, acknowledged: int) -> list[str]:
        """Contents that are right when so much was acknowledged: the last one's, or of the unit under way."""
        # Whoever looks opens the database, which makes it, or migrates it, when that was not acknowledged yet.
        opened = self.before if self.before and self.migrations is None else self.states[0]
        return [opened, *self.states][acknowledged : acknowledged + 2]

    def acknowledge(self, store: SqliteStore) -> None:
        """The store reported that what was asked of it is done."""
        self.tape.acknowledge()
        self.states.append(digest(store._connection))

    @contextmanager
    def release(self) -> Iterator[None]:
        """The btcbot that this life's database belongs to in the end."""
        with ExitStack() as stack:
            if self.migrations is not None:
                stack.enter_context(next_revision.released(self.migrations))
            yield


def digest(connection: Any) -> str:
    """Everything in a database, schema included, in a few characters."""
    told = hashlib.sha256()
    for name, sql in connection.execute("SELECT name, coalesce(sql, '') FROM sqlite_master ORDER BY type, name"):
        # Alembic writes the constraints of a table in any order.
        told.update(repr((name, sorted(line.strip().rstrip(",") for line in sql.splitlines()))).encode())
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    for (table,) in tables:
        told.update("\n".join(sorted(map(repr, connection.execute(f"SELECT * FROM {table}")))).encode())
    return told.hexdigest()[:16]


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory where there is one: what a disk does is played from the tape, not measured."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="btcbot-disk-", dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


# -- lives of a store ----------------------------------------------------------------------------------------------


def store_life(
    folder: Path,
    seed: int,
    *,
    library: Library = PREFERRED,
    units: int = 40,
    openings: int = 2,
    synchronous: str | None = None,
    checkpoint_pages: int | None = None,
) -> Life:
    """A database made, written in `units` units over several openings, and closed.

    `synchronous` weakens the store behind its back, for who wants to see that this would be noticed.
    `checkpoint_pages` lets the log be brought into the file more often than by itself (1,000 pages).
    """
    life = Life(name=f"store {seed} {library.name}", tape=Tape(), library=library)
    with watched(folder, life.tape, library=library):
        for opening in range(openings):
            store = SqliteStore.open(folder / DATABASE, library=library)
            if synchronous is not None:
                store._connection.execute(f"PRAGMA synchronous = {synchronous}")
            if checkpoint_pages is not None:
                store._connection.execute(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}")
            with closing(store):
                life.acknowledge(store)
                for number in range(opening * units // openings, (opening + 1) * units // openings):
                    write_unit(store, number, unit_rng(seed, number))
                    life.acknowledge(store)
    return life


def unit_rng(seed: int, number: int) -> random.Random:
    """What a unit of a life draws from: the same whenever it is written."""
    return random.Random(f"{seed} {number}")


def write_unit(store: StateStore, number: int, rng: random.Random) -> None:
    """One unit as the bot has them: an order with its hold, the fill of the one before, or a cycle's report."""
    open_orders = store.orders((OrderStatus.ACCEPTED,))
    with store.transaction() as tx:
        if open_orders and rng.random() < 0.5:
            order = open_orders[0]
            tx.insert_fill(
                Fill(
                    trade_id=f"trade-{number}",
                    client_order_id=order.client_order_id,
                    symbol=order.symbol,
                    side=order.side,
                    price=order.price,
                    quantity=order.quantity,
                    fee=Decimal("0.12"),
                    tax=Decimal("0.024"),
                    at_ms=number,
                )
            )
            tx.insert_entry(_entry(number, order.price * order.quantity))
            filled = msgspec.structs.replace(order, status=OrderStatus.FILLED, filled_quantity=order.quantity)
            tx.update_order(filled)
            tx.put_hold(Hold(client_order_id=order.client_order_id, asset="TRY", amount=Decimal(0)))
            held = store.positions().get(order.symbol, Position(symbol=order.symbol)).quantity
            tx.put_position(Position(symbol=order.symbol, quantity=held + order.quantity))
        elif rng.random() < 0.7:
            tx.insert_order(_order(number))
            tx.put_hold(Hold(client_order_id=f"life-{number}", asset="TRY", amount=Decimal("50.000001")))
        else:
            for one in range(rng.choice((1, 1, 30))):
                tx.insert_cycle(_report(number * 100 + one, number))
        tx.put_value("unit", str(number))


def _order(number: int) -> Order:
    return Order(
        client_order_id=f"life-{number}",
        intent_id=f"intent-{number}",
        cycle_id=f"cycle-{number}",
        strategy="life",
        symbol="BTCTRY",
        side=Side.BUY,
        price=Decimal("1000000.5"),
        quantity=Decimal("0.00012345"),
        status=OrderStatus.ACCEPTED,
        created_at_ms=number,
        updated_at_ms=number,
        venue_order_id=f"venue-{number}",
        reason="x" * 300,
    )


def _entry(number: int, amount: Decimal) -> Entry:
    return Entry(
        entry_id=f"fill:{number}",
        kind=EntryKind.FILL,
        at_ms=number,
        memo="a unit of a life",
        postings=(
            Posting(Account.VENUE, "TRY", -amount),
            Posting(Account.MARKET, "TRY", amount - Decimal("0.144")),
            Posting(Account.FEE, "TRY", Decimal("0.144")),
        ),
    )


def _report(number: int, unit: int) -> CycleReport:
    return CycleReport(
        cycle_id=f"cycle-{unit}-{number}",
        number=number,
        mode="demo",
        profile="run",
        outcome=CycleOutcome.COMPLETED,
        reasons=("a reason of some length, " * 12,),
        started_at_ms=unit,
        ended_at_ms=unit + 1,
        counts={"intents": 3},
        gates={"dry_run": True},
        quotes={"BTCTRY": (Decimal("999999.5"), Decimal("1000000.5"))},
        equity_try=Decimal("20000.01"),
        realized_pnl_try=Decimal("-3.5"),
        unrealized_pnl_try=Decimal(0),
    )


# -- the life of a bot ---------------------------------------------------------------------------------------------


def bot_life(folder: Path, seed: int, *, cycles: int = 6) -> Life:
    """The database of a bot that trades, is restarted in the middle, and trades on: every unit is the bot's own."""
    rng = random.Random(seed)
    rig = Rig(folder, symbols=("BTCTRY", "ETHTRY"))
    rig.crash()
    database = rig.database
    with closing(SqliteStore.open(database)) as store:
        before = digest(store._connection)
    tape = Tape({database.name: database.read_bytes()})
    life = Life(name=f"bot {seed}", tape=tape, library=PREFERRED, before=before)

    def watch(point: str) -> None:
        store = rig._opened
        if point == "after commit" and store is not None:
            life.acknowledge(store)

    with watched(folder, life.tape):
        rig.points.watch = watch
        rig.start()
        for cycle in range(cycles):
            side = "sell" if rig.position().quantity and rng.random() < 0.4 else "buy"
            if side == "sell" or rng.random() < 0.8:
                rig.wish(side, "0.0005", rng.choice(("1000500", "999500", "1000000")))
            if rng.random() < 0.5:
                rig.wish("buy", "0.0006", "1000500", "ETHTRY")
            rig.cycle()
            if cycle == cycles // 2:
                rig.restart()
        rig.crash()
    rig.close()
    return life


# -- an upgrade ----------------------------------------------------------------------------------------------------


def upgrade_life(folder: Path, seed: int, *, library: Library = PREFERRED, units: int = 20) -> Life:
    """A database of today's revision with rows in it, opened by the release that migrates it, and written on."""
    path = folder / DATABASE
    with closing(SqliteStore.open(path, library=library)) as store:
        for number in range(units):
            write_unit(store, number, unit_rng(seed, number))
        before = digest(store._connection)
    life = Life(
        name=f"upgrade {seed} {library.name}",
        tape=Tape({DATABASE: path.read_bytes()}),
        library=library,
        migrations=next_revision.write_migrations(folder),
        before=before,
    )
    with life.release(), watched(folder, life.tape, library=library):
        store = SqliteStore.open(path, library=library)
        with closing(store):
            life.acknowledge(store)
            for number in range(units, units + 4):
                write_unit(store, number, unit_rng(seed, number))
                life.acknowledge(store)
    return life


Maker = Callable[[Path, int], Life]
#: What lives there are; a power loss draws one by its number.
LIVES: Final[tuple[Maker, ...]] = (
    lambda folder, seed: bot_life(folder, seed),
    lambda folder, seed: store_life(folder, seed, openings=3, checkpoint_pages=30),
    lambda folder, seed: store_life(folder, seed, library=JOURNAL),
    lambda folder, seed: upgrade_life(folder, seed),
    lambda folder, seed: store_life(folder, seed, units=240, openings=1),
    lambda folder, seed: upgrade_life(folder, seed, library=JOURNAL),
    lambda folder, seed: store_life(folder, seed, units=6, openings=2),
)
