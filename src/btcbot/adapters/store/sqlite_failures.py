"""What SQLite says when something is wrong, in words that tell a person what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from btcbot.adapters.store import files
from btcbot.adapters.store.library import Library
from btcbot.adapters.store.sql import one_line
from btcbot.errors import StoreFailed

#: SQLite's primary result codes that a person can do something about.
MENDS: Final = {
    5: "another process holds the database: stop it, or wait until it is done",
    8: "the database may not be written: mend its owner, its mode or the file system",
    10: "the disk failed: check it and restore a backup",
    11: "the database is damaged: keep a copy of it and restore a backup",
    13: "no space is left for the database: free some",
    14: "the database or its folder cannot be opened: mend their owner or mode",
    26: "the file is not a SQLite database",
}
BUSY: Final = 5
LOCKED: Final = 6
CANNOT_WRITE: Final = 8
_IO_FAILED: Final = 10
_DAMAGED: Final = 11
_FULL: Final = 13
CANNOT_OPEN: Final = 14
NOT_A_DATABASE: Final = 26
#: What SQLite answers for a full or read-only file system too, where it needs a file beside the database.
_MAY_BE_FULL: Final = (_IO_FAILED, _FULL, CANNOT_OPEN)
_MAY_BE_READ_ONLY: Final = (CANNOT_WRITE, _IO_FAILED, CANNOT_OPEN)
_CODES: Final = {"disk I/O error": _IO_FAILED, "database or disk is full": _FULL}


def code_of(error: Exception) -> int:
    """SQLite's primary result code, 0 where the error did not come from SQLite itself."""
    if isinstance(error, UnicodeDecodeError):
        return _DAMAGED
    # The driver sets it on what SQLite itself refused, not on what the driver refuses of its own.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code or _CODES.get(str(error), 0)  # a failed backup carries SQLite's text and no code


def failure(error: Exception, folders: Iterable[Path]) -> StoreFailed:
    """What to tell the operator; `folders` are those that the work was done in."""
    mend = _mend(code_of(error), folders)
    return StoreFailed(f"{mend} (SQLite: {one_line(error)})" if mend else f"the database refused: {one_line(error)}")


def _mend(code: int, folders: Iterable[Path]) -> str | None:
    # The file system knows better than SQLite what is wrong with it.
    for folder in folders:
        if code in _MAY_BE_FULL and files.is_full(folder):
            return f"no space is left in {folder}: make room"
        if code in _MAY_BE_READ_ONLY and files.is_read_only(folder):
            return f"the file system of {folder} is read-only: mount it for writing"
    return MENDS.get(code)


def errors_of(library: Library) -> tuple[type[Exception], ...]:
    """What the driver raises. It cannot even decode what SQLite tells of a damaged schema that is no text any more."""
    return library.module.Error, UnicodeDecodeError


@contextmanager
def told(library: Library, *folders: Path) -> Iterator[None]:
    """What the driver raises inside becomes StoreFailed. `folders` are those that are worked in."""
    try:
        yield
    except errors_of(library) as error:
        raise failure(error, folders) from error
