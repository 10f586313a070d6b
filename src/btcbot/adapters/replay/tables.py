"""What is recorded: bars, quotes, trades and tickers, as tables of exact integers.

A `Recording` is one table of one symbol: a polars frame whose prices and quantities are int64 scaled by powers of ten.
It is what is read, checked, merged and written. Readers get it as columns structs: numpy arrays, and nothing of polars.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

import msgspec
import numpy as np
import polars as pl

from btcbot.adapters.replay.columns import BarColumns
from btcbot.adapters.replay.findings import refuse
from btcbot.domain.bars import Bar

if TYPE_CHECKING:
    import numpy.typing as npt

Table = Literal["bars", "quotes", "trades", "tickers"]
TABLES: Final[tuple[Table, ...]] = get_args(Table)

#: The largest number that a column holds.
INT64_MAX: Final = 2**63 - 1
#: No venue tells more decimals; more are the noise of somebody's floats.
SCALE_MAX: Final = 18


class Shape(NamedTuple):
    """The columns of a table, in their order. `optional` ones may be absent."""

    time: str
    prices: tuple[str, ...]
    quantities: tuple[str, ...]
    flags: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Every column with its type."""
        integers = dict.fromkeys((self.time, *self.prices, *self.quantities), pl.Int64())
        return {
            **integers,
            **dict.fromkeys(self.flags, pl.Boolean()),
            **dict.fromkeys(self.texts, pl.String()),
        }


SHAPES: Final[dict[Table, Shape]] = {
    "bars": Shape("open_time_ms", ("open", "high", "low", "close"), ("volume",)),
    "quotes": Shape(
        "time_ms",
        ("bid", "ask"),
        ("bid_quantity", "ask_quantity"),
        optional=frozenset({"bid_quantity", "ask_quantity"}),
    ),
    "trades": Shape(
        "time_ms",
        ("price",),
        ("quantity",),
        ("is_buyer_maker",),
        ("trade_id",),
        optional=frozenset({"is_buyer_maker", "trade_id"}),
    ),
    # `quote_volume` is in quote, and kept at the scale of quantities all the same.
    "tickers": Shape(
        "time_ms", ("last", "high", "low"), ("volume", "quote_volume"), optional=frozenset({"quote_volume"})
    ),
}


class QuoteColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Best prices of one symbol, ascending by time; rows of the same millisecond stand in the order they came.

    `time_ms`: Unix ms, UTC. `bid`, `ask`: quote scaled by `10**price_scale`; `bid_quantity`, `ask_quantity`: base
    scaled by `10**quantity_scale`, None where no row tells it, 0 at a row that does not. All int64.
    """

    symbol: str
    price_scale: int
    quantity_scale: int
    time_ms: npt.NDArray[np.int64]
    bid: npt.NDArray[np.int64]
    bid_quantity: npt.NDArray[np.int64] | None
    ask: npt.NDArray[np.int64]
    ask_quantity: npt.NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.time_ms)


class TradeColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Trades of one symbol, ascending by time; rows of the same millisecond stand in the order they came.

    `price`: quote scaled by `10**price_scale`, `quantity`: base scaled by `10**quantity_scale`, int64.
    `is_buyer_maker`: True where the taker sold; None unless every row tells it. `trade_id`: the venue's, a polars
    Series of text, None where no row has one.
    """

    symbol: str
    price_scale: int
    quantity_scale: int
    time_ms: npt.NDArray[np.int64]
    price: npt.NDArray[np.int64]
    quantity: npt.NDArray[np.int64]
    is_buyer_maker: npt.NDArray[np.bool_] | None
    trade_id: pl.Series | None

    def __len__(self) -> int:
        return len(self.time_ms)


