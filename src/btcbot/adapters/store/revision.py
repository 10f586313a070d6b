"""Which schema this btcbot knows, told without importing Alembic.

A database tells its own revision in Alembic's table. Comparing the two is one SELECT at start; only when they differ
are SQLAlchemy and Alembic imported to make or migrate the schema. A test holds `KNOWN` against `migrations/versions`.
"""

from __future__ import annotations

from typing import Final

#: Oldest first; the last one is what this btcbot works with.
KNOWN: Final = ("0001", "0002")
HEAD: Final = KNOWN[-1]
#: "bTcb" in ASCII: how a file says that it is ours (PRAGMA application_id, byte 68 of the file).
APPLICATION_ID: Final = 0x62546362
