"""The tables, as SQLAlchemy metadata: the one description from which migrations are checked.

Imported only to make or migrate a database and by tests; the order path speaks SQL directly (queries.sql).

- Money is exact: TEXT on SQLite, NUMERIC without a scale on PostgreSQL.
- Times are Unix milliseconds in 64 bits.
- `sequence` numbers rows in the order of writing, without gaps.
- Fills, entries and postings are written once (I4): the database itself refuses to change or delete them.
- `account_balances` keeps the sums of postings; each write of an entry moves them in the same unit.
- An order's status and a note's kind carry no CHECK: a new one must not need the table to be built anew.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.types import TypeEngine

from btcbot.domain import money


class Money(TypeDecorator[Decimal]):
    """Exact decimals. SQLite's own NUMERIC would pass through binary floating point."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(asdecimal=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Decimal | str | None:
        if value is None or dialect.name == "postgresql":
            return value
        return money.plain(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _sequence() -> Column[int]:
    # SQLite makes only an INTEGER primary key the row number itself.
    return Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _money(name: str, *, nullable: bool = False) -> Column[Decimal]:
    return Column(name, Money, nullable=nullable)


def _integer(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _positive(column: str) -> CheckConstraint:
    # The cast may round, but it keeps the sign, and the sign is all that is asked.
    return CheckConstraint(text(f"CAST({column} AS NUMERIC) > 0"), name=f"{column}_positive")


def _not_negative(column: str) -> CheckConstraint:
    return CheckConstraint(text(f"CAST({column} AS NUMERIC) >= 0"), name=f"{column}_not_negative")


def _side() -> CheckConstraint:
    return CheckConstraint(text("side IN ('buy', 'sell')"), name="side_known")


identity = Table(
    "identity",
    METADATA,
    Column("row", Integer, primary_key=True, autoincrement=False),
    _text("book_id"),
    _text("mode"),
    _text("venue_host"),
    _text("key_fingerprint", nullable=True),
    _integer("created_at_ms"),
    CheckConstraint(text("row = 1"), name="only_one"),
)

orders = Table(
    "orders",
    METADATA,
    _sequence(),
    _text("client_order_id"),
    _text("intent_id"),
    _text("cycle_id"),
    _text("strategy"),
    _text("symbol"),
    _text("side"),
    _money("price"),
    _money("quantity"),
    _text("status"),
    _integer("created_at_ms"),
    _integer("updated_at_ms"),
    _money("filled_quantity"),
    _text("venue_order_id", nullable=True),
    _integer("stamp_ms", nullable=True),
    _text("reason", nullable=True),
    _integer("cancel_requested_at_ms", nullable=True),
    _integer("absent_count"),
    _integer("absent_since_ms", nullable=True),
    UniqueConstraint("client_order_id"),
    _side(),
    _positive("quantity"),
    _not_negative("filled_quantity"),
    Index("ix_orders_status", "status", "updated_at_ms"),
    Index("ix_orders_venue_order_id", "venue_order_id"),
)
_not_denied = orders.c.status != text("'DENIED'")
Index(
    "ix_orders_symbol",
    orders.c.symbol,
    orders.c.side,
    orders.c.created_at_ms,
    sqlite_where=_not_denied,
    postgresql_where=_not_denied,
)

holds = Table(
    "holds",
    METADATA,
    Column("client_order_id", Text, ForeignKey("orders.client_order_id"), primary_key=True),
    _text("asset"),
    _money("amount"),
    _positive("amount"),
)

fills = Table(
    "fills",
    METADATA,
    _sequence(),
    _text("trade_id"),
    Column("client_order_id", Text, ForeignKey("orders.client_order_id"), nullable=False),
    _text("symbol"),
    _text("side"),
    _money("price"),
    _money("quantity"),
    _money("fee"),
    _money("tax"),
    _integer("at_ms"),
    UniqueConstraint("trade_id"),
    _side(),
    _positive("quantity"),
    Index("ix_fills_client_order_id", "client_order_id"),
    Index("ix_fills_at_ms", "at_ms"),
)

entries = Table(
    "entries",
    METADATA,
    _sequence(),
    _text("entry_id"),
    _text("kind"),
    _integer("at_ms"),
    _text("memo"),
    UniqueConstraint("entry_id"),
)

postings = Table(
    "postings",
    METADATA,
    Column("entry_id", Text, ForeignKey("entries.entry_id"), nullable=False),
    Column("line", Integer, nullable=False),
    _text("account"),
    _text("asset"),
    _money("amount"),
    PrimaryKeyConstraint("entry_id", "line"),
    sqlite_with_rowid=False,
)

account_balances = Table(
    "account_balances",
    METADATA,
    _text("asset"),
    _text("account"),
    _money("balance"),
    PrimaryKeyConstraint("asset", "account"),
    sqlite_with_rowid=False,
)

positions = Table(
    "positions",
    METADATA,
    Column("symbol", Text, primary_key=True),
    _money("quantity"),
    _money("cost"),
    _money("realized_pnl"),
    _money("fees_paid"),
    _money("taxes_paid"),
    _not_negative("quantity"),
)

verdicts = Table(
    "verdicts",
    METADATA,
    _sequence(),
    _text("cycle_id"),
    _text("intent_id"),
    _text("symbol"),
    _text("side"),
    _money("price"),
    _money("quantity"),
    Column("allowed", Integer, nullable=False),
    _text("code"),
    _text("detail"),
    _integer("at_ms"),
    _side(),
    Index("ix_verdicts_cycle_id", "cycle_id"),
)

cycles = Table(
    "cycles",
    METADATA,
    _sequence(),
    _text("cycle_id"),
    _integer("number"),
    _text("mode"),
    _text("profile"),
    _text("outcome"),
    _text("reasons"),
    _integer("started_at_ms"),
    _integer("ended_at_ms"),
    _text("counts"),
    _text("gates"),
    _text("quotes"),
    _money("equity_try", nullable=True),
    _money("realized_pnl_try"),
    _money("unrealized_pnl_try"),
    UniqueConstraint("cycle_id"),
)

notes = Table(
    "notes",
    METADATA,
    _sequence(),
    _text("kind"),
    _text("cycle_id"),
    _integer("at_ms"),
    _text("body"),
    Index("ix_notes_kind", "kind", "sequence"),
    Index("ix_notes_cycle_id", "cycle_id"),
)

discrepancies = Table(
    "discrepancies",
    METADATA,
    Column("asset", Text, primary_key=True),
    _money("amount"),
    _integer("first_seen_ms"),
    _integer("seen_count"),
)

named_values = Table("named_values", METADATA, Column("name", Text, primary_key=True), _text("value"))

#: Money is only moved: what was booked is never changed or taken out (I4).
WRITTEN_ONCE: Final = (fills, entries, postings)


def _after_create(table: Table, dialect: str, statement: str) -> None:
    rule = DDL(statement)  # type: ignore[no-untyped-call]  # SQLAlchemy gives its constructor no types
    event.listen(table, "after_create", rule.execute_if(dialect=dialect))


def _refuse(table: Table, verb: str) -> None:
    """Let the database itself refuse a verb on a table."""
    name = f"{table.name}_never_{verb.lower()}"
    sentence = f"{table.name} are written once"
    _after_create(
        table,
        "sqlite",
        f"CREATE TRIGGER {name} BEFORE {verb} ON {table.name} BEGIN SELECT RAISE(ABORT, '{sentence}'); END",
    )
    _after_create(
        table,
        "postgresql",
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{sentence}'; END $$",
    )
    _after_create(
        table,
        "postgresql",
        f"CREATE TRIGGER {name} BEFORE {verb} ON {table.name} FOR EACH ROW EXECUTE FUNCTION {name}()",
    )


for _table in WRITTEN_ONCE:
    for _verb in ("UPDATE", "DELETE"):
        _refuse(_table, _verb)
