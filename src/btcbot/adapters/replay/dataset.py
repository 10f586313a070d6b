"""A dataset: a folder with one Parquet file for each table and symbol.

    DIR/schema.json  bars/BTCTRY.parquet  quotes/BTCTRY.parquet  trades/BTCTRY.parquet

`docs/reference/data-format.md` describes the files; `writer` writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from btcbot.adapters.replay import checks, parquet, tables
from btcbot.adapters.replay.columns import BarColumns
from btcbot.adapters.replay.findings import BadData, refuse, shown
from btcbot.adapters.replay.tables import TABLES, QuoteColumns, Recording, Table, TickerColumns, TradeColumns

#: Marks the folder and describes the files to whoever opens them with another program.
SCHEMA_FILE: Final = "schema.json"


def is_dataset(path: Path) -> bool:
    """Whether the folder is one of ours, an empty one too."""
    return path.is_dir() and (
        ((path / SCHEMA_FILE).is_file() and any((path / table).is_dir() for table in TABLES))
        or any(next((path / table).glob("*.parquet"), None) is not None for table in TABLES)
    )  # fmt: skip


class Dataset:
    """Reads a dataset. Every row handed out has passed the checks; the errors are `BadData`, a `Refused`."""

    def __init__(self, path: Path, files: dict[tuple[str, Table], Path]) -> None:
        self.path = path
        self._files = files

    @classmethod
    def open(cls, path: Path) -> Dataset:
        """Raises BadData where there is none. Reads no rows yet."""
        demand_folder(path)
        if not is_dataset(path):
            raise refuse(
                "invalid_schema",
                "the folder is no dataset",
                "make one with «btcbot data import … --into DIR»",
                file=path,
            )
        files: dict[tuple[str, Table], Path] = {}
        for table in TABLES:
            for file in sorted((path / table).glob("*.parquet")):
                if not file.name.startswith("."):
                    files[file.stem, table] = file
        return cls(path, files)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol of any table, ascending."""
        return tuple(sorted({symbol for symbol, _ in self._files}))

    def tables(self, symbol: str) -> tuple[Table, ...]:
        """The tables that a symbol has."""
        return tuple(table for table in TABLES if (symbol, table) in self._files)

    def symbols_of(self, table: Table) -> tuple[str, ...]:
        """The symbols that a table has."""
        return tuple(symbol for symbol in self.symbols if (symbol, table) in self._files)

    def bars(self, symbol: str, start_ms: int | None = None, end_ms: int | None = None) -> BarColumns:
        """Bars that open from `start_ms` on and before `end_ms`."""
        return tables.bar_columns(self.recording("bars", symbol)).between(start_ms, end_ms)

    def quotes(self, symbol: str, start_ms: int | None = None, end_ms: int | None = None) -> QuoteColumns:
        """Quotes from `start_ms` on and before `end_ms`."""
        return tables.quote_columns(self.recording("quotes", symbol, start_ms, end_ms))

    def trades(self, symbol: str, start_ms: int | None = None, end_ms: int | None = None) -> TradeColumns:
        """Trades from `start_ms` on and before `end_ms`."""
        return tables.trade_columns(self.recording("trades", symbol, start_ms, end_ms))

    def tickers(self, symbol: str, start_ms: int | None = None, end_ms: int | None = None) -> TickerColumns:
        """Tickers from `start_ms` on and before `end_ms`."""
        return tables.ticker_columns(self.recording("tickers", symbol, start_ms, end_ms))

    def file(self, table: Table, symbol: str) -> Path:
        """Where a recording lies; refuses one that is not there and names the nearest."""
        found = self._files.get((symbol, table))
        if found is None:
            raise unknown_symbol(symbol, self.symbols_of(table), table, self.path)
        return found

    def recording(self, table: Table, symbol: str, start_ms: int | None = None, end_ms: int | None = None) -> Recording:
        """A recording, checked. Rows in findings are counted from 1 within what was asked for."""
        recording = self.unchecked(table, symbol, start_ms, end_ms)
        if len(recording):
            recording, _ = checks.check(recording, str(self.file(table, symbol)))
        return recording

    def unchecked(self, table: Table, symbol: str, start_ms: int | None = None, end_ms: int | None = None) -> Recording:
        """A recording as it lies in its file, which has to be the one that its name and folder say."""
        file = self.file(table, symbol)
        recording = parquet.read(file, start_ms, end_ms)
        if (recording.symbol, recording.table) != (symbol, table):
            raise refuse(
                "symbol_mismatch", f"the file holds {recording.table} of {shown(recording.symbol)}",
                f"move it to {recording.table}/{shown(recording.symbol)}.parquet", file=file,
            )  # fmt: skip
        return recording

    @property
    def files(self) -> dict[tuple[str, Table], Path]:
        """Every file by symbol and table."""
        return dict(self._files)


def demand_folder(path: Path) -> None:
    """Refuse what is missing or no folder."""
    if not path.exists():
        raise refuse(
            "dataset_missing", "there is no such folder", "name one that is there, or make one with «btcbot data init»",
            file=path,
        )  # fmt: skip
    if not path.is_dir():
        raise refuse("dataset_not_directory", "is no folder", "name the folder of the dataset", file=path)


def unknown_symbol(symbol: str, known: Sequence[str], table: Table, where: object) -> BadData:
    """The refusal of a symbol that is not there, with the nearest that is."""
    from difflib import get_close_matches

    near = get_close_matches(symbol.upper(), known, n=1)
    if near:
        mend = f"did you mean {near[0]}?"
    elif known:
        mend = f"there are {', '.join(known[:12])}" + (" and more" if len(known) > 12 else "")
    else:
        mend = f"there are no {table} at all; import some"
    return refuse("symbol_missing", f"there are no {table} of {shown(symbol)}", mend, file=where)
