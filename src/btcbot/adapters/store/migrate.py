"""Brings a database to the schema that this btcbot knows: all of it, in one transaction, or nothing.

Importing this module imports SQLAlchemy and Alembic, so it is imported only where a schema has to be made or migrated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError, StatementError
from sqlalchemy.pool import StaticPool

from btcbot.adapters.store.library import Connection, Library
from btcbot.adapters.store.revision import APPLICATION_ID, HEAD
from btcbot.adapters.store.sql import one_line
from btcbot.errors import StoreFailed

MIGRATIONS: Final = Path(__file__).with_name("migrations")


def config(migrations: Path = MIGRATIONS) -> Config:
    """Alembic's settings without an ini file."""
    settings = Config()
    settings.set_main_option("script_location", str(migrations).replace("%", "%%"))
    return settings


def engine_over(raw: Connection, library: Library) -> Engine:
    """SQLAlchemy on a SQLite connection that stays ours, with transactions that begin when they are said to begin."""
    engine = create_engine("sqlite://", module=library.module, creator=lambda: raw, poolclass=StaticPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def migrate(raw: Connection, library: Library, *, migrations: Path = MIGRATIONS, to: str = HEAD) -> None:
    """Make or migrate the schema of an open SQLite database.

    Tables are rebuilt with foreign keys off, as SQLite demands, and checked before the commit. After a failure or an
    interruption the connection is to be closed.
    """
    settings = config(migrations)
    raw.execute("PRAGMA foreign_keys = OFF")
    try:
        with engine_over(raw, library).begin() as connection:
            settings.attributes["connection"] = connection
            command.upgrade(settings, to)
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
            orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if orphans:
                raise StoreFailed(
                    f"migrating the database to {to} would leave {len(orphans)} rows without their parent"
                )
    except (SQLAlchemyError, CommandError) as error:
        # What a statement failed of is the driver's own error; SQLAlchemy's words would repeat the statement.
        cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
        reason = one_line(cause)
        raise StoreFailed(f"the schema of the database could not be made ({reason}): nothing was changed") from error
    raw.execute("PRAGMA foreign_keys = ON")
