"""What the header row of a CSV says: which table it is, which column is which, and in which unit the times are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from btcbot.adapters.replay.findings import refuse, shown
from btcbot.adapters.replay.tables import SHAPES, TABLES, Table
from btcbot.adapters.replay.times import Unit

#: Names in use for the time column, the most telling first, and the unit that a name promises.
_TIMES: Final[dict[str, Unit | None]] = {
    "open_time_ms": "ms", "time_ms": "ms", "timestamp_ms": "ms", "ts_ms": "ms",
    "open_time_s": "s", "time_s": "s", "timestamp_s": "s", "open_time_us": "us", "time_us": "us",
    "open_time_ns": "ns", "time_ns": "ns",
    "open_time": None, "ts": None, "timestamp": None, "time": None, "unix": None, "datetime": None, "date": None,
}  # fmt: skip
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "open": ("open", "open_price", "o"),
    "high": ("high", "high_price", "h"),
    "low": ("low", "low_price", "l"),
    "close": ("close", "close_price", "c"),
    "volume": ("volume", "base_volume", "vol", "v"),
    "quote_volume": ("quote_volume",),
    "bid": ("bid", "best_bid", "bid_price", "best_bid_price"),
    "bid_quantity": ("bid_quantity", "bid_qty", "bid_size", "bid_amount", "best_bid_qty", "best_bid_quantity"),
    "ask": ("ask", "best_ask", "ask_price", "best_ask_price"),
    "ask_quantity": ("ask_quantity", "ask_qty", "ask_size", "ask_amount", "best_ask_qty", "best_ask_quantity"),
    "price": ("price", "trade_price", "p"),
    "quantity": ("quantity", "qty", "size", "amount", "q"),
    "is_buyer_maker": ("is_buyer_maker", "side", "taker_side"),
    "trade_id": ("trade_id", "tid", "id"),
    "last": ("last", "last_price"),
}
_SYMBOL: Final = ("symbol", "pair", "pair_symbol")


class Header(NamedTuple):
    """Where each column of the table stands in a row, and what the file calls it.

    `cells` counts the names; every row must have as many.
    """

    table: Table
    at: dict[str, int]
    names: dict[str, str]
    cells: int
    unit: Unit | None
    symbol_at: int | None


def read(names: Sequence[str], table: Table | None, file: object) -> Header:
    """Recognise the columns; `table` is what the caller says it is."""
    listed = [name.strip().lower().replace(" ", "_") for name in names]
    if all(name.replace(".", "").replace("-", "").isdigit() for name in listed if name):
        raise refuse(
            "invalid_schema", "the first line holds numbers, not the names of columns",
            "add a header line such as open_time_ms,open,high,low,close,volume", file=file, row=1,
        )  # fmt: skip
    found = {column: at for column, spelt in _NAMES.items() if (at := _position(listed, spelt)) is not None}
    time_at = _position(listed, tuple(_TIMES))
    table = table or _table_of(found)
    told = ", ".join(shown(name) for name in names[:20])
    if table is None:
        raise refuse(
            "invalid_schema", f"the columns ({told}) are those of no table",
            "name them open, high, low, close, volume; or bid, ask; or price, quantity; and the time ts",
            file=file, row=1,
        )  # fmt: skip
    shape = SHAPES[table]
    missing = [
        name for name in (*shape.prices, *shape.quantities, *shape.flags, *shape.texts)
        if name not in found and name not in shape.optional
    ]  # fmt: skip
    if time_at is None:
        missing.insert(0, "ts")
    if missing:
        raise refuse(
            "invalid_schema", f"{table} need the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}, and the "
            f"header names {told}", "name the columns so, or say --table where it is another table", file=file, row=1,
        )  # fmt: skip
    assert time_at is not None
    places = {name: found[name] for name in shape.schema if name in found} | {shape.time: time_at}
    for position in places.values():
        if listed.count(listed[position]) > 1:
            raise refuse(
                "invalid_schema", f"the header names «{shown(listed[position])}» twice", "keep one of them",
                file=file, row=1,
            )  # fmt: skip
    called = {name: shown(names[position].strip()) for name, position in places.items()}
    return Header(table, places, called, len(names), _TIMES[listed[time_at]], _position(listed, _SYMBOL))


def _table_of(found: dict[str, int]) -> Table | None:
    """The table whose columns are there; bars before tickers, which share names."""
    for table in TABLES:
        shape = SHAPES[table]
        if all(name in found for name in shape.prices):
            return table
    return None


def _position(listed: Sequence[str], spelt: Sequence[str]) -> int | None:
    return next((listed.index(name) for name in spelt if name in listed), None)
