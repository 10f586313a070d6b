"""Two recordings of the same table and symbol become one: nothing twice, nothing lost."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import polars as pl

from btcbot.adapters.replay.checks import duration
from btcbot.adapters.replay.findings import refuse
from btcbot.adapters.replay.tables import Recording, rescaled


class Merged(NamedTuple):
    """The union, and of the new rows: how many were not there, were there, and took the place of another bar."""

    recording: Recording
    added: int
    known: int
    replaced: int


def merge(old: Recording, new: Recording) -> Merged:
    """Both, ascending by time; rows of one millisecond stay in the order they came, old before new.

    Bars are the same by time, and a newer bar replaces an older one. Trades are the same by trade id where both have
    one; otherwise, as quotes, by all their values, as often as both have them.
    """
    assert (old.table, old.symbol) == (new.table, new.symbol)
    if old.table == "bars" and old.interval_ms != new.interval_ms:
        assert old.interval_ms is not None and new.interval_ms is not None
        raise refuse(
            "irregular_interval",
            f"bars of {old.symbol} are kept at {duration(old.interval_ms)}, these are of {duration(new.interval_ms)}",
            "put another interval into a folder of its own",
        )
    price_scale = max(old.price_scale, new.price_scale)
    quantity_scale = max(old.quantity_scale, new.quantity_scale)
    old, new = rescaled(old, price_scale, quantity_scale), rescaled(new, price_scale, quantity_scale)
    if old.table == "bars":
        frame, added, known, replaced = _bars(old.frame, new.frame)
    else:
        fresh = _fresh(old, new)
        added, known, replaced = fresh.height, new.frame.height - fresh.height, 0
        frame = pl.concat([old.frame, fresh]).sort(old.shape.time, maintain_order=True) if added else old.frame
    sources = (*old.sources, *(source for source in new.sources if source not in old.sources))
    return Merged(msgspec.structs.replace(old, frame=frame.rechunk(), sources=sources), added, known, replaced)


def _bars(old: pl.DataFrame, new: pl.DataFrame) -> tuple[pl.DataFrame, int, int, int]:
    new = new.unique("open_time_ms", keep="last", maintain_order=True)
    same = new.join(old, on=old.columns, how="semi").height
    common = new.join(old, on="open_time_ms", how="semi").height
    frame = pl.concat([old, new]).unique("open_time_ms", keep="last").sort("open_time_ms")
    return frame, new.height - common, same, common - same


def _fresh(old: Recording, new: Recording) -> pl.DataFrame:
    """The rows of `new` that `old` does not have."""
    time = old.shape.time
    rows = new.frame
    if old.table == "trades":
        identified = rows["trade_id"].is_not_null()
        first = rows.with_row_index("at").filter(identified).unique("trade_id", keep="first")
        first = first.join(old.frame.select("trade_id"), on="trade_id", how="anti")
        kept = pl.Series(range(rows.height)).is_in(first["at"].implode())
        rows = rows.filter(kept | ~identified)
    if not rows.height:
        return rows
    # Only what both tell of the same time can be the same row.
    begin, end = rows[time].min(), rows[time].max()
    overlap = old.frame.filter(pl.col(time).is_between(begin, end))
    if not overlap.height:
        return rows
    values = [name for name in rows.columns if name != "trade_id"]
    if old.table != "trades":
        return _anti(rows, overlap, values)
    # A row with an id may be one that was stored without; one without may be any.
    with_id, without = pl.col("trade_id").is_not_null(), pl.col("trade_id").is_null()
    left = rows.with_row_index("at")
    fresh = pl.concat([
        _anti(left.filter(with_id), overlap.filter(without), values),
        _anti(left.filter(without), overlap, values),
    ])  # fmt: skip
    return fresh.sort("at").drop("at")


def _anti(rows: pl.DataFrame, known: pl.DataFrame, values: list[str]) -> pl.DataFrame:
    """The rows of which `known` does not have as many."""
    nth = pl.int_range(pl.len()).over(values).alias("nth")
    return (
        rows.with_columns(nth)
        .join(known.select(values).with_columns(nth), on=[*values, "nth"], how="anti", nulls_equal=True,
              maintain_order="left")
        .drop("nth")
    )  # fmt: skip
