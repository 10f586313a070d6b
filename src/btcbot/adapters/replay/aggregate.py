"""Bars from trades: open, high, low, close and volume of each interval, exactly.

An interval without a trade has no bar. The first and the last bar may be of part of their interval, since nobody knows
what was traded before the first and after the last trade that is there.
"""

from __future__ import annotations

import polars as pl

from btcbot.adapters.replay.findings import refuse
from btcbot.adapters.replay.tables import INT64_MAX, Recording


def bars_from_trades(trades: Recording, interval_ms: int) -> Recording:
    """Bars that open at whole multiples of the interval since 1970, UTC. `trades` ascend by time."""
    assert trades.table == "trades"
    if interval_ms <= 0:
        raise refuse("irregular_interval", "the interval of bars is not positive", "give one such as 1m")
    times = pl.col("time_ms")
    total = sum(trades.frame["quantity"].to_list())
    if total > INT64_MAX:
        raise refuse(
            "invalid_number", f"the volume of {trades.symbol} does not fit into 64 bits",
            "give fewer trades at a time", file=f"trades of {trades.symbol}",
        )  # fmt: skip
    frame = (
        trades.frame.group_by((times - times % interval_ms).alias("open_time_ms"), maintain_order=True)
        .agg(
            open=pl.col("price").first(),
            high=pl.col("price").max(),
            low=pl.col("price").min(),
            close=pl.col("price").last(),
            volume=pl.col("quantity").sum(),
        )
        .sort("open_time_ms")
    )
    return Recording(
        table="bars",
        symbol=trades.symbol,
        interval_ms=interval_ms,
        price_scale=trades.price_scale,
        quantity_scale=trades.quantity_scale,
        sources=trades.sources,
        frame=frame,
    )
