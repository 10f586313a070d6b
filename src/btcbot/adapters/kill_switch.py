"""The kill switch: a file beside the database. While it exists, no new order leaves.

A file works when everything else does not: it needs no running bot, no database and no network, and an operator can
make it by hand (`touch btcbot_state.db.kill`). Whatever is not plainly "no file in a readable folder" counts as on: a
missing folder, a folder without access, a symbolic link, a directory of that name.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from pathlib import Path
from typing import Final

from btcbot.errors import StoreFailed

__all__ = ["FileKillSwitch"]

_CONTENT_BYTES_MAX: Final = 4096
_REASON_CHARACTERS_MAX: Final = 500
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)


class FileKillSwitch:
    """The kill file of one database. Links to the database are followed once, so all its paths share one kill file.

    A hard link in another folder is another path: `kill on` must name the database as the bot does.
    """

    def __init__(self, database_path: Path) -> None:
        self.path = Path(os.path.realpath(database_path) + ".kill")
        self._file = str(self.path)
        self._folder = str(self.path.parent)

    def is_on(self) -> tuple[bool, str]:
        """Whether it is on, and why. Asked before every write: two `stat` calls when it is off."""
        try:
            facts = os.lstat(self._file)
        except FileNotFoundError:
            return self._folder_is_missing()
        except OSError as error:
            return True, f"kill file {self.path} cannot be looked up ({error.strerror})"
        if not stat.S_ISREG(facts.st_mode):
            return True, f"kill file {self.path} is not a regular file"
        return True, self._reason()

    def turn_on(self, reason: str, at_ms: int) -> None:
        """Write the file, durably: it is on for every process, and after a power failure, when this returns.

        A full disk costs the reason, not the brake: an empty file takes no space and counts as on. `at_ms` is Unix time
        in milliseconds. Raise StoreFailed when it cannot be written.
        """
        content = json.dumps({"reason": reason[:_REASON_CHARACTERS_MAX], "at_ms": at_ms}).encode()
        try:
            try:
                self._write(content)
            except OSError as error:
                if error.errno not in _NO_SPACE:
                    raise
                self._make_empty()
            self._sync_folder()
        except OSError as error:
            if error.errno in (errno.EISDIR, errno.ENOTEMPTY):
                return  # a directory of that name counts as on already
            raise StoreFailed(
                f"kill file {self.path} cannot be written ({error.strerror}); create it by hand, or stop the bot"
            ) from error

    def turn_off(self) -> None:
        """Remove the file, durably; fine when there is none. Raise StoreFailed when it cannot be removed."""
        try:
            self.path.unlink(missing_ok=True)
            self._sync_folder()
        except OSError as error:
            raise StoreFailed(
                f"kill file {self.path} cannot be removed ({error.strerror}); remove it by hand"
            ) from error

    def _write(self, content: bytes) -> None:
        """Put the file in place with all of its content, or leave nothing behind."""
        draft = f"{self._file}.{os.getpid()}"
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                while content:
                    content = content[os.write(descriptor, content) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            Path(draft).replace(self.path)
        finally:
            with contextlib.suppress(OSError):  # after success it is gone; what went wrong before is what to tell
                os.unlink(draft)  # noqa: PTH108 - the path is text already

    def _make_empty(self) -> None:
        # Whatever has that name already counts as on, so it is neither followed nor waited for.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))

    def _folder_is_missing(self) -> tuple[bool, str]:
        try:
            os.stat(self._folder)  # noqa: PTH116 - text costs a third of what a Path does, before every write
        except OSError as error:
            return True, f"folder {self._folder} of the kill file cannot be read ({error.strerror})"
        return False, ""

    def _reason(self) -> str:
        try:
            descriptor = os.open(self._file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                content = json.loads(file.read(_CONTENT_BYTES_MAX))
            return str(content["reason"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return f"kill file {self.path} exists"  # made by hand, or unreadable: on all the same

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
