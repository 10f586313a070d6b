"""The StateStore on SQLite: one file, one writer, and nothing acknowledged that a power cut could take back.

- A unit is `BEGIN IMMEDIATE … COMMIT`: the write lock comes first, so a unit never fails midway for another writer.
- `synchronous=FULL` always, with the write-ahead log: a commit returns after the log is on the disk (I22). Where the
  library may not use that log (library.py) it is the rollback journal with EXTRA, which also syncs its removal.
- Opening checks first and touches later: a file that is not ours, damaged, or too new for this program stays as it is.
- Everything that goes wrong below is StoreFailed, in one line that says what to do.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from btcbot.adapters.store import audit, files, revision
from btcbot.adapters.store import sqlite_opening as opening
from btcbot.adapters.store.library import PREFERRED, Connection, Library
from btcbot.adapters.store.queries import Dialect, load
from btcbot.adapters.store.rows import Row
from btcbot.adapters.store.sql import SqlStore, SqlTransaction, misuse
from btcbot.adapters.store.sqlite_failures import BUSY, LOCKED, MENDS, errors_of, failure, told
from btcbot.adapters.store.sqlite_memory import Images, copy_in_memory, empty
from btcbot.adapters.store.sqlite_opening import BUSY_TIMEOUT_MS
from btcbot.errors import Refused, StoreFailed
from btcbot.ports import Metrics

#: What `metrics` is told of each unit, from the write lock to the disk.
UNIT_SECONDS: Final = "btcbot_store_transaction_seconds"

_STATEMENTS: Final = load(Dialect.SQLITE)
_NOTHING: Final[Mapping[str, object]] = {}


class SqliteTransaction(SqlTransaction):
    """`with store.transaction() as tx`: one unit, all of it or nothing."""

    __slots__ = ("_failed", "_is_open", "_store")

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._failed: StoreFailed | None = None
        self._is_open = False

    def __enter__(self) -> Self:
        self._store._begin()
        self._is_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        if kind is None and self._failed is None:
            self._store._commit()
            return
        self._store._roll_back()
        if kind is None and self._failed is not None:
            raise self._failed  # somebody swallowed it; half of a unit must not be kept all the same

    def _write(self, name: str, parameters: Mapping[str, object]) -> int:
        if not self._is_open:
            raise misuse("a write came after its unit had ended")
        store = self._store
        try:
            return int(store._cursor.execute(_STATEMENTS[name], parameters).rowcount)
        except store._errors as error:
            raise self._note(store._failure(error)) from error

    def _write_many(self, name: str, parameters: Iterable[Mapping[str, object]]) -> None:
        if not self._is_open:
            raise misuse("a write came after its unit had ended")
        store = self._store
        try:
            store._cursor.executemany(_STATEMENTS[name], parameters)
        except store._errors as error:
            raise self._note(store._failure(error)) from error

    def _rows(self, name: str, parameters: Mapping[str, object]) -> list[Row]:
        return self._store._rows(name, parameters)

    def _fail(self, why: str) -> StoreFailed:
        return self._note(StoreFailed(why))

    def _note(self, failed: StoreFailed) -> StoreFailed:
        self._failed = failed
        return failed


class SqliteStore(SqlStore):
    """One connection to one database."""

    def __init__(
        self,
        connection: Connection,
        library: Library,
        where: str,
        *,
        folder: Path | None = None,
        read_only: bool = False,
        metrics: Metrics | None = None,
    ) -> None:
        """For the makers below; use `open`, `in_memory` or `from_image`."""
        self._connection = connection
        self._cursor = connection.cursor()
        self._library = library
        self._errors = errors_of(library)
        self._where = where
        self._folders = () if folder is None else (folder,)
        self._read_only = read_only
        self._metrics = metrics
        self._in_unit = False
        self._began_ns = 0

    def __repr__(self) -> str:
        return f"<SqliteStore {self._where}{', read only' if self._read_only else ''}>"

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        read_only: bool = False,
        metrics: Metrics | None = None,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
        library: Library = PREFERRED,
    ) -> SqliteStore:
        """Open a database, making or migrating it when it is opened for writing.

        Refused for a path or a file that is not ours to use, StoreFailed for one that is damaged or held by another.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would hide a symbolic link
        is_made = not read_only and files.create(path)
        files.demand_usable(path, read_only=read_only)
        connection = opening.connect(path, library, busy_timeout_ms, read_only=read_only)
        if read_only and opening.cannot_be_shared(connection, library, path):
            connection.close()
            files.demand_at_rest(path)
            connection = opening.connect(path, library, busy_timeout_ms, read_only=True, immutable=True)
        with ExitStack() as undo:
            undo.callback(connection.close)
            with told(library, path.parent):
                opening.demand_ours(connection, library, path, read_only=read_only)
                if not read_only:
                    opening.keep_durably(connection, library)
                    _bring_up_to_date(connection, library, path)
            if is_made:
                files.keep_name(path)
            undo.pop_all()  # the database stays open
        return cls(connection, library, str(path), folder=path.parent, read_only=read_only, metrics=metrics)

    @classmethod
    def in_memory(cls, *, metrics: Metrics | None = None) -> SqliteStore:
        """An empty store that lasts as long as its process. Migrated once, copied from then on."""
        return cls(copy_in_memory(empty()), PREFERRED, "in memory", metrics=metrics)

    @classmethod
    def from_image(cls, image: bytes, *, metrics: Metrics | None = None) -> SqliteStore:
        """A store in memory that begins as `image` (from `image()` or a backup file). The same bytes are read once."""
        return cls(copy_in_memory(_IMAGES.connection(image)), PREFERRED, "in memory", metrics=metrics)

    def transaction(self) -> SqliteTransaction:
        return SqliteTransaction(self)

    def library_note(self) -> str:
        """Which SQLite this is and how it keeps its journal, for `doctor` and the log."""
        return self._library.note

    def close(self) -> None:
        """Harmless to repeat."""
        with told(self._library, *self._folders):
            self._connection.close()

    def verify(self) -> list[str]:
        """Read everything and prove it; a sentence for each thing that is wrong, an empty list for a sound database."""
        # Books in a damaged file prove nothing, and reading on may fail anywhere.
        return self._damage_in_full() or list(audit.findings(self._rows))

    def _damage_in_full(self) -> list[str]:
        try:
            lines = [text for (text,) in self._connection.execute("PRAGMA integrity_check")]
            orphans = self._connection.execute("PRAGMA foreign_key_check").fetchall()
        except self._errors as error:
            return [str(self._failure(error))]
        found = [f"the file is damaged: {line}" for text in lines for line in opening.signs_of_damage(text)]
        return found + [f"row {row} of {table} belongs to no row of {parent}" for table, row, parent, _ in orphans]

    def backup(self, to: Path) -> list[str]:
        """A copy in one file, proved undamaged before it gets its name. Other processes may go on writing meanwhile.

        Its folder must exist. Returns what `verify` says of the copy's books: a faithful copy of crooked books is still
        worth keeping.
        """
        to = to.absolute()
        with told(self._library, to.parent, *self._folders):
            return _back_up(self._connection, self._library, to, prove=True)

    def image(self) -> bytes:
        """The whole database as bytes, for `from_image`."""
        folder = Path(tempfile.mkdtemp(prefix="btcbot-image-"))
        try:
            to = folder / "image.db"
            with told(self._library, folder, *self._folders):
                _back_up(self._connection, self._library, to, prove=False)
            return to.read_bytes()
        finally:
            shutil.rmtree(folder)

    def _failure(self, error: Exception) -> StoreFailed:
        return failure(error, self._folders)

    def _rows(self, name: str, parameters: Mapping[str, object] = _NOTHING) -> list[Row]:
        try:
            rows: list[Row] = self._cursor.execute(_STATEMENTS[name], parameters).fetchall()
        except self._errors as error:
            raise self._failure(error) from error
        return rows

    def _begin(self) -> None:
        if self._read_only:
            raise StoreFailed(f"{self._where} was opened for reading only")
        if self._in_unit:
            raise misuse("a unit began inside another")
        self._began_ns = time.perf_counter_ns()
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
        except self._errors as error:
            raise self._failure(error) from error
        self._in_unit = True

    def _commit(self) -> None:
        self._in_unit = False
        try:
            self._cursor.execute("COMMIT")
        except self._errors as error:
            self._roll_back()
            raise self._failure(error) from error
        if self._metrics is not None:
            self._metrics.observe(UNIT_SECONDS, (time.perf_counter_ns() - self._began_ns) / 1e9)

    def _roll_back(self) -> None:
        self._in_unit = False
        try:
            if self._connection.in_transaction:  # a full disk makes SQLite roll back by itself
                self._cursor.execute("ROLLBACK")
        except self._errors as error:
            raise self._failure(error) from error


