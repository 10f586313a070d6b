"""Recorded bars from CSV files: read once, checked row by row, quantised to the pair's scales.

A file is refused with one line that names file, row and mend. Gaps are not a fault: markets are quiet and
recorders stop; they are counted, told, and played as "the price holds".
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from btcturk_sim.errors import ConfigurationError
from btcturk_sim.instruments import Instrument, instrument_for
from btcturk_sim.money import exact, round_down, round_half_up

COLUMNS: Final = ("open_time_ms", "open", "high", "low", "close", "volume")


class Bar(NamedTuple):
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class BarSource(Protocol):
    """Where the market's prices come from."""

    instruments: tuple[Instrument, ...]
    interval_ms: int
    #: How many bars there are; None if they never end.
    length: int | None
    #: Market time of bar 0.
    first_open_ms: int

    def bar(self, symbol: str, index: int) -> Bar | None:
        """The bar, or None if the price holds. Indexes are asked in rising order, at most once each, but for a loop."""

    def opening_price(self, symbol: str) -> Decimal:
        """The price before the first bar."""


@dataclass(frozen=True, slots=True)
class _Series:
    symbol: str
    first_open_ms: int
    rows: tuple[tuple[int, Bar], ...]


@dataclass(slots=True)
class RecordedBars:
    """All pairs of one folder on one clock, aligned by open time."""

    instruments: tuple[Instrument, ...]
    interval_ms: int
    length: int | None
    first_open_ms: int
    #: One line per file that has gaps.
    notes: tuple[str, ...]
    _bars: dict[str, dict[int, Bar]] = field(repr=False)
    _past: dict[str, list[tuple[int, Bar]]] = field(repr=False, default_factory=dict)

    def after(self, count: int) -> RecordedBars:
        """The same bars with the first `count` of them behind: they are history, and the market opens after them."""
        if count == 0:
            return self
        last = min(max(bars) for bars in self._bars.values())
        if count > last:
            raise ConfigurationError(f"--history-bars {count}: all pairs have bars up to {last} only; give less")
        return replace(
            self,
            length=None if self.length is None else self.length - count,
            first_open_ms=self.first_open_ms + count * self.interval_ms,
            _bars={
                symbol: {index - count: bar for index, bar in bars.items() if index >= count}
                for symbol, bars in self._bars.items()
            },
            _past={
                symbol: [(count - index, bar) for index, bar in sorted(bars.items()) if index < count]
                for symbol, bars in self._bars.items()
            },
        )

    def history(self, symbol: str) -> Sequence[tuple[int, Bar]]:
        return self._past.get(symbol, ())

    def bar(self, symbol: str, index: int) -> Bar | None:
        return self._bars[symbol].get(index)

    def opening_price(self, symbol: str) -> Decimal:
        bars = self._bars[symbol]
        return bars[min(bars)].open


def load_bars(folder: Path, symbols: Iterable[str] = ()) -> RecordedBars:
    """Read SYMBOL.csv files; all of the folder, or the ones asked for."""
    if not folder.is_dir():
        raise ConfigurationError(f"--market {folder}: no such folder; give a folder of SYMBOL.csv files")
    wanted = list(symbols)
    paths = [folder / f"{symbol}.csv" for symbol in wanted] if wanted else sorted(folder.glob("*.csv"))
    if not paths:
        raise ConfigurationError(f"--market {folder}: no CSV file there; name files like BTCTRY.csv")
    series = [_read(path) for path in paths]
    interval_ms = _common_interval(paths, series)
    first_open_ms = min(one.first_open_ms for one in series)
    instruments, bars, notes, length = [], {}, [], 0
    for ordinal, (path, one) in enumerate(zip(paths, series, strict=True)):
        instrument = instrument_for(one.symbol, [price for _, bar in one.rows for price in bar[:4]], ordinal)
        indexed = {
            (time_ms - first_open_ms) // interval_ms: _quantised(bar, instrument, path, row)
            for row, (time_ms, bar) in enumerate(one.rows, start=2)
        }
        span = max(indexed) - min(indexed) + 1
        if span > len(indexed):
            notes.append(f"{path.name}: {span - len(indexed)} of {span} bars missing; the price holds there")
        instruments.append(instrument)
        bars[one.symbol] = indexed
        length = max(length, max(indexed) + 1)
    return RecordedBars(tuple(instruments), interval_ms, length, first_open_ms, tuple(notes), bars)


