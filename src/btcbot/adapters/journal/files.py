"""The folder of a journal, beside the database: `<database>.journal/`.

    0001.jsonl.gz    one life of the bot: its lines, compressed as they come (`zcat` reads them)
    0001.db          the database with which that life began

Each life is a recording of its own, because only from its first cycle on is the state of every part known. Its lines
reach the operating system at the end of each cycle, so a crash of the process costs the cycle in hand; nothing waits
for the disk, so a power failure may cost more. Where all lives together grow beyond the bound, the oldest go; a life
that fills it alone ends its journal.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import stat
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from btcbot.adapters.journal.lines import State

SUFFIX: Final = ".journal"
LINES: Final = ".jsonl.gz"
STATE: Final = ".db"
_NAME: Final = re.compile(r"(\d{4,9})\.jsonl\.gz")
#: Quick, and as small as a tenth all the same: lines repeat themselves.
_LEVEL: Final = 1
_GZIP: Final = 31


class JournalFull(Exception):
    """The bound is reached and nothing older is left to remove; says what to do."""


class Life(NamedTuple):
    """The files of one life."""

    number: int
    lines: Path
    state: Path

    def size(self) -> int:
        return sum(path.stat().st_size for path in (self.lines, self.state) if path.exists())

    def remove(self) -> None:
        for path in (self.lines, self.state):
            path.unlink(missing_ok=True)


def folder_of(database: Path) -> Path:
    """Links to the database are followed, so all its paths share one journal."""
    return Path(os.path.realpath(database) + SUFFIX)


def lives_in(folder: Path) -> list[Life]:
    """Oldest first. OSError where the folder cannot be read."""
    found = [match for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return sorted(life(folder, int(match[1])) for match in found)


def life(folder: Path, number: int) -> Life:
    name = f"{number:04d}"
    return Life(number, folder / f"{name}{LINES}", folder / f"{name}{STATE}")


def open_life(database: Path, image: bytes, bytes_max: int) -> tuple[JournalFile, State]:
    """Files for a new life that begins with the database `image`. OSError or JournalFull where there can be none."""
    folder = folder_of(database)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise NotADirectoryError(20, "is no folder", str(folder))
    older = lives_in(folder)
    mine = life(folder, older[-1].number + 1 if older else 1)
    if len(image) > bytes_max // 2:
        raise JournalFull(
            f"the database ({len(image) // 2**20} MiB) alone would take more than half of JOURNAL_MB_MAX; raise it"
        )
    size = sum(one.size() for one in older)
    while older and size + len(image) > bytes_max // 2:
        size -= older[0].size()
        older.pop(0).remove()
    with contextlib.ExitStack() as undo:
        undo.callback(mine.remove)  # half a journal must not look like one
        with _create(mine.state) as file:
            file.write(image)
        state = State(file=mine.state.name, size=len(image), sha256=hashlib.sha256(image).hexdigest())
        made = JournalFile(mine, older, bytes_max)
        undo.pop_all()
    return made, state


class JournalFile:
    """The lines of one life, written behind each other; keeps the folder within its bound."""

    def __init__(self, mine: Life, older: list[Life], bytes_max: int) -> None:
        self.path = mine.lines
        self._older = older
        self._older_bytes = sum(one.size() for one in older)
        self._bytes_max = bytes_max
        self._compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._own_bytes = mine.state.stat().st_size
        self._file = _create(mine.lines)

    @property
    def size(self) -> int:
        """Of all lives, in bytes."""
        return self._older_bytes + self._own_bytes

    def write(self, line: bytes) -> None:
        self._put(self._compressor.compress(line))

    def flush(self) -> None:
        """Everything written so far can be read from the file now. JournalFull beyond the bound."""
        self._put(self._compressor.flush(zlib.Z_SYNC_FLUSH))
        while self._older and self.size > self._bytes_max:
            oldest = self._older.pop(0)
            self._older_bytes -= oldest.size()
            oldest.remove()
        if self.size > self._bytes_max:
            raise JournalFull(
                f"this run has recorded {self.size // 2**20} MiB, all that JOURNAL_MB_MAX allows; its journal ends "
                "here, and the next start begins a new one"
            )

    def _put(self, content: bytes) -> None:
        while content:  # unbuffered: what was written is the operating system's
            written = self._file.write(content) or 0
            self._own_bytes += written
            content = content[written:]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._put(self._compressor.flush(zlib.Z_FINISH))
        self._file.close()


def _create(path: Path) -> io.FileIO:
    """A new file for its owner alone, unbuffered."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return io.FileIO(descriptor, "wb")
