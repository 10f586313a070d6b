"""One number for what happened in a backtest: equal exactly when orders, fills, decisions, books and equity are equal,
and what the parts of a profile did beside them: parameters, levels, selections, replacements.

Hashed is what a trader would call the result. Left out is what may differ between two runs of the same thing: wall and
CPU time, how often the cycle ran (bars at which nothing could change may be skipped), when an order's last change was
written down (by the next cycle that ran), and ids that are numbered by cycle. A fill names its order by the order's
place in the list, postings of one entry are kept together by it; so the ids' own text does not matter, but which order
was filled does. Settings and parameters are not hashed either: two runs that came to the same are the same.

The form is the same on every machine and Python: text as UTF-8 behind its lengths, integers and floats as eight
little-endian bytes, money as plain decimal text without trailing zeros.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import TYPE_CHECKING, Final

import numpy as np

from btcbot.backtest.events import OF_EVERY_CYCLE
from btcbot.domain import money

if TYPE_CHECKING:
    import polars as pl

    from btcbot.backtest.result import BacktestResult

#: Changes when the form changes: fingerprints of two forms are not comparable.
FORM: Final = "btcbot result 1"
#: Rows hashed at a time. Part of the form.
CHUNK: Final = 65_536


class Kind(Enum):
    """How a column is written, whatever type it is stored in."""

    TEXT = "text"
    INTEGER = "integer"
    MONEY = "money"
    FLAG = "flag"
    FLOAT = "float"


_ORDER: Final = "order"
_ENTRY: Final = "entry"
CONTENT: Final = {
    "orders": {
        "created_at_ms": Kind.INTEGER,
        "symbol": Kind.TEXT,
        "side": Kind.TEXT,
        "price": Kind.MONEY,
        "quantity": Kind.MONEY,
        "filled_quantity": Kind.MONEY,
        "status": Kind.TEXT,
        "reason": Kind.TEXT,
    },
    "fills": {
        _ORDER: Kind.INTEGER,
        "at_ms": Kind.INTEGER,
        "symbol": Kind.TEXT,
        "side": Kind.TEXT,
        "price": Kind.MONEY,
        "quantity": Kind.MONEY,
        "fee": Kind.MONEY,
        "realized_pnl": Kind.MONEY,
    },
    "decisions": {
        "at_ms": Kind.INTEGER,
        "symbol": Kind.TEXT,
        "side": Kind.TEXT,
        "price": Kind.MONEY,
        "quantity": Kind.MONEY,
        "allowed": Kind.FLAG,
        "code": Kind.TEXT,
        "detail": Kind.TEXT,
    },
    "postings": {
        _ENTRY: Kind.INTEGER,
        "kind": Kind.TEXT,
        "at_ms": Kind.INTEGER,
        "account": Kind.TEXT,
        "asset": Kind.TEXT,
        "amount": Kind.MONEY,
    },
    "equity": {"at_ms": Kind.INTEGER, "equity": Kind.FLOAT, "exposure": Kind.FLOAT},
    "events": {"at_ms": Kind.INTEGER, "kind": Kind.TEXT, "body": Kind.TEXT},
}
#: Where there are none, nothing is said of them: a run without a profile's parts is as it was before there were any.
_OPTIONAL: Final = frozenset({"events"})


def fingerprint(result: BacktestResult) -> str:
    """64 hexadecimal digits. Reads column by column and copies at most `CHUNK` rows at a time."""
    digest = hashlib.sha256()
    for text in (FORM, result.quote_asset, money.plain(result.opening_equity), money.plain(result.final_equity)):
        digest.update(f"{text}\n".encode())
    # Orders are listed as they close; here they stand as they were made, whatever let go of them first.
    orders = result.orders
    if not orders["created_at_ms"].is_sorted():
        orders = orders.sort("created_at_ms", maintain_order=True)
    tables = {
        "orders": orders,
        "fills": _with_order_numbers(result.fills, orders),
        "decisions": result.decisions,
        "postings": _with_entry_numbers(result.postings),
        "equity": result.equity,
        "events": _without_notes_of_every_cycle(result.events),
    }
    for name, columns in CONTENT.items():
        table = tables[name]
        if name in _OPTIONAL and not table.height:
            continue
        digest.update(f"{name} {table.height}\n".encode())
        for column, kind in columns.items():
            digest.update(f"{column} {kind.value}\n".encode())
            for first in range(0, table.height, CHUNK):
                for part in _written(table[column].slice(first, CHUNK), kind):
                    digest.update(part)
    return digest.hexdigest()


def _with_order_numbers(fills: pl.DataFrame, orders: pl.DataFrame) -> pl.DataFrame:
    """Each fill with the place of its order in the list; nothing where the list has no such order."""
    import polars as pl

    key = pl.col("client_order_id").cast(pl.String)
    numbered = orders.select(key).with_row_index(_ORDER)
    return fills.with_columns(key).join(numbered, on="client_order_id", how="left", maintain_order="left")


def _without_notes_of_every_cycle(events: pl.DataFrame) -> pl.DataFrame:
    """Those are kept on request, which changes nothing of what happened."""
    import polars as pl

    return events.filter(~pl.col("kind").cast(pl.String).is_in([kind.value for kind in OF_EVERY_CYCLE]))


def _with_entry_numbers(postings: pl.DataFrame) -> pl.DataFrame:
    """Postings of one entry stand together: each change of the id is the next entry."""
    import polars as pl

    return postings.with_columns(pl.col("entry_id").rle_id().alias(_ENTRY))


def _written(values: pl.Series, kind: Kind) -> list[bytes]:
    """One chunk of a column as bytes."""
    import polars as pl

    parts = []
    if values.null_count():
        parts.append(b"nothing" + _bytes(values.is_null().to_numpy(), "<u1"))
    match kind:
        case Kind.TEXT | Kind.MONEY:
            texts = (plain_text(values) if kind is Kind.MONEY else values.cast(pl.String)).fill_null("")
            parts += [_bytes(texts.str.len_bytes().to_numpy(), "<i8"), (texts.str.join("").item() or "").encode()]
        case Kind.INTEGER:
            parts.append(_bytes(values.cast(pl.Int64).fill_null(0).to_numpy(), "<i8"))
        case Kind.FLAG:
            parts.append(_bytes(values.cast(pl.Boolean).fill_null(value=False).to_numpy(), "<u1"))
        case Kind.FLOAT:
            # Adding zero makes one zero of the two that floats have.
            parts.append(_bytes(values.cast(pl.Float64).fill_null(0.0).to_numpy() + 0.0, "<f8"))
    return parts


def _bytes(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]], form: str) -> bytes:
    return values.astype(form).tobytes()


def plain_text(amounts: pl.Series) -> pl.Series:
    """Money as `btcbot.domain.money.plain` writes it, for a whole column of decimals."""
    import polars as pl

    texts = amounts.cast(pl.String)
    is_fraction = texts.str.contains(".", literal=True)
    shortened = texts.str.strip_chars_end("0").str.strip_chars_end(".")
    return shortened.zip_with(is_fraction, texts).replace("-0", "0")
