"""A run as files: the page, the summary, and every table as CSV, Parquet and JSON.

The folder appears whole or not at all: everything is written beside it first, synced, and put in its place with one
rename. The same run gives the same bytes. Times are Unix ms; money is plain decimal text in CSV and JSON, and an exact
`Decimal(38, 18)` in Parquet.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from btcbot.backtest.frames import TABLES, tables, with_plain_money
from btcbot.errors import Refused

if TYPE_CHECKING:
    import polars as pl

    from btcbot.backtest.findings import Findings
    from btcbot.backtest.result import BacktestResult

KINDS: Final = ("csv", "parquet", "json")
PAGE: Final = "report.html"
SUMMARY: Final = "summary.json"
NAMES: Final = (PAGE, SUMMARY, *(f"{table}.{kind}" for table in TABLES for kind in KINDS))
#: Rows of JSON that are text in memory at a time.
_JSON_ROWS: Final = 50_000


def refuse_unusable(directory: Path, *, force: bool = False) -> None:
    """Say early, before a long run, that the results could not be kept there.

    Refused when it is no folder, cannot be made or written, or holds files; with `force` the files of an earlier run
    may be replaced, and nothing else.
    """
    target = directory.resolve()
    try:
        if not target.exists():
            _refuse_unwritable(next(parent for parent in target.parents if parent.exists()), directory)
            return
        if not target.is_dir():
            raise Refused(f"{directory} is a file; name a folder for the results")
        strangers = sorted(set(os.listdir(target)) - set(NAMES))  # noqa: PTH208 - names are all that is asked for
        held = any(target.iterdir())
    except OSError as error:
        raise Refused(f"{directory} cannot be used for the results: {error.strerror}; name another folder") from None
    if held and not force:
        raise Refused(f"{directory} is not empty; name another folder, or replace an earlier run's files with --force")
    if strangers:
        raise Refused(f"{directory} holds {strangers[0]}, which is not of a backtest; name another folder")
    _refuse_unwritable(target.parent, directory)


def _refuse_unwritable(parent: Path, directory: Path) -> None:
    if not parent.is_dir():
        raise Refused(f"{directory} cannot be made: {parent} is a file; name another folder")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise Refused(f"{directory} cannot be written: no permission to write in {parent}; name another folder")


def write_all(
    result: BacktestResult, directory: Path, *, force: bool = False, findings: Findings | None = None
) -> tuple[Path, ...]:
    """Write report.html, summary.json and the tables into `directory`; the files written.

    Refused as `refuse_unusable` says, and when the disk will not take them; an earlier run's files then stay.
    """
    import msgspec

    from btcbot.backtest.findings import examine
    from btcbot.backtest.report import render
    from btcbot.backtest.table import facts

    refuse_unusable(directory, force=force)
    found = findings or examine(result)
    with _appearing(directory) as folder:
        (folder / PAGE).write_text(render(result, found, with_tables=True), encoding="utf-8", newline="\n")
        (folder / SUMMARY).write_bytes(msgspec.json.format(msgspec.json.encode(facts(found)), indent=2) + b"\n")
        for name, table in tables(found).items():
            write_table(table, folder, name)
    return tuple(directory / name for name in NAMES)


def write_table(table: pl.DataFrame, folder: Path, name: str) -> None:
    """One table in every kind of file."""
    import polars as pl
    import polars.selectors as cs

    words = table.with_columns(cs.by_dtype(pl.Categorical, pl.Enum).cast(pl.String)).rechunk()
    words.write_parquet(folder / f"{name}.parquet", compression="zstd", row_group_size=262_144, statistics=True)
    texts = with_plain_money(words)
    texts.write_csv(folder / f"{name}.csv")
    _write_json(texts, folder / f"{name}.json")


def _write_json(table: pl.DataFrame, path: Path) -> None:
    """An array with a row on each line, so that it can be read whole or line by line."""
    with path.open("wb") as file:
        file.write(b"[")
        before = b"\n"
        for part in table.iter_slices(_JSON_ROWS):
            lines = part.write_ndjson().encode().rstrip(b"\n")
            if lines:
                file.write(before + lines.replace(b"\n", b",\n"))
                before = b",\n"
        file.write(b"\n]\n")


@contextmanager
def _appearing(directory: Path) -> Iterator[Path]:
    """A folder to write into that becomes `directory` when all went well, and is gone when not."""
    target = directory.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".writing", dir=target.parent))
    except OSError as error:
        raise Refused(f"{directory} cannot be written: {error.strerror}; name another folder") from None
    try:
        yield making
        making.chmod(_ordinary_mode())
        _sync(making, sorted(making.iterdir()))
        _put_in_place(making, target)
    except OSError as error:
        raise Refused(f"the results cannot be written to {directory}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _ordinary_mode() -> int:
    """What a new folder may be read by; `mkdtemp` makes them private."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o777 & ~mask


def _sync(folder: Path, files: Sequence[Path]) -> None:
    for path in (*files, folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _put_in_place(made: Path, target: Path) -> None:
    """An empty folder is replaced by the rename itself; an earlier run steps aside for a moment."""
    if not target.exists() or not any(target.iterdir()):
        made.rename(target)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".replaced", dir=target.parent))
    target.rename(aside)
    try:
        made.rename(target)
    except OSError:
        aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)
