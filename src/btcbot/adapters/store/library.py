"""Which SQLite is in use, and whether its write-ahead log can be trusted.

SQLite 3.7.0 to 3.51.2 can lose committed writes or corrupt the file when two connections write and checkpoint at the
same instant (the "WAL-reset" bug; mended in 3.51.3, and in the branches 3.44.6 and 3.50.7). Linux distributions still
ship such versions, so on Linux the `pysqlite3` wheel brings its own. Where only an affected library is to be had, the
store uses the rollback journal: slower, and sound.
"""

from __future__ import annotations

import sqlite3
from types import ModuleType
from typing import Any, Final, TypeAlias

import msgspec

try:
    from pysqlite3 import dbapi2 as bundled
except ImportError:  # no wheel for this platform
    bundled = None


#: A connection of either candidate. That of `pysqlite3` is a class of its own without types, and of the same shape.
Connection: TypeAlias = sqlite3.Connection


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """A DB-API module for SQLite. `module` is untyped on purpose: both candidates have the shape of `sqlite3`."""

    name: str
    module: Any
    version: tuple[int, int, int]

    @property
    def is_wal_safe(self) -> bool:
        return is_wal_safe(self.version)

    @property
    def note(self) -> str:
        """One line for `doctor` and the log."""
        version = ".".join(map(str, self.version))
        if self.is_wal_safe:
            return f"SQLite {version} from {self.name}, journal_mode=WAL"
        return (
            f"SQLite {version} from {self.name} has the WAL-reset bug (mended in 3.51.3), journal_mode=DELETE: "
            "slower, safe; install pysqlite3 for WAL"
        )


def is_wal_safe(version: tuple[int, int, int]) -> bool:
    if version >= (3, 51, 3) and version[:2] != (3, 52):  # 3.52.0 was withdrawn
        return True
    return version < (3, 7, 0) or (version[:2] in {(3, 44), (3, 50)} and version >= _BACKPORTS[version[:2]])


_BACKPORTS: Final = {(3, 44): (3, 44, 6), (3, 50): (3, 50, 7)}


def _library(module: ModuleType, name: str) -> Library:
    major, minor, patch = map(int, module.sqlite_version.split("."))
    return Library(name=name, module=module, version=(major, minor, patch))


STANDARD: Final = _library(sqlite3, "the Python standard library")
PREFERRED: Final = STANDARD if bundled is None else _library(bundled, "pysqlite3")
