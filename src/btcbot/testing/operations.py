"""What is done to files, one operation at a time, and who may watch it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol

import msgspec

__all__ = ["Failure", "Kind", "Operation", "Watcher", "io_error"]

_IO: Final = 10


def io_error(detail: int = 0) -> int:
    """SQLite's extended result code for an I/O error, as sqlite3.h numbers them."""
    return _IO | detail << 8


class Kind(StrEnum):
    """What is done to a file."""

    OPEN = "open"  # also makes it, when it was not there
    READ = "read"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    DELETE = "delete"
    RENAME = "rename"
    SYNC_FOLDER = "sync folder"
    LOCK = "lock"
    SHARE = "share"  # a part of the shared memory beside a write-ahead log


class Operation(msgspec.Struct, frozen=True):
    """One operation. `name` is the file's within the folder, empty for the folder; `handle` is that of SQLite's open
    file, 0 for none."""

    kind: Kind
    name: str
    handle: int = 0
    offset: int = 0
    #: Bytes of a READ or WRITE, the new length of a TRUNCATE.
    size: int = 0
    #: What is written, or the new name of a RENAME.
    data: bytes = b""
    #: Whether an OPEN makes the file.
    makes: bool = False


class Failure(msgspec.Struct, frozen=True):
    """How an operation ends instead: for SQLite an extended result code, for `os` an errno."""

    code: int
    errno: int
    #: Whether half of a READ or WRITE is done first.
    is_half: bool = False


class Watcher(Protocol):
    """Who is asked before each operation, and told after each that went well."""

    def asks(self, operation: Operation) -> Failure | None: ...

    def done(self, operation: Operation) -> None: ...