def _refuse(path: Path, row: int | None, what: str, mend: str) -> ConfigurationError:
    where = f"{path.name} row {row}" if row is not None else path.name
    return ConfigurationError(f"{where}: {what}; {mend}")


def _read(path: Path) -> _Series:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return _series(path, csv.reader(file))
    except FileNotFoundError:
        raise _refuse(
            path, None, f"no such file in {path.parent}", "add it or leave its pair out of --symbols"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _refuse(path, None, f"cannot be read ({error})", "give a readable UTF-8 CSV file") from None


def _series(path: Path, lines: Iterator[list[str]]) -> _Series:
    header = next(lines, None)
    if header is None or tuple(header[: len(COLUMNS)]) != COLUMNS:
        got = ",".join(header or [])
        raise _refuse(path, 1, f"columns are {got!r}", f"let the header begin with {','.join(COLUMNS)}")
    rows: list[tuple[int, Bar]] = []
    for row, cells in enumerate(lines, start=2):
        time_ms, bar = _row(path, row, cells, len(header))
        if rows and time_ms <= rows[-1][0]:
            raise _refuse(path, row, f"open_time_ms {time_ms} does not follow {rows[-1][0]}",
                          "sort the file by open_time_ms and drop repeated rows")  # fmt: skip
        rows.append((time_ms, bar))
    if not rows:
        raise _refuse(path, None, "has no rows", "add at least one bar or remove the file")
    return _Series(path.stem, rows[0][0], tuple(rows))


def _row(path: Path, row: int, cells: list[str], width: int) -> tuple[int, Bar]:
    if len(cells) != width:
        raise _refuse(path, row, f"has {len(cells)} cells where the header has {width}", "complete the row")
    if not cells[0].isascii() or not cells[0].isdigit():
        raise _refuse(path, row, f"open_time_ms is {cells[0]!r}", "give Unix milliseconds as a whole number")
    numbers = []
    for name, text in zip(COLUMNS[1:], cells[1 : len(COLUMNS)], strict=True):
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise _refuse(path, row, f"{name} is {text!r}", "give a plain decimal number") from None
        if not number.is_finite():
            raise _refuse(path, row, f"{name} is {text!r}", "replace it by a number or remove the row")
        if number < 0 or (number == 0 and name != "volume"):
            raise _refuse(path, row, f"{name} is {text}", "prices must be above zero and volume not negative")
        numbers.append(number)
    opened, high, low, close, volume = numbers
    bar = Bar(opened, high, low, close, volume)
    if bar.high < bar.low:
        raise _refuse(path, row, f"high {bar.high} is below low {bar.low}", "swap or correct them")
    if not (bar.low <= bar.open <= bar.high and bar.low <= bar.close <= bar.high):
        raise _refuse(path, row, "open or close lies outside low–high", "correct the bar or remove the row")
    return int(cells[0]), bar


def _common_interval(paths: list[Path], series: list[_Series]) -> int:
    """The bar length, taken from the most frequent distance of open times; it must be one for all files."""
    found: dict[int, Path] = {}
    for path, one in zip(paths, series, strict=True):
        times = [time_ms for time_ms, _ in one.rows]
        steps = Counter(later - earlier for earlier, later in pairwise(times))
        if steps:
            found.setdefault(steps.most_common(1)[0][0], path)
    if len(found) > 1:
        (first, one_path), (second, other_path) = list(found.items())[:2]
        raise ConfigurationError(
            f"{one_path.name} has bars of {first // 1000} s and {other_path.name} of {second // 1000} s; "
            "play one bar length at a time (put them in different folders)"
        )
    return next(iter(found), 60_000)


@exact
def _quantised(bar: Bar, instrument: Instrument, path: Path, row: int) -> Bar:
    places = instrument.price_scale if instrument.has_fraction else 0
    prices = [round_half_up(price, places) for price in bar[:4]]
    if min(prices) <= 0:
        raise _refuse(path, row, f"price {bar.low} rounds to zero at {places} decimals", "use a pair with finer prices")
    opened, high, low, close = prices
    return Bar(opened, high, low, close, round_down(bar.volume, instrument.quantity_scale))
