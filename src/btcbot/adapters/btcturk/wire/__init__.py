"""The codec: bytes of BtcTurk's REST answers to domain values, or `WireError`. Pure; no value is guessed.

Two rules decide what happens to a bad row. A list whose completeness is evidence (orders, trades, transfers, balances)
is refused as a whole: a row left out is a fill lost. A list to choose from (pairs, tickers) leaves the row out, and
counts it: one broken pair must not take all others down.

`values` reads the smallest pieces and `envelope` what is around an answer; beside them stands a module for each kind of
answer. Who reads answers knows this package as one.
"""

from __future__ import annotations

from btcbot.adapters.btcturk.wire.account import balances, trades, transfers
from btcbot.adapters.btcturk.wire.charts import klines
from btcbot.adapters.btcturk.wire.envelope import (
    BODY_BYTES_MAX,
    Envelope,
    VenueSaidNo,
    is_success,
    open_envelope,
    unpack,
)
from btcbot.adapters.btcturk.wire.market import order_book, public_trades, server_time_ms, ticker_rows, tickers
from btcbot.adapters.btcturk.wire.orders import (
    ListedOrder,
    all_orders,
    open_orders,
    order,
    order_body,
    placed_order,
)
from btcbot.adapters.btcturk.wire.pairs import Listing, instruments
from btcbot.adapters.btcturk.wire.values import WireError

__all__ = [
    "BODY_BYTES_MAX",
    "Envelope",
    "ListedOrder",
    "Listing",
    "VenueSaidNo",
    "WireError",
    "all_orders",
    "balances",
    "instruments",
    "is_success",
    "klines",
    "open_envelope",
    "open_orders",
    "order",
    "order_body",
    "order_book",
    "placed_order",
    "public_trades",
    "server_time_ms",
    "ticker_rows",
    "tickers",
    "trades",
    "transfers",
    "unpack",
]
