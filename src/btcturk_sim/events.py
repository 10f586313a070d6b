"""What happened inside the exchange, as values, for whoever listens (the recording, the feed)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec

from btcturk_sim.accounts import Account
from btcturk_sim.orders import Fill, Order
from btcturk_sim.pair import PublicTrade


class OrderInserted(msgspec.Struct, frozen=True):
    """An order was accepted; nothing is said of its fills."""

    order: Order
    time_ms: int


class OrderMatched(msgspec.Struct, frozen=True):
    """One account's side of one match."""

    account: Account
    order: Order
    fill: Fill


class OrderDeleted(msgspec.Struct, frozen=True):
    """An order left the book by cancel: the final word on a cancel request."""

    order: Order
    time_ms: int


class OrderClosed(msgspec.Struct, frozen=True):
    """An order has filled completely; told after its last match."""

    order: Order
    time_ms: int


class TradeBusted(msgspec.Struct, frozen=True):
    """The exchange took one account's side of a match back; order and balances already show it."""

    account: Account
    order: Order | None
    fill: Fill
    time_ms: int


class TradePrinted(msgspec.Struct, frozen=True):
    """A trade the public sees, by clients or by the rest of the world."""

    symbol: str
    trade: PublicTrade


class FundsMoved(msgspec.Struct, frozen=True):
    """A deposit or withdrawal changed what the account has of one asset."""

    account: Account
    asset: str
    time_ms: int


class BookChanged(msgspec.Struct, frozen=True):
    """A pair's book changed otherwise than by a step of the market or an order: its price is held, its rules differ."""

    symbol: str
    time_ms: int


class MarketStepped(msgspec.Struct, frozen=True):
    """All prices after one step of the market."""

    time_ms: int
    bar: int
    step: int
    market_time_ms: int
    prices: Mapping[str, Decimal]


Event = (
    OrderInserted
    | OrderMatched
    | OrderDeleted
    | OrderClosed
    | TradeBusted
    | TradePrinted
    | FundsMoved
    | BookChanged
    | MarketStepped
)
Listener = Callable[[Event], None]
