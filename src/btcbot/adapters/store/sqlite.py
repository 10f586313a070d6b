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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from btcbot.adapters.store import audit, files, revision
from btcbot.adapters.store.library import PREFERRED, Library
from btcbot.adapters.store.queries import Dialect, load
from btcbot.adapters.store.rows import Row
from btcbot.adapters.store.sql import SqlStore, SqlTransaction, misuse, one_line
from btcbot.errors import Refused, StoreFailed
from btcbot.ports import Metrics

BUSY_TIMEOUT_MS: Final = 5_000
#: Up to this size the whole file is checked at opening; above it the books, and not the reports of past cycles.
WHOLE_CHECK_BYTES_MAX: Final = 64 * 1024 * 1024
#: What `metrics` is told of each unit, from the write lock to the disk.
UNIT_SECONDS: Final = "btcbot_store_transaction_seconds"

_STATEMENTS: Final = load(Dialect.SQLITE)
_NOTHING: Final[Mapping[str, object]] = {}
_BOOKS: Final = (
    "identity",
    "orders",
    "holds",
    "fills",
    "entries",
    "postings",
    "account_balances",
    "positions",
    "discrepancies",
    "named_values",
)
#: SQLite's primary result codes that a person can do something about.
_MENDS: Final = {
    5: "another process holds the database: stop it, or wait until it is done",
    8: "the database may not be written: mend its owner, its mode or the file system",
    10: "the disk failed: check it and restore a backup",
    11: "the database is damaged: keep a copy of it and restore a backup",
    13: "no space is left for the database: free some",
    14: "the database or its folder cannot be opened: mend their owner or mode",
    26: "the file is not a SQLite database",
}
_BUSY: Final = 5
_LOCKED: Final = 6
_CANNOT_WRITE: Final = 8
_IO_FAILED: Final = 10
_DAMAGED: Final = 11
_FULL: Final = 13
_CANNOT_OPEN: Final = 14
_NOT_A_DATABASE: Final = 26
#: What SQLite answers for a full or read-only file system too, where it needs a file beside the database.
_MAY_BE_FULL: Final = (_IO_FAILED, _FULL, _CANNOT_OPEN)
_MAY_BE_READ_ONLY: Final = (_CANNOT_WRITE, _IO_FAILED, _CANNOT_OPEN)
_CODES: Final = {"disk I/O error": _IO_FAILED, "database or disk is full": _FULL}
#: How SQLite begins what it tells of damage, on a line of its own.
_DAMAGE_HEADING: Final = "*** in database"


def _code(error: Exception) -> int:
    """SQLite's primary result code, 0 where the error did not come from SQLite itself."""
    if isinstance(error, UnicodeDecodeError):
        return _DAMAGED
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code or _CODES.get(str(error), 0)  # a failed backup carries SQLite's text and no code


def _failure(error: Exception, folders: Iterable[Path]) -> StoreFailed:
    """What to tell the operator; `folders` are those that the work was done in."""
    mend = _mend(_code(error), folders)
    return StoreFailed(f"{mend} (SQLite: {one_line(error)})" if mend else f"the database refused: {one_line(error)}")


