"""Which files a path means: one CSV, a folder of them, or a folder in the candles/orderbook/ticker layout."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from btcbot.adapters.replay.dataset import is_dataset
from btcbot.adapters.replay.findings import Finding, refuse, shown
from btcbot.adapters.replay.tables import TABLES, Table

#: Folders of the layout of other tools, and the table that each holds.
LAYOUT: Final[dict[str, Table]] = {"candles": "bars", "orderbook": "quotes", "ticker": "tickers"}

_SYMBOL: Final = r"[A-Za-z0-9]{2,20}"
#: BTCTRY.csv, BTC_TRY.csv, BTCTRY-1m-2022-11.csv, BTCTRY-trades-2022-11-08.csv
_STEM: Final = re.compile(
    rf"({_SYMBOL}|[A-Za-z0-9]{{1,10}}_[A-Za-z0-9]{{1,10}})"
    r"([-_.]([0-9]{1,4}[smhdSMHD]?|bars|candles|klines|quotes|orderbook|ticker|tickers|trades|aggTrades))*",
    re.ASCII,
)


class File(NamedTuple):
    """A CSV file, its symbol, and the table that its folder says (None: its header does). `shown` is for people."""

    path: Path
    symbol: str
    table: Table | None
    shown: str


def files(path: Path, symbol: str | None = None) -> list[File]:
    """The CSV files that a path means. Raises BadData where there is none, or a symbol cannot be told."""
    if not path.exists():
        raise refuse("dataset_missing", "there is no such file or folder", "correct the name", file=path)
    if path.is_file():
        return [_file(path, symbol, None)]
    if not path.is_dir():
        raise refuse("unreadable", "is neither a file nor a folder", "name a CSV file or a folder of them", file=path)
    if is_dataset(path):
        raise refuse("invalid_schema", "is a dataset already", "name the CSV files that it was made of", file=path)
    found = [_file(one, symbol, table) for one, table in _listed(path)]
    if not found:
        inner = sorted(one.name for one in path.iterdir() if one.is_dir() and any(one.glob("*.csv")))
        mend = f"name one of its folders: {', '.join(inner[:8])}" if inner else "name a folder of SYMBOL.csv files"
        code = "missing_candles_files" if is_layout(path) else "insufficient_rows"
        raise refuse(code, "no CSV file lies in it", mend, file=path)
    return found


def is_layout(path: Path) -> bool:
    """Whether a folder has the candles/orderbook/ticker layout."""
    return path.is_dir() and any((path / name).is_dir() for name in LAYOUT)


def missing_of_layout(path: Path) -> tuple[Finding, ...]:
    """A warning for each part of the layout that is not there."""
    told = []
    for name in ("candles", "orderbook"):
        if not (path / name).is_dir():
            code, said = f"missing_{name}_folder", f"there is no folder {name}/"
        elif next((path / name).glob("*.csv"), None) is None:
            code, said = f"missing_{name}_files", f"no CSV file lies in {name}/"
        else:
            continue
        told.append(
            Finding(level="warning", code=code, said=said, mend=f"put SYMBOL.csv files into {name}/", file=str(path))
        )
    return tuple(told)


def mismatches(where: object, present: Sequence[tuple[Table, str]]) -> tuple[Finding, ...]:
    """A warning for each table that lacks symbols which another one has."""
    symbols = sorted({symbol for _, symbol in present})
    told = []
    for table in TABLES:
        has = {symbol for one, symbol in present if one == table}
        missing = [symbol for symbol in symbols if symbol not in has]
        if has and missing:
            told.append(
                Finding(
                    level="warning",
                    code="symbol_mismatch",
                    file=str(where),
                    said=f"{', '.join(missing)} {'have' if len(missing) > 1 else 'has'} no {table}, others have",
                    mend="add them, or leave the symbol out of what needs them",
                )
            )
    return tuple(told)


def _listed(path: Path) -> Iterator[tuple[Path, Table | None]]:
    for one in sorted(path.glob("*.csv")):
        yield one, None
    tables: dict[str, Table] = {**LAYOUT, **{table: table for table in TABLES}}
    for name, table in tables.items():
        for one in sorted((path / name).glob("*.csv")):
            yield one, table


def symbol_of(path: Path) -> str | None:
    """The symbol that a file's name begins with; None where it does not."""
    matched = _STEM.fullmatch(path.stem)
    return None if matched is None else matched[1].replace("_", "").upper()


def _file(path: Path, symbol: str | None, table: Table | None) -> File:
    name = symbol or symbol_of(path)
    if name is None:
        raise refuse(
            "symbol_mismatch", f"«{shown(path.name)}» does not begin with a symbol",
            "name the file such as BTCTRY.csv, or give --symbol", file=path,
        )  # fmt: skip
    return File(path, name, table, str(path))