def _bring_up_to_date(connection: Connection, library: Library, path: Path) -> None:
    """Make the schema, or migrate it after a copy was put beside it."""
    is_new = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    if not is_new:
        found = opening.revision_of(connection, path)
        if found == revision.HEAD:
            return
        _back_up(connection, library, _free_name(path, f"before-{revision.HEAD}"), prove=False)
    from btcbot.adapters.store.migrate import migrate  # 350 ms of imports that most starts do without

    migrate(connection, library)


def _free_name(path: Path, suffix: str) -> Path:
    """`<name>.<suffix>`, numbered from 2 when it is taken: a copy never replaces another."""
    name, number = path.with_name(f"{path.name}.{suffix}"), 1
    while os.path.lexists(name):
        number += 1
        name = path.with_name(f"{path.name}.{suffix}-{number}")
    return name


def _back_up(connection: Connection, library: Library, to: Path, *, prove: bool) -> list[str]:
    """Copy into a new file that is proved undamaged before it gets its name; what is wrong with its books."""
    if os.path.lexists(to):
        raise Refused(f"{to} exists already: give the backup a new name")
    files.demand_folder(to.parent)
    partial = to.with_name(f"{to.name}.partial")
    _remove_with_companions(partial)  # of a copy that was cut short
    files.create(partial)
    try:
        copy = opening.connect(partial, library, BUSY_TIMEOUT_MS, read_only=False)
        try:
            connection.backup(copy, progress=_never_wait_for_ever)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, no log beside it
            store = SqliteStore(copy, library, str(partial), folder=to.parent)
            damage = store._damage_in_full()
            if damage:
                raise StoreFailed(f"the copy is damaged, so it was thrown away: {damage[0]}")
            found = list(audit.findings(store._rows)) if prove else []
        finally:
            copy.close()
        files.publish(partial, to)
    finally:
        _remove_with_companions(partial)
    return found


def _never_wait_for_ever(status: int, _remaining: int, _total: int) -> None:
    """The driver copies until it succeeds; where another process holds a lock, each try has waited its time before."""
    if status & 0xFF in (BUSY, LOCKED):
        raise StoreFailed(MENDS[BUSY])


def _remove_with_companions(path: Path) -> None:
    """A copy that failed on a full disk leaves its journal too, which no later copy may find."""
    for suffix in ("", *files.COMPANIONS):
        files.remove(path.with_name(path.name + suffix))


def _load_image(image: bytes) -> Connection:
    folder = Path(tempfile.mkdtemp(prefix="btcbot-image-"))
    try:
        path = folder / "image.db"
        files.create(path)
        path.write_bytes(image)
        store = SqliteStore.open(path)
        try:
            with told(PREFERRED):
                return copy_in_memory(store._connection)
        finally:
            store.close()
    finally:
        shutil.rmtree(folder)


_IMAGES: Final = Images(_load_image)
