"""A VFS of ours in front of SQLite's own, by ctypes, in the very library that a DB-API module uses.

It is SQLite's VFS for this platform with the functions for opening, reading, writing, truncating, syncing, deleting,
locking and shared memory replaced by ones that ask a watcher first (disks.py) and then call the original. A syncing of
the folder is seen where SQLite opens it, which it does for nothing else.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, c_char_p, c_int, c_int64, c_void_p
from pathlib import Path
from typing import Any, Final

import msgspec

from btcbot.adapters.store.library import Library
from btcbot.testing.operations import Kind, Operation, Watcher, io_error

__all__ = ["Layer", "NotWatchable", "Watch"]


class NotWatchable(Exception):
    """This build of SQLite hides its functions, so nothing can be put under it."""


# -- SQLite's tables of functions (sqlite3.h) ----------------------------------------------------------------------

_OPEN_CREATES: Final = 0x4
_LOCKING_SHARED_MEMORY: Final = 2  # SQLITE_SHM_LOCK
_SHORT_READ: Final = io_error(2)
_METHODS: Final = [
    "xClose",
    "xRead",
    "xWrite",
    "xTruncate",
    "xSync",
    "xFileSize",
    "xLock",
    "xUnlock",
    "xCheckReservedLock",
    "xFileControl",
    "xSectorSize",
    "xDeviceCharacteristics",
    "xShmMap",
    "xShmLock",
    "xShmBarrier",
    "xShmUnmap",
    "xFetch",
    "xUnfetch",
]
_FUNCTIONS: Final = [
    "xOpen",
    "xDelete",
    "xAccess",
    "xFullPathname",
    "xDlOpen",
    "xDlError",
    "xDlSym",
    "xDlClose",
    "xRandomness",
    "xSleep",
    "xCurrentTime",
    "xGetLastError",
    "xCurrentTimeInt64",
    "xSetSystemCall",
    "xGetSystemCall",
    "xNextSystemCall",
]


class _Methods(ctypes.Structure):
    """sqlite3_io_methods."""

    _fields_ = [("iVersion", c_int), *((name, c_void_p) for name in _METHODS)]


class _Vfs(ctypes.Structure):
    """sqlite3_vfs."""

    _fields_ = [
        ("iVersion", c_int),
        ("szOsFile", c_int),
        ("mxPathname", c_int),
        ("pNext", c_void_p),
        ("zName", c_char_p),
        ("pAppData", c_void_p),
        *((name, c_void_p) for name in _FUNCTIONS),
    ]


_OPEN: Final = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_DELETE: Final = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_SLEEP: Final = CFUNCTYPE(c_int, c_void_p, c_int)
_TRANSFER: Final = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE: Final = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC: Final = CFUNCTYPE(c_int, c_void_p, c_int)
_LOCK: Final = CFUNCTYPE(c_int, c_void_p, c_int)
_SHARE: Final = CFUNCTYPE(c_int, c_void_p, c_int, c_int, c_int, c_void_p)
_SHARE_LOCK: Final = CFUNCTYPE(c_int, c_void_p, c_int, c_int, c_int)
_OPEN_FOLDER: Final = CFUNCTYPE(c_int, c_void_p, c_void_p)
_SET_CALL: Final = CFUNCTYPE(c_int, c_void_p, c_char_p, c_void_p)
_GET_CALL: Final = CFUNCTYPE(c_void_p, c_void_p, c_char_p)


def _call(shape: Any, address: int, *arguments: Any) -> int:
    """Call a function of SQLite by its address; its result code."""
    return int(shape(address)(*arguments))


class _File(msgspec.Struct, frozen=True):
    name: str
    handle: int
    watch: Watch
    methods: _Methods  # SQLite's own


class Watch:
    """One block: whose files, who watches, and what went wrong in the watching itself."""

    def __init__(self, folder: Path, watcher: Watcher) -> None:
        self._prefix = os.fsencode(folder) + b"/"
        self.watcher = watcher
        self.is_over = False
        self.error: BaseException | None = None

    def name(self, path: bytes | None) -> str | None:
        """The name of a path that is watched."""
        return os.fsdecode(path[len(self._prefix) :]) if path and path.startswith(self._prefix) else None

    def pass_on(self, operation: Operation, act: Callable[[], int]) -> int:
        """Do it unless the watcher lets it fail; SQLite's result code."""
        if self.is_over:
            return act()
        failure = self.watcher.asks(operation)
        if failure is not None:
            return failure.code
        code = act()
        if not code:
            self.watcher.done(operation)
        return code


