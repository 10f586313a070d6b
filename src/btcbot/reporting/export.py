"""Rows out of a database into a file: CSV, JSON, JSON Lines or Parquet, whole or not at all.

Money leaves as text, exactly as it is booked, in every format; times as Unix ms and as text in UTC. A file gets its
name when it is complete and on the disk.
"""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from btcbot.domain import money
from btcbot.domain.cycles import CycleReport
from btcbot.domain.fills import Fill
from btcbot.domain.ledger import Entry
from btcbot.domain.notes import Note
from btcbot.domain.orders import Order
from btcbot.errors import BtcbotError, Refused
from btcbot.reporting.tax import TaxRow
from btcbot.services import days

Row = Mapping[str, object]


class Format(StrEnum):
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    PARQUET = "parquet"


#: What a spreadsheet would take for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def cycle_row(cycle: CycleReport) -> Row:
    """One column for each count would differ from cycle to cycle; counts, gates and quotes stay objects."""
    return {
        "cycle_id": cycle.cycle_id,
        "number": cycle.number,
        "mode": cycle.mode,
        "profile": cycle.profile,
        "outcome": cycle.outcome.value,
        "started_at": days.utc_text(cycle.started_at_ms),
        "started_at_ms": cycle.started_at_ms,
        "ended_at_ms": cycle.ended_at_ms,
        "equity": _plain(cycle.equity_try),
        "realized_pnl": _plain(cycle.realized_pnl_try),
        "unrealized_pnl": _plain(cycle.unrealized_pnl_try),
        "reasons": list(cycle.reasons),
        "counts": dict(cycle.counts),
        "gates": dict(cycle.gates),
        "quotes": {symbol: [_plain(bid), _plain(ask)] for symbol, (bid, ask) in cycle.quotes.items()},
    }


def fill_row(fill: Fill) -> Row:
    return {"at": days.utc_text(fill.at_ms), **_fields(fill)}


def order_row(order: Order) -> Row:
    return {"created_at": days.utc_text(order.created_at_ms), **_fields(order)}


def ledger_rows(entry: Entry) -> Iterator[Row]:
    """One row for each posting."""
    for line, posting in enumerate(entry.postings):
        yield {
            "entry_id": entry.entry_id,
            "kind": entry.kind.value,
            "at": days.utc_text(entry.at_ms),
            "at_ms": entry.at_ms,
            "line": line,
            "account": posting.account.value,
            "asset": posting.asset,
            "amount": money.plain(posting.amount),
            "memo": entry.memo,
        }


def note_row(note: Note) -> Row:
    """The body stays the object that it is."""
    return {
        "kind": note.kind.value,
        "cycle_id": note.cycle_id,
        "at": days.utc_text(note.at_ms),
        "at_ms": note.at_ms,
        "body": msgspec.json.decode(note.body),
    }


def tax_row(row: TaxRow) -> Row:
    return _fields(row)


#: What a table of each kind has as its columns, also when it has no rows.
CYCLE_COLUMNS: Final = (
    *("cycle_id", "number", "mode", "profile", "outcome", "started_at", "started_at_ms", "ended_at_ms"),
    *("equity", "realized_pnl", "unrealized_pnl", "reasons", "counts", "gates", "quotes"),
)
FILL_COLUMNS: Final = ("at", *Fill.__struct_fields__)
ORDER_COLUMNS: Final = ("created_at", *Order.__struct_fields__)
LEDGER_COLUMNS: Final = ("entry_id", "kind", "at", "at_ms", "line", "account", "asset", "amount", "memo")
NOTE_COLUMNS: Final = ("kind", "cycle_id", "at", "at_ms", "body")
TAX_COLUMNS: Final = TaxRow.__struct_fields__


def _fields(one: msgspec.Struct) -> dict[str, object]:
    return {name: _simple(value) for name, value in msgspec.structs.asdict(one).items()}


def _simple(value: object) -> object:
    match value:
        case Decimal():
            return money.plain(value)
        case Enum():
            return value.value
        case _:
            return value


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else money.plain(value)


# -- files -----------------------------------------------------------------------------------------------------------


def demand_writable(out: Path, *, force: bool) -> None:
    """Refuse before any work is done: a folder that is not there, or a file that would be lost."""
    if not out.parent.is_dir():
        raise Refused(f"there is no folder {out.parent}: make it first")
    if out.is_dir():
        raise Refused(f"{out} is a folder: give the name of a file")
    if os.path.lexists(out) and not force:
        raise Refused(f"{out} exists already: give another name, or say --force to replace it")


def write(rows: Sequence[Row], columns: Sequence[str], out: Path, form: Format, extra: Row | None = None) -> None:
    """Write `rows` with exactly these columns. `extra` goes into a JSON document beside `rows`; other formats have no
    place for it."""
    with _whole(out) as file:
        match form:
            case Format.CSV:
                file.write(_csv(rows, columns).encode())
            case Format.JSON:
                file.write(msgspec.json.format(msgspec.json.encode({**(extra or {}), "rows": rows}), indent=2) + b"\n")
            case Format.JSONL:
                file.writelines(msgspec.json.encode(row) + b"\n" for row in rows)
            case Format.PARQUET:
                _parquet(rows, columns, file)


def _csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[name]) for name in columns] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """A text that a spreadsheet would run is quoted; numbers may begin with a minus."""
    text = _flat(value)
    if isinstance(text, str) and text.startswith(_FORMULA) and not _is_number(text):
        return f"'{text}"
    return text


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdigit()


def _flat(value: object) -> object:
    """Lists of words in one cell; what has a structure as JSON."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "; ".join(value)
    return msgspec.json.encode(value).decode() if isinstance(value, list | dict) else value


def _parquet(rows: Sequence[Row], columns: Sequence[str], file: BinaryIO) -> None:
    import polars as pl

    # A column without any value has no type of its own; text is what money and words are.
    types = {name: _type(row[name] for row in rows) for name in columns}
    kinds = {int: pl.Int64, bool: pl.Boolean, float: pl.Float64}
    frame = pl.DataFrame(
        {name: [_flat(row[name]) for row in rows] for name in columns},
        schema={name: kinds.get(types[name], pl.String) for name in columns},
    )
    frame.write_parquet(file, compression="zstd")


def _type(values: Iterator[object]) -> type:
    return next((type(value) for value in values if value is not None), str)


@contextmanager
def _whole(out: Path) -> Iterator[BinaryIO]:
    """A file that has its name only when all of it is on the disk. A reader never sees a half, a crash leaves none."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent)
        with ExitStack() as undo:
            undo.callback(Path(name).unlink, missing_ok=True)  # half a file is no file
            with open(descriptor, "wb") as file:  # noqa: PTH123 - the descriptor is what mkstemp made
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(out)
            undo.pop_all()
        folder = os.open(out.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise BtcbotError(f"{out} cannot be written: {error.strerror or error}") from error
