"""What a study asks of the place where it is kept, so that processes that share one keep out of each other's way.

Two things are asked beside what Optuna asks. *Exclusive*: one process at a time looks how many trials there are and
claims the next, so a study never has one too many. *Owner*: whoever claimed a trial holds a lock for as long as it
lives; when the kernel or the database has let that lock go, the trial is free for somebody else, at once, whatever
ended the process. No clock is compared and nothing has to be waited out. A machine that vanished is noticed by
PostgreSQL's own probes of the connection, within a minute.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Protocol

from btcbot.errors import BtcbotError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from sqlalchemy.engine import URL

LOCK_WAIT_S: Final = 60.0


class StorageLost(BtcbotError):
    """The storage went away while the search ran. Ends with 1; the same command goes on where this one stopped."""


class StudyStorage(Protocol):
    """An Optuna storage, and the two locks."""

    @property
    def optuna(self) -> BaseStorage: ...

    @property
    def shown(self) -> str:
        """Where it is, without a password."""
        ...

    @property
    def owner(self) -> str:
        """Names this process, in the storage."""
        ...

    def exclusive(self, study: str) -> contextlib.AbstractContextManager[None]:
        """Nobody else is in here for this study, in any process on any machine."""
        ...

    def is_alive(self, owner: str) -> bool:
        """Whether the process of that name still runs."""
        ...

    def without_secrets(self, text: str) -> str:
        """`text` as it may be shown."""
        ...

    def close(self) -> None: ...


def describe(error: BaseException) -> str:
    """The first line of what a library said, without its own prefix."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[0] if lines else type(cause).__name__


def relational(url: URL, connect: dict[str, object]) -> BaseStorage:
    """A storage in a database that SQLAlchemy knows; `connect` goes to its driver."""
    from optuna.storages import RDBStorage
    from sqlalchemy.pool import NullPool

    text = url.render_as_string(hide_password=False)
    arguments: dict[str, object] = {"connect_args": connect}
    if url.get_backend_name() == "sqlite":
        # A file that turns out to be none is let go at once: nobody could close a pool that was never handed out.
        arguments["poolclass"] = NullPool
    else:
        arguments["pool_pre_ping"] = True
    return RDBStorage(text, engine_kwargs=arguments)


def dispose(storage: BaseStorage) -> None:
    """Close its connections."""
    from optuna.storages import RDBStorage

    storage.remove_session()
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()
