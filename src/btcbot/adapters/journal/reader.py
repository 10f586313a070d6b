"""Reads a life back from its files, or says in one line why it cannot be used.

What a crash leaves behind is read up to its last whole line. Anything else that is not as it was written, a line
missing in the middle, a figure changed, a database that is not the one the life began with, is refused with its place.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from btcbot.adapters.journal import files, lines
from btcbot.adapters.journal.files import Life, folder_of, lives_in
from btcbot.adapters.journal.lines import Built, CycleLine, Damaged, End, Start
from btcbot.errors import Refused

_CHUNK_BYTES: Final = 1 << 20
_GZIP_MAGIC: Final = b"\x1f\x8b"
_SQLITE_MAGIC: Final = b"SQLite format 3\x00"


def lives_of(run: Path) -> Sequence[Life]:
    """The lives meant by a path: of a database, of a journal's folder, or one of its files. Oldest first."""
    if run.name.endswith(files.LINES) and run.is_file():
        return [Life(0, run, run.with_name(run.name.removesuffix(files.LINES) + files.STATE))]
    folder = run if run.is_dir() else folder_of(run)
    if run.is_file() and not folder.is_dir():
        raise Refused(
            f"{run} has no recording beside it, {folder.name}; a loop run («btcbot run --loop») makes one beside its "
            "database, unless JOURNAL=false"
        )
    if not run.exists() and not folder.is_dir():
        raise Refused(f"there is nothing at {run}: give a database, its {files.SUFFIX} folder, or a file in that")
    try:
        found = lives_in(folder)
    except OSError as error:
        raise Refused(
            f"{folder} cannot be read ({error.strerror}); give it to the one who runs this, or name another run"
        ) from None
    if not found:
        raise Refused(f"{folder} holds no recorded run: give the {files.SUFFIX} folder of a database")
    return found


class Recording:
    """One life. `notes` says what a reader should know: that it ended in the middle of a line, or without an end."""

    def __init__(self, one: Life) -> None:
        """Reads as far as the first cycle. Refused where that cannot be; `is_empty` where it died before."""
        self.path = one.lines
        self._state_path = one.state
        self.notes: list[str] = []
        self._crc = 0
        self._number = 0
        self._lines = self._whole_lines()
        start, built = self._next(), self._next()
        self.is_empty = start is None or built is None
        if start is not None and not isinstance(start, Start):
            raise self._refused("a recording begins with its settings, and this one does not")
        if built is not None and not isinstance(built, Built):
            raise self._refused("it does not say how the bot was built")
        self._start, self._built = start, built

    @property
    def start(self) -> Start:
        assert self._start is not None, "asked of an empty recording"
        return self._start

    @property
    def built(self) -> Built:
        assert self._built is not None, "asked of an empty recording"
        return self._built

    def cycles(self) -> Iterator[CycleLine]:
        """One after the other, once."""
        has_end = False
        while (line := self._next()) is not None:
            if has_end or isinstance(line, Start | Built):
                raise self._refused("a recording goes on behind its end")
            if isinstance(line, End):
                has_end = True
                if line.why != "closed":
                    self.notes.append(line.why)
            else:
                yield line
        if not has_end:
            self.notes.append(f"{self.path.name} ends without a farewell: the process was killed, or still runs")

    def image(self) -> bytes:
        """The database with which it began."""
        state = self.start.state
        try:
            content = self._state_path.read_bytes()
        except OSError as error:
            raise Refused(
                f"{self._state_path} cannot be read ({error.strerror}); without the database with which the run began "
                "it cannot be replayed: put it back"
            ) from None
        if len(content) != state.size or hashlib.sha256(content).hexdigest() != state.sha256:
            raise Refused(f"{self._state_path} is not the database with which the run began: put the original back")
        return content

    # -- lines -------------------------------------------------------------------------------------------------------

    def _next(self) -> lines.Line | None:
        for text in self._lines:
            self._number += 1
            if self._number == 1:
                self._demand_schema(text)
            try:
                line, self._crc = lines.opened(text, self._crc)
            except Damaged as damage:
                raise self._refused(str(damage)) from None
            return line
        return None

    def _demand_schema(self, text: bytes) -> None:
        try:
            head: Any = msgspec.json.decode(text)
            schema = head["schema"]
        except (msgspec.MsgspecError, UnicodeError, RecursionError, LookupError, TypeError):
            raise self._refused("this is no journal of a btcbot") from None
        if schema != lines.SCHEMA:
            raise Refused(
                f"{self.path} has the journal schema {schema}, and this btcbot reads {lines.SCHEMA}: replay it with "
                "the version that wrote it"
            )

    def _whole_lines(self) -> Iterator[bytes]:
        rest = b""
        for content in self._content():
            *whole, rest = (rest + content).split(b"\n")
            yield from whole
        if rest:
            self.notes.append(
                f"{self.path.name} ends in the middle of a line, which is left out: a crash, or a full disk"
            )

    def _content(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                first = file.read(_CHUNK_BYTES)
                if first[: len(_GZIP_MAGIC)] != _GZIP_MAGIC:
                    if first:
                        raise Refused(f"{self.path} is no journal of a btcbot")
                    return
                stream = zlib.decompressobj(31)
                content = first
                while content:
                    yield stream.decompress(content)
                    if stream.unused_data:
                        raise Refused(f"{self.path}: something was appended behind the end of the journal")
                    content = file.read(_CHUNK_BYTES)
        except OSError as error:
            raise Refused(f"{self.path} cannot be read ({error.strerror})") from None
        except zlib.error:
            raise self._refused("the file is damaged from here on") from None

    def _refused(self, why: str) -> Refused:
        return Refused(f"{self.path}, line {max(self._number, 1)}: {why}")