class Layer:
    """Our VFS in one SQLite library. Made once and never freed: connections point to it as long as they live."""

    NAME: Final = b"btcbot-watched"

    def __init__(self, library: Library) -> None:
        self._library = _functions_of(library)
        self._base_address = self._library.sqlite3_vfs_find(None)
        self._base = _Vfs.from_address(self._base_address)
        self._files: dict[int, _File] = {}
        self._tables: dict[int, _Methods] = {}
        self._handles = 0
        self.watch: Watch | None = None
        self._callbacks = {  # kept: SQLite has their addresses only
            "xOpen": _OPEN(self._safely(self._open)),
            "xDelete": _DELETE(self._safely(self._delete)),
            "xSleep": _SLEEP(self._safely(self._sleep)),
            "xRead": _TRANSFER(self._safely(self._read)),
            "xWrite": _TRANSFER(self._safely(self._write)),
            "xTruncate": _TRUNCATE(self._safely(self._truncate)),
            "xSync": _SYNC(self._safely(self._sync)),
            "xLock": _LOCK(self._safely(self._lock)),
            "xShmMap": _SHARE(self._safely(self._share)),
            "xShmLock": _SHARE_LOCK(self._safely(self._share_lock)),
            "openDirectory": _OPEN_FOLDER(self._safely(self._open_folder)),
        }
        self._vfs = _copied(self._base, _FUNCTIONS, self._callbacks)
        self._vfs.zName, self._vfs.pNext = self.NAME, None
        self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 0)
        try:
            library.module.connect(f"file:probe?mode=memory&vfs={self.NAME.decode()}", uri=True).close()
        except library.module.Error as error:
            raise NotWatchable(f"{library.name} has a SQLite of its own behind the one that was found") from error
        get_call, set_call = _GET_CALL(self._base.xGetSystemCall), _SET_CALL(self._base.xSetSystemCall)
        self._open_folder_itself = _OPEN_FOLDER(get_call(self._base_address, b"openDirectory"))
        set_call(self._base_address, b"openDirectory", ctypes.cast(self._callbacks["openDirectory"], c_void_p))

    @contextmanager
    def watching(self, watch: Watch) -> Iterator[None]:
        assert self.watch is None, "one block at a time"
        self.watch = watch
        self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1)
        try:
            yield
        finally:
            self._library.sqlite3_vfs_register(self._base_address, 1)
            self.watch, watch.is_over = None, True
        if watch.error is not None:
            raise watch.error

    def _safely(self, function: Callable[..., int]) -> Callable[..., int]:
        """ctypes drops what a callback raises and answers 0, which is `all is well`: keep it, and answer an error."""

        def called(*arguments: Any) -> int:
            try:
                return function(*arguments)
            except BaseException as error:  # noqa: BLE001 - raised at the end of the block
                if self.watch is not None:
                    self.watch.error = self.watch.error or error
                return io_error()

        return called

    # -- the functions ---------------------------------------------------------------------------------------------

    def _open(self, vfs: int, name: int | None, file: int, flags: int, told: int) -> int:
        def act() -> int:
            return _call(_OPEN, self._base.xOpen, self._base_address, name, file, flags, told)

        path = ctypes.string_at(name) if name else None
        watch = self.watch
        known = watch.name(path) if watch else None
        if watch is None or path is None or known is None:
            return act()
        self._handles += 1
        makes = bool(flags & _OPEN_CREATES) and not os.path.lexists(path)
        code = watch.pass_on(Operation(Kind.OPEN, known, self._handles, makes=makes), act)
        table = c_void_p.from_address(file)
        if code:
            table.value = None  # or SQLite would close what it never got
            return code
        assert table.value is not None
        own = _Methods.from_address(table.value)
        if table.value not in self._tables:
            self._tables[table.value] = _copied(own, _METHODS, self._callbacks)
        self._files[file] = _File(known, self._handles, watch, own)
        table.value = ctypes.addressof(self._tables[table.value])
        return 0

    def _read(self, file: int, into: int, size: int, offset: int) -> int:
        one = self._files[file]
        operation = Operation(Kind.READ, one.name, one.handle, offset, size)
        failure = None if one.watch.is_over else one.watch.watcher.asks(operation)
        if failure is not None and not failure.is_half:
            return failure.code
        code = _call(_TRANSFER, one.methods.xRead, file, into, size, offset)
        if failure is not None:
            ctypes.memset(into + size // 2, 0, size - size // 2)  # as SQLite's own VFS leaves a short read
            return failure.code
        if code in (0, _SHORT_READ) and not one.watch.is_over:
            one.watch.watcher.done(operation)
        return code

    def _write(self, file: int, data: int, size: int, offset: int) -> int:
        one = self._files[file]
        if one.watch.is_over:
            return _call(_TRANSFER, one.methods.xWrite, file, data, size, offset)
        operation = Operation(Kind.WRITE, one.name, one.handle, offset, size, ctypes.string_at(data, size))
        failure = one.watch.watcher.asks(operation)
        if failure is not None:
            if failure.is_half:
                _call(_TRANSFER, one.methods.xWrite, file, data, size // 2, offset)
            return failure.code
        code = _call(_TRANSFER, one.methods.xWrite, file, data, size, offset)
        if not code:
            one.watch.watcher.done(operation)
        return code

    def _truncate(self, file: int, size: int) -> int:
        one = self._files[file]
        operation = Operation(Kind.TRUNCATE, one.name, one.handle, size=size)
        return one.watch.pass_on(operation, lambda: _call(_TRUNCATE, one.methods.xTruncate, file, size))

    def _sync(self, file: int, flags: int) -> int:
        one = self._files[file]
        operation = Operation(Kind.SYNC, one.name, one.handle)
        return one.watch.pass_on(operation, lambda: _call(_SYNC, one.methods.xSync, file, flags))

    def _lock(self, file: int, level: int) -> int:
        one = self._files[file]
        operation = Operation(Kind.LOCK, one.name, one.handle, size=level)
        return one.watch.pass_on(operation, lambda: _call(_LOCK, one.methods.xLock, file, level))

    def _share(self, file: int, region: int, size: int, extends: int, at: int) -> int:
        one = self._files[file]
        operation = Operation(Kind.SHARE, one.name, one.handle, region, size)
        return one.watch.pass_on(operation, lambda: _call(_SHARE, one.methods.xShmMap, file, region, size, extends, at))

    def _share_lock(self, file: int, first: int, count: int, flags: int) -> int:
        one = self._files[file]

        def act() -> int:
            return _call(_SHARE_LOCK, one.methods.xShmLock, file, first, count, flags)

        if not flags & _LOCKING_SHARED_MEMORY:
            return act()  # letting go never fails
        return one.watch.pass_on(Operation(Kind.LOCK, one.name, one.handle, first, count), act)

    def _delete(self, vfs: int, name: int, syncs_folder: int) -> int:
        def act() -> int:
            return _call(_DELETE, self._base.xDelete, self._base_address, name, syncs_folder)

        watch = self.watch
        known = watch.name(ctypes.string_at(name)) if watch else None
        if watch is None or known is None:
            return act()
        operation = Operation(Kind.DELETE, known)
        failure = watch.watcher.asks(operation)
        if failure is not None:
            return failure.code
        # Told before it is done: SQLite syncs the folder within, and then the name is gone for good.
        if os.path.lexists(ctypes.string_at(name)):
            watch.watcher.done(operation)
        return act()

    def _open_folder(self, path: int, descriptor: int) -> int:
        """SQLite opens the folder of a file for nothing else than to sync it."""
        code = int(self._open_folder_itself(path, descriptor))
        watch = self.watch
        name = watch.name(ctypes.string_at(path)) if watch else None
        if watch is not None and name is not None and not code:
            watch.watcher.done(Operation(Kind.SYNC_FOLDER, ""))
        return code

    def _sleep(self, vfs: int, microseconds: int) -> int:
        if self.watch is not None:
            return microseconds  # whoever waits for a lock has waited
        return _call(_SLEEP, self._base.xSleep, self._base_address, microseconds)


def _copied(original: Any, names: list[str], callbacks: dict[str, Any]) -> Any:
    """A table with the functions that are watched put in place of the original's. Fields of a C struct go by name."""
    copy = type(original).from_buffer_copy(original)
    for name in names:
        if name in callbacks:
            setattr(copy, name, ctypes.cast(callbacks[name], c_void_p).value)
    return copy


def _functions_of(library: Library) -> Any:
    """The C functions of a DB-API module's SQLite."""
    name = f"{library.module.__name__.rpartition('.')[0]}._sqlite3".lstrip(".")
    path = getattr(importlib.import_module(name), "__file__", None)  # None: built into the interpreter
    try:
        found: Any = ctypes.CDLL(path)
        found.sqlite3_vfs_find.argtypes, found.sqlite3_vfs_find.restype = [c_char_p], c_void_p
        found.sqlite3_vfs_register.argtypes = [c_void_p, c_int]
    except (OSError, AttributeError) as error:
        raise NotWatchable(f"SQLite of {library.name} shows no functions on {sys.platform}: {error}") from error
    return found
