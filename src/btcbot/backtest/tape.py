"""Recorded quotes and trades as what a backtest plays: finer than bars, and slower, because each step has its cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from btcbot.adapters.replay.columns import BarColumns
from btcbot.adapters.replay.dataset import Dataset, unknown_symbol
from btcbot.adapters.replay.tables import QuoteColumns, TradeColumns
from btcbot.errors import Refused

#: What quotes and trades are drawn as, in reports and for signals.
INTERVAL_MS: Final = 60_000
CYCLE_MS: Final = 10_000


class Tape(msgspec.Struct, frozen=True, kw_only=True):
    """`quotes` of every symbol, `trades` of those that have some; a cycle runs every `cycle_ms`."""

    quotes: Mapping[str, QuoteColumns]
    trades: Mapping[str, TradeColumns]
    cycle_ms: int = CYCLE_MS

    @property
    def first_ms(self) -> int:
        """When every symbol has a quote."""
        return max(int(quotes.time_ms[0]) for quotes in self.quotes.values())

    @property
    def last_ms(self) -> int:
        return max(int(quotes.time_ms[-1]) for quotes in self.quotes.values())


def load_tape(
    path: Path, symbols: Sequence[str] | None, start_ms: int | None, end_ms: int | None, cycle_ms: int
) -> Tape:
    """From a dataset. Raises Refused for what is not there, or holds no quote in the range."""
    dataset = Dataset.open(path)
    there = dataset.symbols_of("quotes")
    if not there:
        raise Refused(f"{path} holds no quotes; import or capture some, or play its bars")
    for symbol in symbols or ():
        if symbol not in there:
            raise unknown_symbol(symbol, there, "quotes", path)
    wanted = tuple(symbols or there)
    quotes = {symbol: dataset.quotes(symbol, start_ms, end_ms) for symbol in wanted}
    for symbol, columns in quotes.items():
        if not len(columns.time_ms):
            raise Refused(f"{path}: {symbol} has no quote in this range; choose another, or leave the symbol out")
    has_trades = dataset.symbols_of("trades")
    trades = {symbol: dataset.trades(symbol, start_ms, end_ms) for symbol in wanted if symbol in has_trades}
    return Tape(quotes=quotes, trades=trades, cycle_ms=cycle_ms)


def bars_of_tape(tape: Tape) -> dict[str, BarColumns]:
    """Bars of a minute from the bids, with the volume that was traded: what signals are computed over and charts drawn
    from. A minute without a quote has no bar."""
    return {symbol: _bars(symbol, quotes, tape.trades.get(symbol)) for symbol, quotes in tape.quotes.items()}


def _bars(symbol: str, quotes: QuoteColumns, trades: TradeColumns | None) -> BarColumns:
    minutes, first = np.unique(quotes.time_ms // INTERVAL_MS, return_index=True)
    bids = quotes.bid
    last = np.append(first[1:], len(bids)) - 1
    volume = np.zeros(len(minutes), dtype=np.int64)
    if trades is not None and len(trades.time_ms):
        at = np.searchsorted(minutes, trades.time_ms // INTERVAL_MS)
        inside = (at < len(minutes)) & (minutes[np.minimum(at, len(minutes) - 1)] == trades.time_ms // INTERVAL_MS)
        np.add.at(volume, at[inside], trades.quantity[inside])
    return BarColumns(
        symbol=symbol,
        interval_ms=INTERVAL_MS,
        price_scale=quotes.price_scale,
        volume_scale=trades.quantity_scale if trades is not None else 0,
        open_time_ms=(minutes * INTERVAL_MS).astype(np.int64),
        open=bids[first],
        high=np.maximum.reduceat(bids, first),
        low=np.minimum.reduceat(bids, first),
        close=bids[last],
        volume=volume,
    )
