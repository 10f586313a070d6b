"""The one door to recorded bars: a dataset, a folder of CSV files, or one CSV file, and no import needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from btcbot.adapters.replay import checks, csv_files, sources, tables
from btcbot.adapters.replay.checks import duration
from btcbot.adapters.replay.columns import BarColumns
from btcbot.adapters.replay.dataset import Dataset, demand_folder, is_dataset, unknown_symbol
from btcbot.adapters.replay.findings import Finding, refuse

#: Given a line for each warning.
Warn = Callable[[str], None]


def load_bars(
    path: Path,
    symbols: Sequence[str] | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    warn: Warn | None = None,
) -> dict[str, BarColumns]:
    """Bars by symbol, ascending, or in the order of `symbols`.

    They open from `start_ms` on and before `end_ms`. Every bar has passed the checks, all symbols have one interval and
    none is empty. `warn` is given a line for each warning. Raises BadData, a Refused, for everything else.
    """
    if start_ms is not None and end_ms is not None and start_ms >= end_ms:
        raise refuse(
            "empty_range",
            f"the range from {moment(start_ms)} to {moment(end_ms)} is empty",
            "let the end follow the start",
        )
    loaded = _of_dataset(path, symbols, warn) if is_dataset(path) else _of_csv(path, symbols, warn)
    intervals = {bars.interval_ms: symbol for symbol, bars in loaded.items()}
    if len(intervals) > 1:
        told = ", ".join(f"{symbol} has {duration(ms)}" for ms, symbol in sorted(intervals.items()))
        raise refuse("irregular_interval", f"the bars are not of one interval: {told}", "name the symbols", file=path)
    cut = {symbol: bars.between(start_ms, end_ms) for symbol, bars in loaded.items()}
    for symbol, bars in cut.items():
        if not len(bars):
            whole = loaded[symbol]
            raise refuse(
                "empty_range",
                f"{symbol} has no bar in the range; it has {moment(int(whole.open_time_ms[0]))} to "
                f"{moment(int(whole.open_time_ms[-1]))}",
                "choose a range within, or leave the symbol out", file=path,
            )  # fmt: skip
    return cut


def _of_dataset(path: Path, symbols: Sequence[str] | None, warn: Warn | None) -> dict[str, BarColumns]:
    dataset = Dataset.open(path)
    there = dataset.symbols_of("bars")
    if not there:
        has_trades = dataset.symbols_of("trades")
        mend = "«btcbot data import … --bars 1m» makes them from trades" if has_trades else "import some"
        raise refuse("insufficient_rows", "the dataset holds no bars", mend, file=path)
    loaded = {}
    for symbol in _wanted(symbols, there, path):
        file = str(dataset.file("bars", symbol))
        recording, findings = checks.check(dataset.unchecked("bars", symbol), file)
        _tell(findings, warn)
        loaded[symbol] = tables.bar_columns(recording)
    return loaded


def _tell(findings: Sequence[Finding], warn: Warn | None) -> None:
    for finding in findings if warn is not None else ():
        assert warn is not None
        warn(finding.line)


def _of_csv(path: Path, symbols: Sequence[str] | None, warn: Warn | None) -> dict[str, BarColumns]:
    if not path.exists():
        demand_folder(path)
    # A name that tells no symbol leaves it to the caller; one that does is believed.
    is_nameless = path.is_file() and sources.symbol_of(path) is None
    only = symbols[0] if is_nameless and symbols is not None and len(symbols) == 1 else None
    files = {file.symbol: file for file in _bars_only(sources.files(path, only), path)}
    loaded = {}
    for symbol in _wanted(symbols, tuple(sorted(files)), path):
        file = files[symbol]
        parsed = csv_files.read(file.path, symbol, csv_files.Options(table="bars"), shown_as=file.shown)
        _tell(parsed.findings, warn)
        loaded[symbol] = tables.bar_columns(parsed.recording)
    return loaded


def _bars_only(listed: list[sources.File], path: Path) -> list[sources.File]:
    """Files that may hold bars; two of one symbol leave open which is meant."""
    bars = [file for file in listed if file.table in (None, "bars")]
    if not bars:
        raise refuse("missing_candles_files", "no file of bars lies in it", "add SYMBOL.csv files of bars", file=path)
    for at, file in enumerate(bars):
        for other in bars[:at]:
            if file.symbol == other.symbol:
                raise refuse(
                    "symbol_mismatch", f"{other.path.name} and {file.path.name} are both of {file.symbol}",
                    "name one file, or bring them together with «btcbot data import»", file=path,
                )  # fmt: skip
    return bars


def _wanted(symbols: Sequence[str] | None, there: tuple[str, ...], path: Path) -> tuple[str, ...]:
    for symbol in symbols or ():
        if symbol not in there:
            raise unknown_symbol(symbol, there, "bars", path)
    return there if symbols is None else tuple(dict.fromkeys(symbols))


def moment(at_ms: int) -> str:
    """`2022-11-08 22:33:00Z`."""
    from datetime import UTC, datetime, timedelta

    try:
        return f"{datetime.fromtimestamp(0, tz=UTC) + timedelta(milliseconds=at_ms):%Y-%m-%d %H:%M:%SZ}"
    except OverflowError:
        return f"{at_ms} ms"
