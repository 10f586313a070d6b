"""The first schema: orders, fills, the double-entry ledger, and what cycles leave behind.

Frozen: a migration says what was done on its day and does not follow schema.py, which a test compares with the outcome.
There is no downgrade; the way back is the copy that is made before a migration.
"""

import sqlalchemy as sa
from alembic import op

from btcbot.adapters.store.schema import Money

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "identity",
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("book_id", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("venue_host", sa.Text(), nullable=False),
        sa.Column("key_fingerprint", sa.Text(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("row = 1", name=op.f("ck_identity_only_one")),
        sa.PrimaryKeyConstraint("row", name=op.f("pk_identity")),
    )
    op.create_table(
        "orders",
        sa.Column("sequence", _SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("intent_id", sa.Text(), nullable=False),
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("price", Money(), nullable=False),
        sa.Column("quantity", Money(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("filled_quantity", Money(), nullable=False),
        sa.Column("venue_order_id", sa.Text(), nullable=True),
        sa.Column("stamp_ms", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("cancel_requested_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("absent_count", sa.BigInteger(), nullable=False),
        sa.Column("absent_since_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("side IN ('buy', 'sell')", name=op.f("ck_orders_side_known")),
        sa.CheckConstraint(
            "CAST(filled_quantity AS NUMERIC) >= 0", name=op.f("ck_orders_filled_quantity_not_negative")
        ),
        sa.CheckConstraint("CAST(quantity AS NUMERIC) > 0", name=op.f("ck_orders_quantity_positive")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_orders")),
        sa.UniqueConstraint("client_order_id", name=op.f("uq_orders_client_order_id")),
    )
    op.create_index("ix_orders_status", "orders", ["status", "updated_at_ms"], unique=False)
    op.create_index(
        "ix_orders_symbol",
        "orders",
        ["symbol", "side", "created_at_ms"],
        unique=False,
        sqlite_where=sa.text("status != 'DENIED'"),
        postgresql_where=sa.text("status != 'DENIED'"),
    )
    op.create_index("ix_orders_venue_order_id", "orders", ["venue_order_id"], unique=False)
    op.create_table(
        "holds",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("amount", Money(), nullable=False),
        sa.CheckConstraint("CAST(amount AS NUMERIC) > 0", name=op.f("ck_holds_amount_positive")),
        sa.ForeignKeyConstraint(["client_order_id"], ["orders.client_order_id"], name=op.f("fk_holds_client_order_id")),
        sa.PrimaryKeyConstraint("client_order_id", name=op.f("pk_holds")),
    )
    op.create_table(
        "fills",
        sa.Column("sequence", _SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("price", Money(), nullable=False),
        sa.Column("quantity", Money(), nullable=False),
        sa.Column("fee", Money(), nullable=False),
        sa.Column("tax", Money(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("side IN ('buy', 'sell')", name=op.f("ck_fills_side_known")),
        sa.CheckConstraint("CAST(quantity AS NUMERIC) > 0", name=op.f("ck_fills_quantity_positive")),
        sa.ForeignKeyConstraint(["client_order_id"], ["orders.client_order_id"], name=op.f("fk_fills_client_order_id")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_fills")),
        sa.UniqueConstraint("trade_id", name=op.f("uq_fills_trade_id")),
    )
    op.create_index("ix_fills_at_ms", "fills", ["at_ms"], unique=False)
    op.create_index("ix_fills_client_order_id", "fills", ["client_order_id"], unique=False)
    op.create_table(
        "entries",
        sa.Column("sequence", _SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("memo", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_entries")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_entries_entry_id")),
    )
    op.create_table(
        "postings",
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("amount", Money(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.entry_id"], name=op.f("fk_postings_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", "line", name=op.f("pk_postings")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "account_balances",
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("balance", Money(), nullable=False),
        sa.PrimaryKeyConstraint("asset", "account", name=op.f("pk_account_balances")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "positions",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("quantity", Money(), nullable=False),
        sa.Column("cost", Money(), nullable=False),
        sa.Column("realized_pnl", Money(), nullable=False),
        sa.Column("fees_paid", Money(), nullable=False),
        sa.Column("taxes_paid", Money(), nullable=False),
        sa.CheckConstraint("CAST(quantity AS NUMERIC) >= 0", name=op.f("ck_positions_quantity_not_negative")),
        sa.PrimaryKeyConstraint("symbol", name=op.f("pk_positions")),
    )
    op.create_table(
        "verdicts",
        sa.Column("sequence", _SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("intent_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("price", Money(), nullable=False),
        sa.Column("quantity", Money(), nullable=False),
        sa.Column("allowed", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("side IN ('buy', 'sell')", name=op.f("ck_verdicts_side_known")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_verdicts")),
    )
    op.create_index("ix_verdicts_cycle_id", "verdicts", ["cycle_id"], unique=False)
    op.create_table(
        "cycles",
        sa.Column("sequence", _SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("started_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("gates", sa.Text(), nullable=False),
        sa.Column("quotes", sa.Text(), nullable=False),
        sa.Column("equity_try", Money(), nullable=True),
        sa.Column("realized_pnl_try", Money(), nullable=False),
        sa.Column("unrealized_pnl_try", Money(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_cycles")),
        sa.UniqueConstraint("cycle_id", name=op.f("uq_cycles_cycle_id")),
    )
    op.create_table(
        "discrepancies",
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("amount", Money(), nullable=False),
        sa.Column("first_seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("asset", name=op.f("pk_discrepancies")),
    )
    op.create_table(
        "named_values",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_named_values")),
    )

    for table in ("fills", "entries", "postings"):
        for verb in ("UPDATE", "DELETE"):
            _refuse(table, verb)


def _refuse(table: str, verb: str) -> None:
    """I4 by the database itself: what was booked is never changed or taken out."""
    name = f"{table}_never_{verb.lower()}"
    sentence = f"{table} are written once"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{sentence}'); END")
        return
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{sentence}'; END $$"
    )
    op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
