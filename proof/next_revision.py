"""A btcbot of tomorrow, whose database has one revision more: what an upgrade does to a database of today.

What is shipped so far only adds tables, so an upgrade is proved with one that nobody ships. It does what is hardest on
SQLite: it builds a table anew that others refer to, copies every row of it, fills a new column, adds a table, an index
and a trigger. The store finds it as it would find a real one; only the list of revisions and their folder are other
ones.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from unittest import mock

from btcbot.adapters.store import migrate, revision

TODAY: Final = revision.HEAD
NEXT: Final = "0003"
FILE: Final = f"{NEXT}_next.py"
SOURCE: Final = '''"""Say of each order who wished it, and keep remarks."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("orders", recreate="always") as orders:
        orders.add_column(sa.Column("wished_by", sa.Text(), nullable=False, server_default="nobody"))
    op.execute("UPDATE orders SET wished_by = strategy")
    op.create_table(
        "remarks",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("remark", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("client_order_id", name="pk_remarks"),
    )
    op.execute("INSERT INTO remarks SELECT client_order_id, 'taken over' FROM orders")
    op.create_index("ix_orders_wished_by", "orders", ["wished_by"])
    op.execute("CREATE TRIGGER remarks_never_delete BEFORE DELETE ON remarks BEGIN SELECT RAISE(ABORT, 'kept'); END")
'''


def write_migrations(folder: Path) -> Path:
    """A folder of migrations with the next revision beside today's."""
    migrations = folder / "migrations"
    shutil.copytree(migrate.MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__"))
    (migrations / "versions" / FILE).write_text(SOURCE)
    return migrations


@contextmanager
def released(migrations: Path) -> Iterator[None]:
    """Within the block, this process is the btcbot that knows the next revision."""
    known = (*revision.KNOWN, NEXT)
    upgrade = functools.partial(migrate.migrate, migrations=migrations, to=NEXT)
    with (
        mock.patch.object(revision, "KNOWN", known),
        mock.patch.object(revision, "HEAD", NEXT),
        mock.patch.object(migrate, "migrate", upgrade),
    ):
        yield
