"""Writes datasets so that whoever reads one, now or after a crash, finds every file whole.

A file is written beside its place, brought to disk and renamed. An import stages all its files first and renames them
at the end: refused or interrupted before that, it has changed nothing; interrupted within the renames, every file is
either the old or the new one. One process writes to a folder at a time.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, NamedTuple

import msgspec

from btcbot.adapters.replay import checks, merge, parquet
from btcbot.adapters.replay.dataset import SCHEMA_FILE
from btcbot.adapters.replay.findings import refuse
from btcbot.adapters.replay.tables import SHAPES, TABLES, Columns, Recording, Source, Table, recording_of
from btcbot.errors import Refused

_STAGED: Final = ".tmp"
#: The folders that every dataset has; that of tickers is made when there are some.
_SHOWN: Final[tuple[Table, ...]] = ("bars", "quotes", "trades")
_SYMBOL_MAX: Final = 20


class Appended(NamedTuple):
    """What came of the rows that were handed in."""

    added: int
    known: int
    replaced: int


class DatasetWriter:
    """The one writer of a dataset; `open` it in a `with`.

    `append` writes at once; `stage` collects until `commit`. Both deduplicate (`merge`) and refuse rows that break a
    rule before anything is written. Each call rewrites the whole file of its symbol: hand in many rows at a time.
    """

    def __init__(self, folder: Path, lock: BinaryIO) -> None:
        self._folder, self._lock = folder, lock
        self._staged: dict[tuple[Table, str], Path] = {}
        self._made_here: list[Path] = []

    @classmethod
    def open(cls, folder: Path) -> DatasetWriter:
        """Make the folder where there is none, and be its writer. Raises Refused while another one is."""
        if folder.exists() and not folder.is_dir():
            raise refuse("dataset_not_directory", "is no folder", "name the folder of the dataset", file=folder)
        made = [path for path in (folder, *(folder / table for table in _SHOWN)) if not path.exists()]
        try:
            for table in _SHOWN:
                (folder / table).mkdir(parents=True, exist_ok=True)
            lock = (folder / ".lock").open("wb")
        except OSError as error:
            raise Refused(f"{folder}: cannot be written ({error.strerror}); name a folder of yours") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise Refused(
                f"{folder}: another btcbot writes to it; wait for it to end, or name another folder"
            ) from None
        writer = cls(folder, lock)
        writer._made_here = made
        writer._clear()
        return writer

    def close(self) -> None:
        """Forget what was staged, leave no empty folder that was not there before, and let others write."""
        self._clear()
        if self._made_here and self._made_here[0] == self._folder and not (self._folder / SCHEMA_FILE).exists():
            (self._folder / ".lock").unlink(missing_ok=True)
            for made in reversed(self._made_here):
                with suppress(OSError):
                    made.rmdir()
        self._lock.close()

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- reading back -----------------------------------------------------------------------------------------------

    def last_time_ms(self, table: Table, symbol: str) -> int | None:
        """The newest time stored (open time for bars), None where there is nothing: resume here, overlap is fine."""
        stored = self._stored(table, symbol)
        return None if stored is None or not len(stored) else int(stored.times[-1])

    def _path(self, table: Table, symbol: str) -> Path:
        return self._folder / table / f"{symbol}.parquet"

    def _stored(self, table: Table, symbol: str) -> Recording | None:
        path = self._staged.get((table, symbol)) or self._path(table, symbol)
        return parquet.read(path) if path.exists() else None

    # -- writing ----------------------------------------------------------------------------------------------------

    def append(self, table: Table, symbol: str, columns: Columns, *, source: str = "capture") -> Appended:
        """Add rows to what is stored and have the disk keep it. Newer bars replace older ones of the same time."""
        recording = recording_of(columns)
        assert (recording.table, recording.symbol) == (table, symbol), "columns of another table or symbol"
        if not len(recording):
            return Appended(0, 0, 0)
        time = recording.shape.time
        recording = msgspec.structs.replace(
            recording, frame=recording.frame.sort(time, maintain_order=True), sources=(Source(name=source),)
        )
        appended = self.stage(recording, replace=True)
        self.commit()
        return appended

    def stage(self, recording: Recording, *, replace: bool = False) -> Appended:
        """Write beside, for `commit` to put in place. Without `replace`, other values for a known bar are refused."""
        table, symbol = recording.table, recording.symbol
        if not (symbol.isascii() and symbol.isalnum() and symbol == symbol.upper() and 2 <= len(symbol) <= _SYMBOL_MAX):
            raise refuse("symbol_mismatch", f"«{symbol[:40]}» is no symbol", "name one such as BTCTRY")
        stored = self._stored(table, symbol)
        if stored is None:
            if table == "bars":  # the checks demand times that do not repeat
                recording = msgspec.structs.replace(
                    recording, frame=recording.frame.unique("open_time_ms", keep="last").sort("open_time_ms")
                )
            elif table == "trades":
                empty = msgspec.structs.replace(recording, frame=recording.frame.clear(), sources=())
                recording = merge.merge(empty, recording).recording
            merged = merge.Merged(recording, len(recording), 0, 0)
        else:
            merged = merge.merge(stored, recording)
            if merged.replaced and not replace:
                raise refuse(
                    "duplicate_timestamp", f"{merged.replaced} bars of {symbol} are stored with other values",
                    "say --replace to take these, or name another folder", file=self._path(table, symbol),
                )  # fmt: skip
            if not merged.added and not merged.replaced and set(merged.recording.sources) == set(stored.sources):
                return Appended(0, merged.known, 0)
        _, findings = checks.examine(merged.recording, f"{table} of {symbol}")
        findings.demand()
        staged = self._path(table, symbol).with_name(f".{symbol}.parquet{_STAGED}")
        staged.parent.mkdir(exist_ok=True)
        # What was staged before stays until the new one is whole.
        beside = staged.with_name(f"{staged.name}.next{_STAGED}")
        parquet.write(merged.recording, beside)
        beside.replace(staged)
        self._staged[table, symbol] = staged
        return Appended(merged.added, merged.known, merged.replaced)

    def commit(self) -> None:
        """Put everything that was staged in its place, and mark the folder as a dataset."""
        self._describe()
        for (table, symbol), staged in list(self._staged.items()):
            staged.replace(self._path(table, symbol))
            del self._staged[table, symbol]
            _sync(self._folder / table)

    def note(self, entries: Iterable[dict[str, object]]) -> None:
        """Add lines to the log of imports, which no program reads: when, from which file, how many rows."""
        with (self._folder / "imports.jsonl").open("a", encoding="utf-8") as log:
            log.writelines(json.dumps(entry) + "\n" for entry in entries)

    def add_text(self, name: str, text: str) -> None:
        """A file for people beside the tables; one that is there already is left alone."""
        self._describe()
        if not (self._folder / name).exists():
            self._write_text(name, text)

    def _describe(self) -> None:
        if not (self._folder / SCHEMA_FILE).exists():
            self._write_text(SCHEMA_FILE, json.dumps(description(), indent=2) + "\n")

    def _write_text(self, name: str, text: str) -> None:
        beside = self._folder / f".{name}{_STAGED}"
        beside.write_text(text, encoding="utf-8")
        beside.replace(self._folder / name)

    def _clear(self) -> None:
        """Throw away what an interrupted write left behind."""
        self._staged.clear()
        for table in TABLES:
            for left in (self._folder / table).glob(f".*{_STAGED}"):
                with suppress(OSError):
                    left.unlink()


def description() -> dict[str, object]:
    """The format for other programs; the version that counts stands in every file."""
    return {
        "format": "btcbot dataset",
        "schema_version": parquet.SCHEMA_VERSION,
        "times": "Unix milliseconds, UTC",
        "numbers": "integers; price columns / 10**price_scale, quantity columns / 10**quantity_scale "
        "(in the Parquet metadata under btcbot.recording)",
        "tables": {table: {name: str(kind) for name, kind in shape.schema.items()} for table, shape in SHAPES.items()},
    }


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
