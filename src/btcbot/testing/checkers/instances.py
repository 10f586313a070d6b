"""I12: a second writer on the same database or with the same API key is refused, and the lock ends with its holder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from btcbot.adapters.process_lock import WriterLock, acquire
from btcbot.errors import Refused
from btcbot.testing.checkers.scene import Violated

_KEY: Final = f"first-{os.getpid()}"
_OTHER_KEY: Final = f"other-{os.getpid()}"


def one_writer(folder: Path) -> int:
    """Try to become a second writer in every way there is; the number of ways. `folder` is empty and ours."""
    database = folder / "books.db"
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    with _taken(database, _KEY, "the first one") as lock:
        hard, soft = elsewhere / "hard.db", elsewhere / "soft.db"
        os.link(database, hard)
        soft.symlink_to(database)
        ways = {
            "the same database": (database, _OTHER_KEY),
            "a hard link to the database": (hard, _OTHER_KEY),
            "a symbolic link to the database": (soft, _OTHER_KEY),
            "another database with the same key": (folder / "other.db", _KEY),
        }
        for way, (path, key) in ways.items():
            _demand_refused(path, key, way)
        with _taken(folder / "stranger.db", _OTHER_KEY, "another database with another key"):
            pass
        if not lock.is_held():
            raise Violated("I12", "the lock is taken and says that it is not")
        database.rename(elsewhere / "moved.db")
        database.touch(0o600)
        if lock.is_held():
            raise Violated("I12", "the database was replaced under its lock, which still counts")
    with _taken(folder / "other.db", _KEY, "the next one, once the first is gone"):
        return len(ways) + 3


def _taken(database: Path, key: str, who: str) -> WriterLock:
    try:
        return acquire(database, key)
    except Refused as refused:
        raise Violated("I12", f"{who} may write and is refused: {refused}") from refused


def _demand_refused(database: Path, key: str, way: str) -> None:
    with contextlib.suppress(Refused):
        acquire(database, key).release()
        raise Violated("I12", f"there are two writers: {way}")
