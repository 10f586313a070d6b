"""The database as a file: whose it is, who may read it, and that its name means one file only.

SQLite finds its write-ahead log by the name of the database. A symbolic or hard link is a second name, under which the
log of a crash would not be found and committed writes would be lost, so a database has exactly one name.

An existing file is never opened here: closing any descriptor of a file drops the POSIX locks that SQLite holds on it
for the whole process.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from btcbot.errors import Refused, StoreFailed

#: What SQLite keeps beside a database.
COMPANIONS: Final = ("-wal", "-shm", "-journal")
_OWNER_ONLY: Final = 0o600
#: Below this a file system is full: SQLite's shared memory and a small log take about as much.
_ROOM_BYTES_MIN: Final = 256 * 1024


def demand_usable(path: Path, *, read_only: bool) -> None:
    """Refuse a path that is no plain file with one name, and close the file to others. It must exist."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        raise Refused(
            f"there is no database at {path}: give the path of an existing one, or let `run` make it"
        ) from None
    except OSError as error:
        raise Refused(f"the database {path} cannot be reached: {error.strerror}") from error
    if stat.S_ISLNK(found.st_mode):
        raise Refused(f"{path} is a symbolic link: give the path of the database itself ({os.path.realpath(path)})")
    if stat.S_ISDIR(found.st_mode):
        raise Refused(f"{path} is a directory: give the path of a file inside it")
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{path} is no ordinary file: give the path of a database file")
    if found.st_nlink > 1:
        raise Refused(
            f"{path} has {found.st_nlink} names (hard links), and SQLite would lose writes between them: "
            "remove the other names, or make a real copy with the backup command"
        )
    if not read_only and is_read_only(path):
        raise Refused(f"{path} lies on a read-only file system: mount it for writing, or give another path")
    if not os.access(path, os.R_OK if read_only else os.R_OK | os.W_OK):
        raise Refused(
            f"{path} may not be {'read' if read_only else 'read and written'} by this user: mend its owner or mode"
        )
    if not read_only:
        _close_to_others(path, found.st_mode)


def demand_at_rest(path: Path) -> None:
    """Refuse a database that has committed writes beside it which only a writer can bring in."""
    for name in (path.with_name(path.name + suffix) for suffix in ("-wal", "-journal")):
        try:
            is_empty = not name.stat().st_size
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Refused(f"{name} cannot be looked at: {error.strerror}") from error
        if not is_empty:
            why = "its file system is read-only" if is_read_only(path.parent) else "its folder may not be written"
            raise Refused(
                f"{name} holds writes that {path.name} does not have yet, and {why}: "
                "copy the database and all files that begin with its name to another folder, and read it there"
            )


def is_read_only(path: Path) -> bool:
    """Whether the file system of an existing path is mounted read-only."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def is_full(folder: Path) -> bool:
    """Whether the file system of `folder` has next to no room left, for content or for names."""
    try:
        facts = os.statvfs(folder)
    except OSError:
        return False
    has_names = bool(facts.f_favail) or not facts.f_files  # some file systems do not count names
    return facts.f_bavail * facts.f_frsize < _ROOM_BYTES_MIN or not has_names


def demand_folder(folder: Path) -> None:
    """Refuse to copy into a folder that is not there: it may be a disk that is not mounted."""
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises where a folder above is closed to us
        raise Refused(f"there is no folder {folder}: make it, or mount its disk")


def _close_to_others(path: Path, mode: int) -> None:
    """A copy made by hand is often readable by all. SQLite gives its companions the mode of the database."""
    if stat.S_IMODE(mode) == _OWNER_ONLY:
        return
    for name in (path, *(path.with_name(path.name + suffix) for suffix in COMPANIONS)):
        try:
            name.chmod(_OWNER_ONLY)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Refused(f"{name} is open to others and cannot be closed to them: {error.strerror}") from error


def create(path: Path) -> bool:
    """Make an empty file that only its owner may read, and its folder; False when something has that name already."""
    _create_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, _OWNER_ONLY)
    except FileExistsError:
        return False
    except OSError as error:
        raise Refused(f"the database {path} cannot be made: {error.strerror}") from error
    try:
        os.fchmod(descriptor, _OWNER_ONLY)  # whatever the umask left of it
    finally:
        os.close(descriptor)
    return True


def _create_folder(folder: Path) -> None:
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        for name in reversed(missing):
            name.mkdir(mode=0o700, exist_ok=True)
            sync_folder(name.parent)
    except OSError as error:
        raise Refused(f"the folder {folder} cannot be made: {error.strerror}") from error


def remove(path: Path) -> None:
    """Remove a file of ours, if it is there."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise Refused(f"{path} cannot be removed: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Make names in a folder survive power loss. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_name(path: Path) -> None:
    """Make the name of a file that was just made survive power loss. Raises StoreFailed."""
    try:
        sync_folder(path.parent)
    except OSError as error:
        raise StoreFailed(f"the name of {path} could not be written to its disk: {error.strerror}") from error


def publish(partial: Path, to: Path) -> None:
    """Give a finished file its name, durably: whoever sees the name sees all of the file."""
    try:
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.rename(to)
        sync_folder(to.parent)
    except OSError as error:
        raise StoreFailed(f"{to} could not be written: {error.strerror}") from error