class TickerColumns(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's rolling figures of 24 hours, ascending by time. `volume` in base, `quote_volume` in quote, both
    scaled by `10**quantity_scale`; the latter None where no row tells it, 0 at a row that does not."""

    symbol: str
    price_scale: int
    quantity_scale: int
    time_ms: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    low: npt.NDArray[np.int64]
    volume: npt.NDArray[np.int64]
    quote_volume: npt.NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.time_ms)


Columns = BarColumns | QuoteColumns | TradeColumns | TickerColumns


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where rows came from: the name of a file (never its folder) and its content; `sha256` empty for a live venue."""

    name: str
    sha256: str = ""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One table of one symbol. `interval_ms` is that of bars, None for the rest."""

    table: Table
    symbol: str
    price_scale: int
    quantity_scale: int
    frame: pl.DataFrame
    interval_ms: int | None = None
    sources: tuple[Source, ...] = ()

    @property
    def shape(self) -> Shape:
        return SHAPES[self.table]

    @property
    def times(self) -> npt.NDArray[np.int64]:
        return self.frame[self.shape.time].to_numpy()

    def __len__(self) -> int:
        return self.frame.height


def rescaled(recording: Recording, price_scale: int, quantity_scale: int) -> Recording:
    """The same numbers with more decimals. Refuses what 64 bits do not hold."""
    shape, changed = recording.shape, []
    for names, before, after in (
        (shape.prices, recording.price_scale, price_scale),
        (shape.quantities, recording.quantity_scale, quantity_scale),
    ):
        assert after >= before, "decimals are never dropped"
        for name in names if after > before else ():
            if name not in recording.frame.columns:
                continue
            column = recording.frame[name]
            largest, factor = column.abs().max(), 10 ** (after - before)
            if isinstance(largest, int) and largest * factor > INT64_MAX:
                raise too_many_digits(f"{recording.table} of {recording.symbol}", name, after)
            if factor <= INT64_MAX:
                changed.append(column * factor)
    return msgspec.structs.replace(
        recording,
        frame=recording.frame.with_columns(changed),
        price_scale=price_scale,
        quantity_scale=quantity_scale,
    )


def too_many_digits(file: object, column: str, scale: int) -> Exception:
    """The refusal of numbers that int64 does not hold at the scale they need."""
    return refuse(
        "invalid_number",
        f"the numbers of «{column}» do not fit into 64 bits with the {scale} decimals that they need together",
        "round the column to the decimals that the venue really tells",
        file=file,
    )


# -- columns to recordings and back --------------------------------------------------------------------------------


def recording_of(columns: Columns) -> Recording:
    """What a writer stores. Absent optional columns become empty ones."""
    table: Table
    interval_ms: int | None = None
    match columns:
        case BarColumns():
            table, interval_ms, quantity_scale = "bars", columns.interval_ms, columns.volume_scale
        case QuoteColumns():
            table, quantity_scale = "quotes", columns.quantity_scale
        case TradeColumns():
            table, quantity_scale = "trades", columns.quantity_scale
        case TickerColumns():
            table, quantity_scale = "tickers", columns.quantity_scale
    shape = SHAPES[table]
    return Recording(
        table=table,
        symbol=columns.symbol,
        price_scale=columns.price_scale,
        quantity_scale=quantity_scale,
        interval_ms=interval_ms,
        # A shape of bars names its columns as `BarColumns` names them.
        frame=whole(shape, {name: getattr(columns, name) for name in shape.schema}, len(columns)),
    )


def whole(shape: Shape, given: dict[str, Any], rows: int) -> pl.DataFrame:
    """A frame with every column of the table; those that are not given are null."""
    made = []
    for name, kind in shape.schema.items():
        values = given.get(name)
        if values is None:
            made.append(pl.repeat(None, rows, dtype=kind, eager=True).alias(name))
        else:
            made.append(pl.Series(name, values, dtype=kind))
    return pl.DataFrame(made)


def bar_columns(recording: Recording) -> BarColumns:
    """Bars for a reader: arrays of the frame itself, without a copy."""
    assert recording.table == "bars" and recording.interval_ms is not None
    frame = recording.frame
    return BarColumns(
        symbol=recording.symbol,
        interval_ms=recording.interval_ms,
        price_scale=recording.price_scale,
        volume_scale=recording.quantity_scale,
        open_time_ms=frame["open_time_ms"].to_numpy(),
        open=frame["open"].to_numpy(),
        high=frame["high"].to_numpy(),
        low=frame["low"].to_numpy(),
        close=frame["close"].to_numpy(),
        volume=frame["volume"].to_numpy(),
    )


def quote_columns(recording: Recording) -> QuoteColumns:
    """Quotes for a reader."""
    assert recording.table == "quotes"
    frame = recording.frame
    return QuoteColumns(
        symbol=recording.symbol,
        price_scale=recording.price_scale,
        quantity_scale=recording.quantity_scale,
        time_ms=frame["time_ms"].to_numpy(),
        bid=frame["bid"].to_numpy(),
        bid_quantity=_told(frame["bid_quantity"]),
        ask=frame["ask"].to_numpy(),
        ask_quantity=_told(frame["ask_quantity"]),
    )


def trade_columns(recording: Recording) -> TradeColumns:
    """Trades for a reader."""
    assert recording.table == "trades"
    frame = recording.frame
    maker, ids = frame["is_buyer_maker"], frame["trade_id"]
    return TradeColumns(
        symbol=recording.symbol,
        price_scale=recording.price_scale,
        quantity_scale=recording.quantity_scale,
        time_ms=frame["time_ms"].to_numpy(),
        price=frame["price"].to_numpy(),
        quantity=frame["quantity"].to_numpy(),
        is_buyer_maker=None if maker.null_count() else maker.to_numpy(),
        trade_id=None if ids.null_count() == len(ids) else ids,
    )


def ticker_columns(recording: Recording) -> TickerColumns:
    """Tickers for a reader."""
    assert recording.table == "tickers"
    frame = recording.frame
    return TickerColumns(
        symbol=recording.symbol,
        price_scale=recording.price_scale,
        quantity_scale=recording.quantity_scale,
        time_ms=frame["time_ms"].to_numpy(),
        last=frame["last"].to_numpy(),
        high=frame["high"].to_numpy(),
        low=frame["low"].to_numpy(),
        volume=frame["volume"].to_numpy(),
        quote_volume=_told(frame["quote_volume"]),
    )


def _told(column: pl.Series) -> npt.NDArray[np.int64] | None:
    return None if column.null_count() == len(column) else column.fill_null(0).to_numpy()


# -- from exact decimals -------------------------------------------------------------------------------------------


def bars_of(symbol: str, interval_ms: int, bars: Iterable[Bar]) -> BarColumns:
    """Columns of bars, at the fewest decimals that hold every number exactly."""
    rows = list(bars)
    names = ("open", "high", "low", "close")
    opens, highs = [bar.open for bar in rows], [bar.high for bar in rows]
    lows, closes = [bar.low for bar in rows], [bar.close for bar in rows]
    prices, price_scale = _scaled([opens, highs, lows, closes], symbol, "price")
    (volume,), volume_scale = _scaled([[bar.volume for bar in rows]], symbol, "volume")
    assert volume is not None
    columns = {name: column for name, column in zip(names, prices, strict=True) if column is not None}
    return BarColumns(
        symbol=symbol,
        interval_ms=interval_ms,
        price_scale=price_scale,
        volume_scale=volume_scale,
        open_time_ms=np.array([bar.open_time_ms for bar in rows], dtype=np.int64),
        volume=volume,
        **columns,
    )


def quotes_of(
    symbol: str, rows: Iterable[tuple[int, Decimal, Decimal | None, Decimal, Decimal | None]]
) -> QuoteColumns:
    """Columns of (time_ms, bid, bid quantity, ask, ask quantity); a quantity is None where it is not known."""
    listed = list(rows)
    (bid, ask), price_scale = _scaled([[row[1] for row in listed], [row[3] for row in listed]], symbol, "price")
    quantities, quantity_scale = _scaled([[row[2] for row in listed], [row[4] for row in listed]], symbol, "quantity")
    assert bid is not None and ask is not None
    return QuoteColumns(
        symbol=symbol,
        price_scale=price_scale,
        quantity_scale=quantity_scale,
        time_ms=np.array([row[0] for row in listed], dtype=np.int64),
        bid=bid,
        bid_quantity=quantities[0],
        ask=ask,
        ask_quantity=quantities[1],
    )


def trades_of(symbol: str, rows: Iterable[tuple[int, Decimal, Decimal, bool | None, str | None]]) -> TradeColumns:
    """Columns of (time_ms, price, quantity, whether the taker sold, the venue's trade id)."""
    listed = list(rows)
    (price,), price_scale = _scaled([[row[1] for row in listed]], symbol, "price")
    (quantity,), quantity_scale = _scaled([[row[2] for row in listed]], symbol, "quantity")
    assert price is not None and quantity is not None
    makers, ids = [row[3] for row in listed], [row[4] for row in listed]
    return TradeColumns(
        symbol=symbol,
        price_scale=price_scale,
        quantity_scale=quantity_scale,
        time_ms=np.array([row[0] for row in listed], dtype=np.int64),
        price=price,
        quantity=quantity,
        is_buyer_maker=None if None in makers else np.array(makers, dtype=np.bool_),
        trade_id=None if all(one is None for one in ids) else pl.Series("trade_id", ids, dtype=pl.String),
    )


def _scaled(
    columns: list[list[Decimal | None]] | list[list[Decimal]], symbol: str, what: str
) -> tuple[list[npt.NDArray[np.int64] | None], int]:
    """Columns at one scale; None for a column in which a value is unknown throughout, 0 where only some are."""
    told = [value for column in columns for value in column if value is not None]
    for value in told:
        if not value.is_finite():
            raise refuse("invalid_number", f"{what} of {symbol} is {value}", "give finite numbers")
    scale = max((max(-int(value.normalize().as_tuple().exponent), 0) for value in told), default=0)
    made: list[npt.NDArray[np.int64] | None] = []
    for column in columns:
        if column and all(value is None for value in column):
            made.append(None)
            continue
        integers = [0 if value is None else int(value.scaleb(scale)) for value in column]
        if scale > SCALE_MAX or max(map(abs, integers), default=0) > INT64_MAX:
            raise too_many_digits(symbol, what, scale)
        made.append(np.array(integers, dtype=np.int64))
    return made, scale
