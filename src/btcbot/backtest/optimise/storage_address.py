"""Where a study is kept, by its address.

btcbot-optimise.journal         a journal file: one machine, any number of processes (the default)
sqlite:///studies.db            a SQLite file: the same
postgresql://user@host/name     a PostgreSQL database: any number of machines
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from btcbot.errors import Refused

if TYPE_CHECKING:
    from btcbot.backtest.optimise.storage import StudyStorage

_FORMS: Final = "give a file for a journal, sqlite:///FILE, or postgresql://USER@HOST/DATABASE"


def open_storage(address: str) -> StudyStorage:
    """Refused, in one line, where it cannot be reached, read or written."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # everything it has to say comes to us as an exception
    scheme, colon, _ = address.partition(":")
    if not colon or "/" in scheme:
        from btcbot.backtest.optimise.file_storage import open_journal

        return open_journal(address)
    if scheme == "sqlite":
        from btcbot.backtest.optimise.file_storage import open_sqlite

        return open_sqlite(address)
    if scheme.partition("+")[0] in ("postgresql", "postgres"):
        from btcbot.backtest.optimise.postgres_storage import open_postgres

        return open_postgres(address)
    raise Refused(f"--storage: «{scheme}:» is no kind of storage; {_FORMS}")