def _mend(code: int, folders: Iterable[Path]) -> str | None:
    # The file system knows better than SQLite what is wrong with it.
    for folder in folders:
        if code in _MAY_BE_FULL and files.is_full(folder):
            return f"no space is left in {folder}: make room"
        if code in _MAY_BE_READ_ONLY and files.is_read_only(folder):
            return f"the file system of {folder} is read-only: mount it for writing"
    return _MENDS.get(code)


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
        connection: Any,
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
        self._errors = _errors(library)
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
        connection = _connect(path, library, busy_timeout_ms, read_only=read_only)
        if read_only and _cannot_be_shared(connection, library, path):
            connection.close()
            files.demand_at_rest(path)
            connection = _connect(path, library, busy_timeout_ms, read_only=True, immutable=True)
        try:
            with _told(library, path.parent):
                _demand_ours(connection, library, path, read_only=read_only)
                if not read_only:
                    _keep_durably(connection, library)
                    _bring_up_to_date(connection, library, path)
            if is_made:
                files.keep_name(path)
        except BaseException:
            connection.close()
            raise
        return cls(connection, library, str(path), folder=path.parent, read_only=read_only, metrics=metrics)

    @classmethod
    def in_memory(cls, *, metrics: Metrics | None = None) -> SqliteStore:
        """An empty store that lasts as long as its process. Migrated once, copied from then on."""
        return cls(_copy_in_memory(_empty()), PREFERRED, "in memory", metrics=metrics)

    @classmethod
    def from_image(cls, image: bytes, *, metrics: Metrics | None = None) -> SqliteStore:
        """A store in memory that begins as `image` (from `image()` or a backup file). The same bytes are read once."""
        return cls(_copy_in_memory(_IMAGES.connection(image)), PREFERRED, "in memory", metrics=metrics)

    def transaction(self) -> SqliteTransaction:
        return SqliteTransaction(self)

    def library_note(self) -> str:
        """Which SQLite this is and how it keeps its journal, for `doctor` and the log."""
        return self._library.note

    def close(self) -> None:
        """Harmless to repeat."""
        with _told(self._library, *self._folders):
            self._connection.close()

    def verify(self) -> list[str]:
        """Read everything and prove it; a sentence for each thing that is wrong, an empty list for a sound database."""
        # Books in a damaged file prove nothing, and reading on may fail anywhere.
        return self._damage_in_full() or list(audit.findings(self._rows))

    def _damage_in_full(self) -> list[str]:
        try:
            told = [text for (text,) in self._connection.execute("PRAGMA integrity_check")]
            orphans = self._connection.execute("PRAGMA foreign_key_check").fetchall()
        except self._errors as error:
            return [str(self._failure(error))]
        found = [f"the file is damaged: {line}" for text in told for line in _signs_of_damage(text)]
        return found + [f"row {row} of {table} belongs to no row of {parent}" for table, row, parent, _ in orphans]

    def backup(self, to: Path) -> list[str]:
        """A copy in one file, proved undamaged before it gets its name. Other processes may go on writing meanwhile.

        Its folder must exist. Returns what `verify` says of the copy's books: a faithful copy of crooked books is still
        worth keeping.
        """
        to = to.absolute()
        with _told(self._library, to.parent, *self._folders):
            return _back_up(self._connection, self._library, to, prove=True)

    def image(self) -> bytes:
        """The whole database as bytes, for `from_image`."""
        folder = Path(tempfile.mkdtemp(prefix="btcbot-image-"))
        try:
            to = folder / "image.db"
            with _told(self._library, folder, *self._folders):
                _back_up(self._connection, self._library, to, prove=False)
            return to.read_bytes()
        finally:
            shutil.rmtree(folder)

    def _failure(self, error: Exception) -> StoreFailed:
        return _failure(error, self._folders)

    def _rows(self, name: str, parameters: Mapping[str, object] = _NOTHING) -> list[Row]:
        try:
            return self._cursor.execute(_STATEMENTS[name], parameters).fetchall()  # type: ignore[no-any-return]
        except self._errors as error:
            raise self._failure(error) from error

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


def _errors(library: Library) -> tuple[type[Exception], ...]:
    """What the driver raises. It cannot even decode what SQLite tells of a damaged schema that is no text any more."""
    return library.module.Error, UnicodeDecodeError


@contextmanager
def _told(library: Library, *folders: Path) -> Iterator[None]:
    """What the driver raises inside becomes StoreFailed. `folders` are those that are worked in."""
    try:
        yield
    except _errors(library) as error:
        raise _failure(error, folders) from error


def _connect(path: Path, library: Library, busy_timeout_ms: int, *, read_only: bool, immutable: bool = False) -> Any:
    """A connection that makes no file by itself. `immutable`: nobody can write meanwhile, so nothing is locked."""
    with _told(library, path.parent):
        connection = library.module.connect(
            f"{path.as_uri()}?mode={'ro' if read_only else 'rw'}{'&immutable=1' if immutable else ''}",
            uri=True,
            timeout=busy_timeout_ms / 1000,
            isolation_level=None,
            cached_statements=len(_STATEMENTS) + 16,
        )
    _guard(connection)
    return connection


def _guard(connection: Any) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cell_size_check = ON")  # damaged pages are told when they are read
    connection.execute("PRAGMA trusted_schema = OFF")  # a schema that somebody tampered with calls nothing


def _cannot_be_shared(connection: Any, library: Library, path: Path) -> bool:
    """Whether SQLite cannot read because it may not make the files beside the database that keep readers apart."""
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except _errors(library) as error:
        return _code(error) in (_CANNOT_WRITE, _CANNOT_OPEN) and not os.access(path.parent, os.W_OK)
    return False


def _demand_ours(connection: Any, library: Library, path: Path, *, read_only: bool) -> None:
    """Refuse what is no database of a btcbot, is damaged, or is of a revision that cannot be used. Writes nothing."""
    try:
        application_id = _pragma(connection, "application_id")
        is_empty = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except _errors(library) as error:
        if _code(error) == _NOT_A_DATABASE:
            raise Refused(
                f"{path} is not a SQLite database: give the path of btcbot's own, or of a new file"
            ) from error
        raise
    if is_empty and application_id in (0, revision.APPLICATION_ID):
        # Just made, or its making was cut short before anything was committed.
        if read_only:
            raise Refused(f"{path} is empty: start the bot once, which makes the database")
        return
    if application_id != revision.APPLICATION_ID:
        raise Refused(
            f"{path} is a SQLite database of another program: give the path of btcbot's own, or of a new file"
        )
    damage = _damage(connection)
    if damage:
        raise StoreFailed(f"{path} is damaged ({damage}): keep a copy of it and restore a backup")
    told = _revision(connection, path)
    if told not in revision.KNOWN:
        raise Refused(
            f"{path} was made by a newer btcbot, revision {told}; this one knows {revision.HEAD}: install the newer one"
        )
    if read_only and told != revision.HEAD:
        raise Refused(
            f"{path} was made by an older btcbot, revision {told}; this one reads {revision.HEAD}: "
            "start the bot once, which migrates the database"
        )


