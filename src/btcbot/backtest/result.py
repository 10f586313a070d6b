"""What a backtest leaves behind: settings, columns of records, and the curve of equity."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from btcbot.adapters.replay.columns import BarColumns
from btcbot.profiles import RUN

if TYPE_CHECKING:
    import polars as pl


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Times in Unix ms, UTC; money columns are `Decimal(38, 18)`, in the quote currency unless said otherwise.

    - `orders`: client_order_id, cycle_id, created_at_ms, updated_at_ms, symbol, side, price, quantity,
      filled_quantity, status, reason (the strategy's reason, or why it was denied, refused, cancelled)
    - `fills`: trade_id, client_order_id, at_ms, symbol, side, price, quantity, fee (tax included), realized_pnl (of
      this fill, net of fees; 0 for a buy)
    - `decisions`: cycle_id, at_ms, symbol, side, price, quantity, allowed (bool), code, detail
    - `postings`: entry_id, kind, at_ms, account, asset, amount (of that asset); each entry sums to zero per asset
    - `cycles`: number, cycle_id, at_ms, outcome, reasons (text), intents, allowed, submitted, cancels, fills, equity
      (only cycles that ran: bars at which nothing could change have none)
    - `events`: at_ms, kind, cycle_id, body (JSON): what a profile's parts did beside orders, oldest first; empty for
      `run`. A kind is that of a note, or the name of what only the log is told
    - `equity`: at_ms (close of the bar), equity, exposure (both Float64: for statistics and charts; exposure is what
      positions are worth); one row for each step of the clock

    `balances` are the venue's at the end by asset, free and locked together; the books agree with them. `bars` are the
    columns that were played, by symbol. `bars_played` counts them over all symbols. `wall_s` and `cpu_s` are no part of
    the fingerprint.
    """

    strategy: str
    parameters: Mapping[str, str]
    settings: Mapping[str, str]
    quote_asset: str
    interval_ms: int
    opening_equity: Decimal
    final_equity: Decimal
    bars: Mapping[str, BarColumns]
    bars_played: int
    cycles_run: int
    order_count: int
    fill_count: int
    fees: Decimal
    wall_s: float
    cpu_s: float
    orders: pl.DataFrame
    fills: pl.DataFrame
    decisions: pl.DataFrame
    postings: pl.DataFrame
    cycles: pl.DataFrame
    events: pl.DataFrame
    equity: pl.DataFrame
    profile: str = RUN.name
    balances: Mapping[str, Decimal] = {}
    notes: tuple[str, ...] = ()
