"""Migrations make exactly the schema of schema.py, all of it or nothing, and a copy is kept before each."""

from __future__ import annotations

import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, MetaData, Table, create_engine, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable
from tests.contract.state_store import LONG, an_entry, an_order, everything

from btcbot.adapters.store import SqliteStore, migrate, revision
from btcbot.adapters.store.library import PREFERRED
from btcbot.adapters.store.queries import Dialect, load
from btcbot.adapters.store.schema import METADATA, Money
from btcbot.errors import Refused, StoreFailed


def test_migrations_make_the_schema() -> None:
    migrated = SqliteStore.in_memory()
    made = PREFERRED.module.connect(":memory:", isolation_level=None)
    with migrate.engine_over(made, PREFERRED).begin() as connection:
        METADATA.create_all(connection)
    assert _described(migrated._connection) == _described(made)
    with migrate.engine_over(migrated._connection, PREFERRED).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    migrated.close()
    made.close()


def _described(connection: Any) -> dict[tuple[str, str], list[str]]:
    """Everything in a schema as SQL; the constraints of a table may stand in any order."""
    rows = connection.execute(
        "SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE tbl_name <> 'alembic_version'"
    ).fetchall()
    return {(kind, name): sorted(line.strip().rstrip(",") for line in sql.splitlines()) for kind, name, sql in rows}


def test_the_known_revisions_are_those_of_the_migrations() -> None:
    scripts = ScriptDirectory.from_config(migrate.config())
    assert tuple(reversed([script.revision for script in scripts.walk_revisions()])) == revision.KNOWN
    assert scripts.get_current_head() == revision.HEAD


def test_every_table_can_be_made_on_postgresql() -> None:
    for table in METADATA.sorted_tables:
        made = str(CreateTable(table).compile(dialect=postgresql.dialect()))
        assert "NUMERIC(" not in made
    assert "price NUMERIC NOT NULL" in str(CreateTable(METADATA.tables["fills"]).compile(dialect=postgresql.dialect()))


def test_money_passes_exactly_through_sqlalchemy_too() -> None:
    table = Table("t", MetaData(), Column("amount", Money))
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        table.create(connection)
        for amount in (LONG, Decimal("-1E-24"), None):
            connection.execute(insert(table).values(amount=amount))
        assert connection.execute(select(table.c.amount)).scalars().all() == [LONG, Decimal("-1E-24"), None]
    engine.dispose()


# A later revision