def _revision(connection: Any, path: Path) -> str:
    has_table = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    row = has_table and connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if not row:
        raise StoreFailed(f"{path} does not tell its schema revision: restore a backup")
    return str(row[0])


def _damage(connection: Any) -> str:
    """The first sign of damage, an empty string for none."""
    size = _pragma(connection, "page_count") * _pragma(connection, "page_size")
    checks = ["quick_check(1)"] if size <= WHOLE_CHECK_BYTES_MAX else [f"quick_check({table})" for table in _BOOKS]
    told = (connection.execute(f"PRAGMA {check}").fetchone()[0] for check in checks)
    return next((line for text in told for line in _signs_of_damage(text)), "")


def _signs_of_damage(told: str) -> list[str]:
    """What a check of SQLite tells, a line for each thing; nothing for `ok`."""
    lines = [one_line(line) for line in told.splitlines() if not line.startswith(_DAMAGE_HEADING)]
    return [] if told == "ok" else [line for line in lines if line]


def _keep_durably(connection: Any, library: Library) -> None:
    wanted = "wal" if library.is_wal_safe else "delete"
    if _pragma(connection, "journal_mode") != wanted:
        connection.execute(f"PRAGMA journal_mode = {wanted}")
        if _pragma(connection, "journal_mode") != wanted:
            raise StoreFailed(f"the file system of the database cannot do journal_mode={wanted}: use a local disk")
    connection.execute(f"PRAGMA synchronous = {'FULL' if library.is_wal_safe else 'EXTRA'}")


def _bring_up_to_date(connection: Any, library: Library, path: Path) -> None:
    """Make the schema, or migrate it after a copy was put beside it."""
    is_new = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    if not is_new:
        told = _revision(connection, path)
        if told == revision.HEAD:
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


def _back_up(connection: Any, library: Library, to: Path, *, prove: bool) -> list[str]:
    """Copy into a new file that is proved undamaged before it gets its name; what is wrong with its books."""
    if os.path.lexists(to):
        raise Refused(f"{to} exists already: give the backup a new name")
    files.demand_folder(to.parent)
    partial = to.with_name(f"{to.name}.partial")
    _remove_with_companions(partial)  # of a copy that was cut short
    files.create(partial)
    try:
        copy = _connect(partial, library, BUSY_TIMEOUT_MS, read_only=False)
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
    if status & 0xFF in (_BUSY, _LOCKED):
        raise StoreFailed(_MENDS[_BUSY])


def _remove_with_companions(path: Path) -> None:
    """A copy that failed on a full disk leaves its journal too, which no later copy may find."""
    for suffix in ("", *files.COMPANIONS):
        files.remove(path.with_name(path.name + suffix))


def _pragma(connection: Any, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _open_memory() -> Any:
    # Copies may be taken in any thread; SQLite itself is built to serialize that.
    connection = PREFERRED.module.connect(
        ":memory:", isolation_level=None, cached_statements=len(_STATEMENTS) + 16, check_same_thread=False
    )
    _guard(connection)
    return connection


def _copy_in_memory(template: Any) -> Any:
    connection = _open_memory()
    template.backup(connection)
    return connection


@cache
def _empty() -> Any:
    from btcbot.adapters.store.migrate import migrate

    connection = _open_memory()
    migrate(connection, PREFERRED)
    return connection


class _Images:
    """The images read last, each as a database in memory from which copies are made in microseconds."""

    SIZE_MAX: Final = 4

    def __init__(self) -> None:
        self._read: dict[bytes, Any] = {}

    def connection(self, image: bytes) -> Any:
        found = self._read.get(image)
        if found is None:
            if len(self._read) >= self.SIZE_MAX:
                oldest = next(iter(self._read))
                self._read.pop(oldest).close()
            found = self._read[image] = self._load(image)
        return found

    @staticmethod
    def _load(image: bytes) -> Any:
        folder = Path(tempfile.mkdtemp(prefix="btcbot-image-"))
        try:
            path = folder / "image.db"
            files.create(path)
            path.write_bytes(image)
            store = SqliteStore.open(path)
            try:
                with _told(PREFERRED):
                    return _copy_in_memory(store._connection)
            finally:
                store.close()
        finally:
            shutil.rmtree(folder)


_IMAGES: Final = _Images()
