"""Studies in a PostgreSQL database, and one more connection to it that holds the locks."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from btcbot.backtest.optimise import storage
from btcbot.config.secrets import Secret
from btcbot.errors import Refused

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from psycopg import Connection
    from sqlalchemy.engine import URL

CONNECT_WAIT_S: Final = 10


class PostgresStorage:
    """A database, and one more connection to it that holds the locks."""

    def __init__(self, kept: BaseStorage, connection: Connection, url: URL, password: _Password) -> None:
        self.optuna = kept
        self.shown = url.set(drivername="postgresql", password=None, query={}).render_as_string(hide_password=True)
        self.owner = secrets.token_hex(8)
        self._connection = connection
        self._password = password
        self._ask("select pg_advisory_lock(%s)", [_key("owner", self.owner)])

    def _ask(self, statement: str, values: Sequence[object]) -> Any:
        import psycopg

        try:
            return self._connection.execute(statement, values).fetchone()
        except psycopg.Error as error:
            said = self.without_secrets(storage.describe(error))
            raise storage.StorageLost(
                f"the connection to {self.shown} was lost ({said}); everything told so far is kept, and the same "
                "command goes on"
            ) from None

    @contextmanager
    def exclusive(self, study: str) -> Iterator[None]:
        key = [_key("study", study)]
        until = time.monotonic() + storage.LOCK_WAIT_S
        while not self._ask("select pg_try_advisory_lock(%s)", key)[0]:
            if time.monotonic() > until:
                raise Refused(
                    f"the study «{study}» has been locked by another process for {storage.LOCK_WAIT_S:.0f} s; end that "
                    "one, or give another --study"
                )
            time.sleep(0.005)
        try:
            yield
        finally:
            with contextlib.suppress(storage.StorageLost):  # then it is let go already
                self._ask("select pg_advisory_unlock(%s)", key)

    def is_alive(self, owner: str) -> bool:
        if owner == self.owner:
            return True
        key = [_key("owner", owner)]
        if not self._ask("select pg_try_advisory_lock(%s)", key)[0]:
            return True
        self._ask("select pg_advisory_unlock(%s)", key)
        return False

    def without_secrets(self, text: str) -> str:
        return self._password.removed_from(text)

    def close(self) -> None:
        self._connection.close()
        storage.dispose(self.optuna)


class _Password:
    """The password of an address, to be kept out of every text."""

    def __init__(self, *texts: object) -> None:
        self._texts = {text for text in texts if isinstance(text, str) and text}
        self._secrets = []
        for text in self._texts:
            with contextlib.suppress(ValueError):  # not one word of ASCII: then only our own lines are clean of it
                self._secrets.append(Secret(text))  # whoever shows a traceback takes it out

    def removed_from(self, text: str) -> str:
        for word in sorted(self._texts, key=len, reverse=True):
            for form in {word, urllib.parse.quote(word, safe=""), urllib.parse.quote_plus(word)}:
                text = text.replace(form, "***")
        return text


def open_postgres(address: str) -> PostgresStorage:
    try:
        import psycopg
    except ImportError:
        raise Refused(
            "--storage postgresql: it needs the postgres extra: pip install 'btcbot[research,postgres]'"
        ) from None
    try:
        given = make_url(address)
    except (SQLAlchemyError, ValueError):
        raise Refused("--storage: this address cannot be read; write postgresql://USER@HOST:PORT/DATABASE") from None
    password = _Password(given.password, given.query.get("password"))
    url = given.set(drivername="postgresql+psycopg")
    shown = given.set(password=None, query={}, drivername="postgresql").render_as_string()
    try:
        plain = given.set(drivername="postgresql").render_as_string(hide_password=False)
        connection = psycopg.connect(plain, autocommit=True, connect_timeout=CONNECT_WAIT_S)
        # The server finds out within a minute that a machine has vanished, and lets its locks go.
        for name, value in (("idle", 30), ("interval", 10), ("count", 3)):
            connection.execute(f"set tcp_keepalives_{name} = {value}")
    except (psycopg.Error, ValueError, UnicodeError) as error:
        reason = password.removed_from(storage.describe(error))
        raise Refused(f"--storage {shown}: it cannot be reached ({reason}); check address, user and server") from None
    try:
        key = [_key("schema", "")]
        connection.execute("select pg_advisory_lock(%s)", key)
        kept = storage.relational(url, {"connect_timeout": CONNECT_WAIT_S})
        connection.execute("select pg_advisory_unlock(%s)", key)
        return PostgresStorage(kept, connection, given, password)
    except (SQLAlchemyError, psycopg.Error, RuntimeError, StorageInternalError) as error:
        connection.close()
        reason = password.removed_from(storage.describe(error))
        raise Refused(f"--storage {shown}: studies cannot be kept there ({reason})") from None


def _key(what: str, name: str) -> int:
    """A number for an advisory lock, the same in every process."""
    digest = hashlib.sha256(f"btcbot optimise {what} {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
