"""One writer per database and one per API key, on this machine.

Two bots on one database would double orders; two bots on one key would spoil each other's nonces and books. So a
process that may write holds, from before it opens the database until it ends:

* the **database, by device and inode**, as the name of an abstract Unix socket: a hard link, a symbolic link or another
  working directory is still the same database;
* a `flock` on `<database>.lock` beside it, which also covers containers that share the folder but not the network
  namespace in which socket names live; this file is never removed, or a waiting process could lock a dead one;
* the **API key, by its fingerprint**, as the name of another socket.

The kernel frees all three when the process ends, however it ends: a crash leaves nothing to clean up. The database file
itself is never opened here: closing it would drop SQLite's own POSIX locks in this process.

Where abstract sockets do not exist (macOS), files in `~/.btcbot-locks` take their place. Other machines, and two
containers that share a key but no folder, are not covered.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import socket
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from btcbot.errors import Refused

__all__ = ["WriterLock", "acquire"]

# A process that was just killed needs a moment to let go; a living one does not let go at all.
PATIENCE_S: Final = 0.4
PAUSE_S: Final = 0.02


class _Taken(Exception):
    """Somebody else holds it. `holder_pid` is None when the kernel does not tell."""

    def __init__(self, holder_pid: int | None) -> None:
        super().__init__(holder_pid)
        self.holder_pid = holder_pid


class WriterLock:
    """The right to write, held until `release()`, the end of a `with` block, or the end of the process."""

    def __init__(self, database: Path, identity: tuple[int, int], held: contextlib.ExitStack) -> None:
        self._database = database
        self._identity = identity
        self._held: contextlib.ExitStack | None = held

    def is_held(self) -> bool:
        """Whether it still covers the database: False once released, or when the file was replaced under its path."""
        if self._held is None:
            return False
        try:
            facts = self._database.stat()
        except OSError:
            return False
        return (facts.st_dev, facts.st_ino) == self._identity

    def release(self) -> None:
        """Let go. The store must be closed by then."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.release()


def acquire(database: Path, key_fingerprint: str | None) -> WriterLock:
    """Take the locks, or raise Refused within a second, with the holder's process id and what to do.

    `database` is created empty, mode 0600, when it does not exist: only an existing file has an identity.
    `key_fingerprint` is None where no key is used (a dry run without credentials).
    """
    path = os.path.realpath(database)
    identity = _identity_of(path)
    with contextlib.ExitStack() as held:
        try:
            _hold_name(f"database-{identity[0]:x}-{identity[1]:x}", held)
            _hold_file(f"{path}.lock", held)
        except _Taken as taken:
            # A bot closes itself to others (`hardening`), so that only root finds it behind its socket.
            pid = taken.holder_pid or _pid_that_locks(f"{path}.lock")
            raise Refused(
                f"another btcbot ({_shown(pid)}) writes to the database {database}; "
                "stop it, or give this one its own STATE_DB_PATH"
            ) from None
        if key_fingerprint is not None:
            try:
                _hold_name(f"key-{key_fingerprint}", held)
            except _Taken as taken:
                raise Refused(
                    f"another btcbot ({_shown(taken.holder_pid)}) uses the API key {key_fingerprint}; "
                    "stop it, or make a key of its own for this one"
                ) from None
        if _identity_of(path) != identity:
            raise Refused(f"the database {database} was replaced while it was being locked; start again")
        return WriterLock(Path(path), identity, held.pop_all())


def _shown(holder_pid: int | None) -> str:
    return "pid unknown" if holder_pid is None else f"pid {holder_pid}"


def _identity_of(path: str) -> tuple[int, int]:
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        facts = Path(path).stat()
    except OSError as error:
        raise Refused(
            f"the database {path} cannot be created or found ({error.strerror}); "
            "create its folder (mkdir -m 700) or correct STATE_DB_PATH"
        ) from None
    return facts.st_dev, facts.st_ino


# --- names -----------------------------------------------------------------------------------------------------------


def _hold_name(name: str, held: contextlib.ExitStack) -> None:
    """Hold a name that only one process of this machine can have."""
    if sys.platform != "linux":
        folder = Path(pwd.getpwuid(os.geteuid()).pw_dir, ".btcbot-locks")  # not $HOME: it can differ between two starts
        folder.mkdir(mode=0o700, exist_ok=True)
        _hold_file(str(folder / name), held)
        return
    address = f"\0btcbot/{name}"
    holder = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC))
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            holder.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return
        if time.monotonic() > deadline:
            raise _Taken(_pid_bound_to(address))
        time.sleep(PAUSE_S)


def _pid_bound_to(address: str) -> int | None:
    """The process that has the abstract socket `address`, looked up in /proc; None when it belongs to another user."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/unix").read_text().splitlines():
            fields = line.split()
            if fields[-1] == address.replace("\0", "@", 1):
                link = f"socket:[{fields[6]}]"
                for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
                    with contextlib.suppress(OSError):
                        if str(descriptor.readlink()) == link:
                            return int(descriptor.parts[2])
    return None


def _pid_that_locks(path: str) -> int | None:
    """What the lock file says of its holder, while there is one; None when nobody holds it or it cannot be read."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            found = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            return int(found) if found.isdecimal() else None
        finally:
            os.close(descriptor)
    return None


def _hold_file(path: str, held: contextlib.ExitStack) -> None:
    """Hold the lock file at `path`; it holds the owner's process id and stays when the lock is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(
            f"the lock file {path} cannot be opened ({error.strerror}); make its folder writable, it must not be a link"
        ) from None
    held.callback(os.close, descriptor)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                found = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                raise _Taken(int(found) if found.isdecimal() else None) from None
            time.sleep(PAUSE_S)
        else:
            break
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
