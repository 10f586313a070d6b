"""Studies in a file, and the locks beside it. The kernel lets go of them when their process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from optuna.exceptions import StorageInternalError
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from btcbot.backtest.optimise import storage
from btcbot.errors import Refused

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_FIRST_LINE_BYTES_MAX: Final = 1 << 20


class _FileLocks:
    """The locks beside a file. The kernel lets go of them when their process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.owner = secrets.token_hex(8)
        self._owned = self._open(self._owner_file(self.owner))
        fcntl.flock(self._owned, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _owner_file(self, owner: str) -> Path:
        return self._path.with_name(f"{self._path.name}.owner-{owner}")

    @staticmethod
    def _open(path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    @contextmanager
    def exclusive(self, study: str) -> Iterator[None]:
        descriptor = self._open(self._path.with_name(f"{self._path.name}.lock"))
        try:
            _flock(descriptor, self._path)
            yield
        finally:
            os.close(descriptor)

    def is_alive(self, owner: str) -> bool:
        if owner == self.owner:
            return True
        path = self._owner_file(owner)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            path.unlink(missing_ok=True)  # it was killed: nobody else would take this away
            return False
        finally:
            os.close(descriptor)

    def close(self) -> None:
        self._owner_file(self.owner).unlink(missing_ok=True)
        os.close(self._owned)


def _flock(descriptor: int, path: Path) -> None:
    """Waits for its turn, which is a matter of milliseconds; one that never comes is told."""
    until = time.monotonic() + storage.LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise Refused(
                    f"{path} has been locked by another process for {storage.LOCK_WAIT_S:.0f} s; end that one, or give "
                    "another --storage"
                ) from None
            time.sleep(0.002)
        else:
            return


class _AppendLock(JournalFileOpenLock):
    """One writer at a time, and a line that somebody's end left half written is cut off before the next one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def acquire(self) -> bool:
        file = self._path.open("r+b")
        with ExitStack() as undo:
            undo.callback(file.close)  # the lock goes with the file
            _flock(file.fileno(), self._path)
            _cut_half_line(file)
            undo.pop_all()
        self._file = file
        return True

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _cut_half_line(file: IO[bytes]) -> None:
    """Leave the file ending with a whole line. A journal with half a line in its middle could never be read again."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 4096)
        file.seek(start)
        block = file.read(end - start)
        if block.endswith(b"\n"):
            break
        end = start + block.rfind(b"\n") + 1
    if end != file.seek(0, os.SEEK_END):
        file.truncate(end)
        file.flush()
        os.fsync(file.fileno())


class FileStorage:
    """A journal or a SQLite file with its locks."""

    def __init__(self, kept: BaseStorage, path: Path, shown: str, locks: _FileLocks) -> None:
        self.optuna = kept
        self.shown = shown
        self._path = path
        self._locks = locks

    @property
    def owner(self) -> str:
        return self._locks.owner

    def exclusive(self, study: str) -> contextlib.AbstractContextManager[None]:
        return self._locks.exclusive(study)

    def is_alive(self, owner: str) -> bool:
        return self._locks.is_alive(owner)

    def without_secrets(self, text: str) -> str:
        return text

    def close(self) -> None:
        self._locks.close()
        storage.dispose(self.optuna)


def _locks(path: Path) -> _FileLocks:
    """Proof as well that the folder can be written to."""
    if path.is_dir():
        raise Refused(f"--storage {path}: this is a folder; name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _FileLocks(path)
    except OSError as error:
        raise Refused(f"--storage {path}: it cannot be written ({error.strerror}); give another place") from None


def open_journal(address: str) -> FileStorage:
    path = Path(address).expanduser()
    locks = _locks(path)
    try:
        with ExitStack() as undo:
            undo.callback(locks.close)
            if path.exists():
                _demand_journal(path)
            else:
                path.touch(0o600)
            kept = JournalStorage(JournalFileBackend(str(path), lock_obj=_AppendLock(path)))
            undo.pop_all()  # the locks stay with the storage
    except OSError as error:
        raise Refused(f"--storage {path}: it cannot be used ({error.strerror}); give another file") from None
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise Refused(
            f"--storage {path}: it cannot be read as a journal ({storage.describe(error)}); give another file, or "
            "take a backup of this one"
        ) from None
    return FileStorage(kept, path, str(path), locks)


def _demand_journal(path: Path) -> None:
    """Refuse to append to a file that is something else."""
    with path.open("rb") as file:
        first = file.readline(_FIRST_LINE_BYTES_MAX)
    if not first.endswith(b"\n"):
        if first and not first.startswith(b"{"):
            raise Refused(f"--storage {path}: this is no journal of studies; give another file")
        return
    try:
        is_journal = "op_code" in json.loads(first)
    except (ValueError, TypeError):
        is_journal = False
    if not is_journal:
        raise Refused(f"--storage {path}: this is no journal of studies; give another file")


def open_sqlite(address: str) -> FileStorage:
    try:
        url = make_url(address)
    except SQLAlchemyError:
        raise Refused(f"--storage {address}: write sqlite:///FILE, with three slashes, four for /FILE") from None
    if not url.database or url.database == ":memory:" or url.query:
        raise Refused("--storage: a study in memory would be lost, and options are not taken; write sqlite:///FILE")
    path = Path(url.database)
    locks = _locks(path)
    try:
        with locks.exclusive(""):
            kept = storage.relational(url, {"timeout": storage.LOCK_WAIT_S})
    except (SQLAlchemyError, RuntimeError, OSError, StorageInternalError) as error:
        locks.close()
        raise Refused(
            f"--storage {address}: it cannot be used ({storage.describe(error)}); give another file"
        ) from None
    return FileStorage(kept, path, str(path), locks)