SECOND = '''"""A further revision, for the tests."""
import sqlalchemy as sa
from alembic import op
revision = "0003"
down_revision = "0002"
branch_labels = depends_on = None
def upgrade() -> None:
    op.add_column("orders", sa.Column("new", sa.Text()))
    op.execute("UPDATE orders SET new = 'filled in'")
    {last}
'''


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database of today with something in it."""
    store = SqliteStore.open(tmp_path / "state.db")
    with store.transaction() as tx:
        tx.insert_order(an_order())
        tx.insert_entry(an_entry())
    store.close()
    return tmp_path / "state.db"


def _release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str = "pass") -> None:
    """Make this btcbot one that knows a further revision."""
    migrations = tmp_path / "migrations"
    shutil.copytree(migrate.MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__"))
    (migrations / "versions" / "0003_further.py").write_text(SECOND.format(last=last))
    monkeypatch.setattr(revision, "KNOWN", (*revision.KNOWN, "0003"))
    monkeypatch.setattr(revision, "HEAD", "0003")
    original = migrate.migrate
    monkeypatch.setattr(
        migrate, "migrate", lambda raw, library: original(raw, library, migrations=migrations, to="0003")
    )


def test_an_older_database_is_copied_and_migrated(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _release(tmp_path, monkeypatch)
    with pytest.raises(
        Refused, match="made by an older btcbot, revision 0002; this one reads 0003: start the bot once"
    ):
        SqliteStore.open(old, read_only=True)
    store = SqliteStore.open(old)
    assert store._connection.execute("SELECT new FROM orders").fetchall() == [("filled in",)]
    assert store.order("btcbot-test-1") == an_order()
    migrated = everything(store)
    store.close()
    monkeypatch.undo()
    with pytest.raises(Refused, match="made by a newer btcbot, revision 0003; this one knows 0002"):
        SqliteStore.open(old)
    copy = SqliteStore.open(tmp_path / "state.db.before-0003")
    assert everything(copy) == migrated
    copy.close()


def test_a_migration_that_fails_in_its_middle_leaves_nothing(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _release(tmp_path, monkeypatch, last='op.execute("INSERT INTO nowhere VALUES (1)")')
    for copies in (1, 2):
        with pytest.raises(StoreFailed, match=r"no such table: nowhere.*nothing was changed"):
            SqliteStore.open(old)
        assert len(list(tmp_path.glob("state.db.before-0003*"))) == copies
    monkeypatch.undo()
    store = SqliteStore.open(old)
    assert store.order("btcbot-test-1") == an_order()
    assert "new" not in [row[1] for row in store._connection.execute("PRAGMA table_info(orders)")]
    store.close()


def test_a_migration_never_orphans_a_row(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _release(tmp_path, monkeypatch, last="op.execute(\"UPDATE entries SET entry_id = 'lost'\")")
    monkeypatch.setattr(migrate, "migrate", _without_triggers(migrate.migrate))
    with pytest.raises(StoreFailed, match="would leave 3 rows without their parent"):
        SqliteStore.open(old)
    monkeypatch.undo()
    store = SqliteStore.open(old)
    assert store.entries() == [an_entry()]
    store.close()


def _without_triggers(inner: Any) -> Any:
    def run(raw: Any, library: Any) -> None:
        raw.execute("DROP TRIGGER entries_never_update")
        inner(raw, library)

    return run


# queries.sql


def test_every_statement_is_prepared_by_sqlite() -> None:
    store = SqliteStore.in_memory()
    for name, statement in load(Dialect.SQLITE).items():
        assert name
        parameters = _AnyParameter()
        store._connection.execute(f"EXPLAIN {statement}", parameters)
    store.close()


class _AnyParameter(dict[str, int]):
    def __missing__(self, key: str) -> int:
        return 1


def test_every_statement_has_its_sentence() -> None:
    text = Path(migrate.__file__).with_name("queries.sql").read_text()
    blocks = text.split("\n\n")[1:]
    assert len(blocks) == len(load(Dialect.SQLITE))
    for block in blocks:
        name, sentence, *_ = block.splitlines()
        assert name.startswith("-- ") and name.endswith(" --")
        assert sentence[3].isupper() and "." in block, block


def test_psycopg_gets_its_own_parameters() -> None:
    statement = load(Dialect.POSTGRESQL)["value"]
    assert statement == "SELECT value FROM named_values WHERE name = %(name)s"
    assert not any(":" in statement for statement in load(Dialect.POSTGRESQL).values())


def test_the_questions_of_every_cycle_use_an_index() -> None:
    store = SqliteStore.in_memory()
    statements = load(Dialect.SQLITE)
    for name in (
        "order",
        "order_by_venue_id",
        "orders",
        "has_fill",
        "fills_of",
        "has_entry",
        "entry",
        "verdicts",
        "cycle",
        "notes",
        "note_count",
        "values",
        "fills_after",
    ):
        plan = store._connection.execute(f"EXPLAIN QUERY PLAN {statements[name]}", _AnyParameter()).fetchall()
        assert not any("SCAN" in row[3] for row in plan), (name, plan)
    plan = store._connection.execute(f"EXPLAIN QUERY PLAN {statements['last_order_times']}").fetchall()
    assert not any("SCAN" in row[3] and "orders" in row[3] for row in plan), plan
    store.close()


def test_the_order_path_imports_neither_sqlalchemy_nor_alembic(tmp_path: Path) -> None:
    SqliteStore.open(tmp_path / "state.db").close()
    script = (
        "import sys; from pathlib import Path; from btcbot.adapters.store import SqliteStore; "
        "SqliteStore.open(Path(sys.argv[1])).close(); "
        "assert not {'sqlalchemy', 'alembic'} & set(sys.modules)"
    )
    source = Path(migrate.__file__).parents[3]
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "state.db")], check=True, env={"PYTHONPATH": str(source)}
    )
