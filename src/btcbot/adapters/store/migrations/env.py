"""How Alembic runs our migrations: on the connection and inside the transaction that migrate.py hands over."""

from alembic import context

from btcbot.adapters.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite changes a table by building it anew.
    render_as_batch=True,
)
context.run_migrations()
