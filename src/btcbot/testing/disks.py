"""A layer between SQLite and the disk: whoever watches sees every operation, and may let it fail.

SQLite reaches files through a VFS, a table of functions. This one is made of SQLite's own VFS for this platform with
the functions for opening, reading, writing, truncating, syncing, deleting, locking and shared memory put in front of
it, registered by ctypes in the very library that the DB-API module uses. While a `watched` block lasts it is the
default, so whatever opens a database (the store, the bot, a command) opens it as always, through it. What the store
does with files by itself (making, renaming, removing, syncing a folder) goes through `os`, and is watched there.

    with watched(folder, Failing(at=7, trouble=Trouble.FULL)) as failing:
        store = SqliteStore.open(folder / "state.db")

Files outside the folder, and everything outside the block, are none of its business. One block at a time; a process
that was never in one has nothing registered.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar
from unittest import mock

from btcbot.adapters.store.library import PREFERRED, Library
from btcbot.testing.operations import Failure, Kind, Operation, Watcher, io_error
from btcbot.testing.vfs import Layer, NotWatchable, Watch

__all__ = ["Failing", "Failure", "Kind", "NotWatchable", "Operation", "Trouble", "Watcher", "watched"]


class Trouble(StrEnum):
    """What may be wrong with a disk, or with what else happens on it."""

    FULL = "no space"
    ERROR = "I/O error"
    SHORT = "half of it, then an error"
    BUSY = "held by another process"


#: Who meets which trouble: SQLite's extended code, as its VFS for Unix gives it.
_CODES: Final = {
    Trouble.FULL: {
        Kind.OPEN: 14,
        Kind.WRITE: 13,
        Kind.SYNC: io_error(4),
        Kind.SHARE: io_error(19),
        Kind.RENAME: io_error(),
        Kind.SYNC_FOLDER: io_error(5),
    },
    Trouble.ERROR: {
        Kind.OPEN: 14,
        Kind.READ: io_error(1),
        Kind.WRITE: io_error(3),
        Kind.TRUNCATE: io_error(6),
        Kind.SYNC: io_error(4),
        Kind.DELETE: io_error(10),
        Kind.RENAME: io_error(),
        Kind.SYNC_FOLDER: io_error(5),
        Kind.LOCK: io_error(15),
        Kind.SHARE: io_error(21),
    },
    Trouble.SHORT: {Kind.READ: io_error(2), Kind.WRITE: 13},
    Trouble.BUSY: {Kind.LOCK: 5},
}


class Failing:
    """Lets the `at`th operation that can meet the trouble meet it (1 is the first), and, `lasting`, all that follow.

    `at` 0 fails nothing and counts only.
    """

    def __init__(self, trouble: Trouble, at: int = 0, *, lasting: bool = False) -> None:
        self._trouble = trouble
        self._at = at
        self._lasting = lasting
        #: Operations that could have met it, also those that did.
        self.seen = 0
        #: Those that met it.
        self.struck: list[Operation] = []
        self.is_well = False

    def asks(self, operation: Operation) -> Failure | None:
        code = _CODES[self._trouble].get(operation.kind)
        if code is None or self.is_well or (operation.kind is Kind.OPEN and self._spares(operation)):
            return None
        self.seen += 1
        if not self._at or self.seen < self._at or (self.seen > self._at and not self._lasting):
            return None
        self.struck.append(operation)
        number = errno.ENOSPC if self._trouble is Trouble.FULL else errno.EIO
        return Failure(code, number, is_half=self._trouble is Trouble.SHORT)

    def done(self, operation: Operation) -> None:
        pass

    def heal(self) -> None:
        """The disk is well from now on."""
        self.is_well = True

    @contextmanager
    def spared(self) -> Iterator[None]:
        """What happens in the block is the test's own doing and meets no trouble."""
        before, self.is_well = self.is_well, True
        try:
            yield
        finally:
            self.is_well = before

    def _spares(self, operation: Operation) -> bool:
        return self._trouble is Trouble.FULL and not operation.makes  # what is there can be opened


_LAYERS: Final[dict[str, Layer]] = {}

_Any = TypeVar("_Any", bound=Watcher)


@contextmanager
def watched(folder: Path, watcher: _Any, *, library: Library = PREFERRED) -> Iterator[_Any]:
    """Let `watcher` see what happens to files in `folder` until the block ends. Raises NotWatchable.

    `library` is whose SQLite is watched. Waiting for a lock takes no time in the block.
    """
    name = library.module.__name__
    if name not in _LAYERS:
        _LAYERS[name] = Layer(library)
    watch = Watch(Path(os.path.realpath(folder)), watcher)
    with ExitStack() as stack:
        stack.enter_context(_LAYERS[name].watching(watch))
        for replaced, by in _by_hand(watch).items():
            stack.enter_context(mock.patch.object(os, replaced, by))
        yield watcher


# -- what the store does without SQLite ----------------------------------------------------------------------------


def _by_hand(watch: Watch) -> dict[str, Callable[..., Any]]:
    """`os` functions that look first whether a watched file is meant."""
    opened: dict[int, str] = {}  # files and, as an empty name, the folder itself
    original: dict[str, Callable[..., Any]] = {
        "open": os.open,
        "close": os.close,
        "fsync": os.fsync,
        "rename": os.rename,
        "unlink": os.unlink,
    }

    def known(path: Any) -> str | None:
        return None if isinstance(path, int) else watch.name(os.fsencode(os.path.abspath(path)) + b"/")  # noqa: PTH100 - a link stays one

    def watch_out(operation: Operation) -> None:
        failure = watch.watcher.asks(operation)
        if failure is not None:
            raise OSError(failure.errno, os.strerror(failure.errno), operation.name)

    def open_(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        name = known(path)
        if name is None:
            return int(original["open"](path, flags, *rest, **named))
        name = name.rstrip("/")
        makes = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        operation = Operation(Kind.OPEN, name, makes=makes)
        if name:
            watch_out(operation)
        descriptor = int(original["open"](path, flags, *rest, **named))
        opened[descriptor] = name
        if name:
            watch.watcher.done(operation)
        return descriptor

    def close(descriptor: int) -> None:
        opened.pop(descriptor, None)
        original["close"](descriptor)

    def fsync(descriptor: int) -> None:
        name = opened.get(descriptor)
        if name is None:
            original["fsync"](descriptor)
            return
        operation = Operation(Kind.SYNC if name else Kind.SYNC_FOLDER, name)
        watch_out(operation)
        original["fsync"](descriptor)
        watch.watcher.done(operation)

    def rename(path: Any, to: Any, **named: Any) -> None:
        name, new = known(path), known(to)
        if name is None or new is None:
            original["rename"](path, to, **named)
            return
        operation = Operation(Kind.RENAME, name.rstrip("/"), data=os.fsencode(new.rstrip("/")))
        watch_out(operation)
        original["rename"](path, to, **named)
        watch.watcher.done(operation)

    def unlink(path: Any, **named: Any) -> None:
        name = known(path)
        if name is None:
            original["unlink"](path, **named)
            return
        operation = Operation(Kind.DELETE, name.rstrip("/"))
        if not os.path.lexists(path):
            original["unlink"](path, **named)
            return
        watch_out(operation)
        original["unlink"](path, **named)
        watch.watcher.done(operation)

    return {"open": open_, "close": close, "fsync": fsync, "rename": rename, "unlink": unlink}
