"""Notes: what cycles write down for people and for later cycles, beside their reports.

Frozen, like every migration. It only adds: nothing of a database of 0001 is touched.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "notes",
        sa.Column("sequence", _SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_notes")),
    )
    op.create_index("ix_notes_kind", "notes", ["kind", "sequence"], unique=False)
    op.create_index("ix_notes_cycle_id", "notes", ["cycle_id"], unique=False)
