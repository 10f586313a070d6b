"""Where state survives: the SQLite store, its in-memory twin, and the schema with its migrations.

    rows.py        domain values ↔ rows, the only place that knows both
    queries.sql    every statement, as prose; queries.py reads it
    sql.py         the StateStore contract over those statements, for any SQL database
    sqlite.py      opening, locking, durability, backup on SQLite
    audit.py       proves the books of a database
    memory.py      the same contract in plain dicts
    schema.py      the tables; migrations/ makes them (SQLAlchemy and Alembic are imported only then)

The order path speaks SQL to the driver directly: a fifth of the CPU of SQLAlchemy Core and no 350 ms of imports.
"""

from btcbot.adapters.store.memory import MemoryStore
from btcbot.adapters.store.sqlite import SqliteStore

__all__ = ["MemoryStore", "SqliteStore"]
