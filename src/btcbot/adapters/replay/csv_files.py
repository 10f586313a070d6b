"""One CSV file becomes one Recording: read in pieces, in bounded memory, every row held to the header.

The numbers are exactly those of the text. Whatever is wrong is a finding with the line of the file; what cannot be a
CSV at all (binary, endless lines) is refused at once.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from btcbot.adapters.replay import checks, headers, numbers
from btcbot.adapters.replay.findings import Finding, Findings, refuse, shown
from btcbot.adapters.replay.headers import Header
from btcbot.adapters.replay.tables import INT64_MAX, SHAPES, Recording, Source, Table, rescaled, too_many_digits, whole
from btcbot.adapters.replay.times import TimeReader, Unit

#: Told while a long file is read: its name, bytes done, bytes in all.
Progress = Callable[[str, int, int], None]

#: No row of prices is longer.
LINE_MAX: Final = 16_384
_CHUNK_ROWS: Final = 50_000
_TAKER_SOLD: Final = {
    "sell": True, "s": True, "ask": True, "true": True, "1": True,
    "buy": False, "b": False, "bid": False, "false": False, "0": False,
}  # fmt: skip


class Options(NamedTuple):
    """How the caller wants files read; None means that the file says it."""

    table: Table | None = None
    interval_ms: int | None = None
    unit: Unit | None = None
    zone: str | None = None
    sort: bool = False


class _Rows(Protocol):
    """What `csv.reader` gives, whose own type has no public name."""

    @property
    def line_num(self) -> int: ...

    def __iter__(self) -> Iterator[list[str]]: ...


class Parsed(NamedTuple):
    """The recording and what is to be said of it. `lines`: the line of the file that each row came from."""

    recording: Recording
    findings: tuple[Finding, ...]
    lines: npt.NDArray[np.int64]


def read(path: Path, symbol: str, options: Options, progress: Progress | None = None, shown_as: str = "") -> Parsed:
    """Read a CSV file. Raises BadData where any row is wrong; warnings come back as findings."""
    findings = Findings(shown_as or str(path))
    try:
        with path.open("rb") as stream:
            source = _Lines(stream, path, findings.file, progress)
            recording, lines = _Reader(source, symbol, options, findings).all()
    except OSError as error:
        raise refuse(
            "unreadable", f"cannot be read ({error.strerror or error})", "check its name and rights", file=findings.file
        ) from None
    recording = msgspec.structs.replace(recording, sources=(Source(name=path.name, sha256=source.sha256),))
    if options.sort:
        order = recording.frame.with_row_index("btcbot_row").sort(recording.shape.time, maintain_order=True)
        lines = lines[order["btcbot_row"].to_numpy()]
        recording = msgspec.structs.replace(recording, frame=order.drop("btcbot_row"))
    recording, told = checks.check(recording, findings.file, lines, options.interval_ms)
    return Parsed(recording, (*findings.all, *told), lines)


#: Some rows of a file, and their lines.
Piece = tuple[Recording, npt.NDArray[np.int64]]


class _Lines:
    """The lines of a file as text, none of them endless; its hash comes along."""

    def __init__(self, stream: BinaryIO, path: Path, file: str, progress: Progress | None) -> None:
        self._stream, self._file, self._progress = stream, file, progress
        self._name, self._total, self._done = path.name, path.stat().st_size, 0
        self._hash = hashlib.sha256()
        self._row = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[str]:
        while raw := self._stream.readline(LINE_MAX + 1):
            self._row += 1
            if len(raw) > LINE_MAX:
                raise refuse(
                    "invalid_schema", f"the line is longer than {LINE_MAX} bytes: this is no CSV of prices",
                    "give a text file with one row on each line", file=self._file, row=self._row,
                )  # fmt: skip
            self._hash.update(raw)
            self._done += len(raw)
            try:
                yield raw.decode("utf-8-sig" if self._row == 1 else "utf-8")
            except UnicodeDecodeError:
                raise refuse(
                    "invalid_schema", "the line is not UTF-8 text", "save the file as plain CSV in UTF-8",
                    file=self._file, row=self._row,
                ) from None  # fmt: skip

    def tell(self) -> None:
        if self._progress is not None:
            self._progress(self._name, self._done, max(self._total, self._done))


class _Reader:
    def __init__(self, source: _Lines, symbol: str, options: Options, findings: Findings) -> None:
        self._source, self._symbol, self._options, self._findings = source, symbol, options, findings

    def all(self) -> tuple[Recording, npt.NDArray[np.int64]]:
        lines = iter(self._source)
        first = next(lines, "")
        if not first.strip():
            raise refuse(
                "insufficient_rows", "the file is empty" if not first else "the first line is empty",
                "give a file whose first line names the columns", file=self._findings.file,
            )  # fmt: skip
        delimiter = max(",;\t", key=first.count)
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            names = next(csv.reader([first], delimiter=delimiter, strict=True))
            header = headers.read(names, self._options.table, self._findings.file)
            pieces = list(self._pieces(rows, header))
        except csv.Error as error:
            raise refuse(
                "invalid_schema", f"the row cannot be read as CSV ({error})", "correct its quotes",
                file=self._findings.file, row=rows.line_num + 1,
            ) from None  # fmt: skip
        self._findings.demand()
        if not pieces:
            raise refuse(
                "insufficient_rows", "there is a header and no row", "give a file with rows, or leave it out",
                file=self._findings.file,
            )  # fmt: skip
        if header.table == "bars":
            pieces = self._volume_that_fits(pieces)
        price_scale = max(piece.price_scale for piece, _ in pieces)
        quantity_scale = max(piece.quantity_scale for piece, _ in pieces)
        frames = [rescaled(piece, price_scale, quantity_scale).frame for piece, _ in pieces]
        recording = msgspec.structs.replace(
            pieces[0][0],
            frame=pl.concat(frames).rechunk(),
            price_scale=price_scale,
            quantity_scale=quantity_scale,
        )
        return recording, np.concatenate([numbered for _, numbered in pieces])

    def _volume_that_fits(self, pieces: list[Piece]) -> list[Piece]:
        """Volume is what was traded in all, a statistic: float noise in it is cut, and told, rather than refused.

        Rounding down only ever lets us trade less. Prices and the quantities of single trades are never rounded.
        """
        scale = max(piece.quantity_scale for piece, _ in pieces)
        fits = all(
            _largest(piece.frame["volume"]) * 10 ** (scale - piece.quantity_scale) <= INT64_MAX for piece, _ in pieces
        )
        cut = any(finding.code == "volume_rounded" for finding in self._findings.all)
        if fits and not cut:
            return pieces
        made = []
        for piece, lines in pieces:
            if piece.quantity_scale > numbers.ROUNDED_PLACES:
                factor = 10 ** (piece.quantity_scale - numbers.ROUNDED_PLACES)
                volume = piece.frame["volume"]
                numbers.tell_rounded(self._findings, "volume", volume % factor != 0, pl.Series(lines))
                piece = msgspec.structs.replace(
                    piece, quantity_scale=numbers.ROUNDED_PLACES, frame=piece.frame.with_columns(volume // factor)
                )
            made.append((piece, lines))
        return made

    def _pieces(self, rows: _Rows, header: Header) -> Iterator[Piece]:
        times = TimeReader(self._findings, unit=self._options.unit, zone=self._options.zone, hint=header.unit)
        while True:
            cells, lines = self._chunk(rows, header)
            if not lines:
                return
            numbered = pl.Series("line", lines, dtype=pl.Int64)
            recording = self._recording(header, list(zip(*cells, strict=True)), numbered, times)
            self._source.tell()
            # Where something is wrong nothing is kept: reading on only counts the rows that have it.
            if not self._findings.has_errors:
                yield recording, numbered.to_numpy()

    def _chunk(self, rows: _Rows, header: Header) -> tuple[list[list[str]], list[int]]:
        cells: list[list[str]] = []
        lines: list[int] = []
        for row in rows:
            if not row:
                continue
            line = rows.line_num + 1  # the header was read before
            if len(row) != header.cells:
                self._findings.add(
                    "invalid_schema", f"the row has {len(row)} cells where the header names {header.cells}",
                    "correct or delete the row", row=line, about="cells",
                )  # fmt: skip
                continue
            cells.append(row)
            lines.append(line)
            if len(lines) == _CHUNK_ROWS:
                break
        return cells, lines

    def _recording(
        self, header: Header, columns: list[tuple[str, ...]], lines: pl.Series, times: TimeReader
    ) -> Recording:
        shape = SHAPES[header.table]

        def text(name: str) -> pl.Series:
            return pl.Series(header.names[name], columns[header.at[name]], dtype=pl.String)

        if header.symbol_at is not None:
            self._demand_one_symbol(columns[header.symbol_at], lines)
        given: dict[str, object] = {shape.time: times.parse(text(shape.time), lines)}
        scales = []
        for names in (shape.prices, shape.quantities):
            read = {
                name: numbers.parse(
                    text(name), lines, self._findings, may_round=header.table == "bars" and name == "volume"
                )
                for name in names
                if name in header.at
            }
            scale = max((one.scale for one in read.values()), default=0)
            scales.append(scale)
            for name, one in read.items():
                given[name] = self._at_scale(name, one, scale)
        for name in shape.flags:
            if name in header.at:
                given[name] = self._sides(text(name), lines)
        for name in shape.texts:
            if name in header.at:
                stripped = text(name).str.strip_chars()
                given[name] = stripped.replace("", None)
        return Recording(
            table=header.table,
            symbol=self._symbol,
            price_scale=scales[0],
            quantity_scale=scales[1],
            frame=whole(shape, given, len(lines)),
        )

    def _at_scale(self, name: str, one: numbers.Scaled, scale: int) -> pl.Series:
        factor = 10 ** (scale - one.scale)
        if _largest(one.column) * factor > INT64_MAX:
            raise too_many_digits(self._findings.file, name, scale)
        return one.column * factor if factor > 1 else one.column

    def _sides(self, cells: pl.Series, lines: pl.Series) -> pl.Series:
        known = cells.str.strip_chars().str.to_lowercase()
        made = known.replace_strict(_TAKER_SOLD, default=None, return_dtype=pl.Boolean)
        for at in made.is_null().arg_true().to_list():
            self._findings.add(
                "invalid_schema", f"the side is «{shown(cells[at])}»", "write buy or sell: what the taker did",
                row=int(lines[at]), about="side",
            )  # fmt: skip
        return made

    def _demand_one_symbol(self, cells: tuple[str, ...], lines: pl.Series) -> None:
        for at, cell in enumerate(cells):
            if cell.strip().upper().replace("_", "").replace("/", "").replace("-", "") != self._symbol:
                self._findings.add(
                    "symbol_mismatch", f"the row is of «{shown(cell)}», the file is read as {self._symbol}",
                    "give one file for each symbol, or say --symbol", row=int(lines[at]), about="symbol",
                )  # fmt: skip


def _largest(column: pl.Series) -> int:
    largest = column.abs().max()
    return largest if isinstance(largest, int) else 0
