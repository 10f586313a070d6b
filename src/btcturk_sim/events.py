"""What happened inside the exchange, as values, for whoever listens (the recording, the feed)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from btcturk_sim.accounts import Account
from btcturk_sim.orders import Fill, Order
from btcturk_sim.pair import PublicTrade


@dataclass(frozen=True, slots=True)
class OrderInserted:
    """An order was accepted; nothing is said of its fills."""

    order: Order
    time_ms: int


@dataclass(frozen=True, slots=True)
class OrderMatched:
    """One account's side of one match."""

    account: Account
    order: Order
    fill: Fill


@dataclass(frozen=True, slots=True)
class OrderDeleted:
    """An order left the book by cancel: the final word on a cancel request."""

    order: Order
    time_ms: int


@dataclass(frozen=True, slots=True)
class OrderClosed:
    """An order has filled completely; told after its last match."""

    order: Order
    time_ms: int


@dataclass(frozen=True, slots=True)
class TradeBusted:
    """The exchange took one account's side of a match back; order and balances already show it."""

    account: Account
    order: Order | None
    fill: Fill
    time_ms: int


@dataclass(frozen=True, slots=True)
class TradePrinted:
    """A trade the public sees, by clients or by the rest of the world."""

    symbol: str
    trade: PublicTrade


@dataclass(frozen=True, slots=True)
class FundsMoved:
    """A deposit or withdrawal changed what the account has of one asset."""

    account: Account
    asset: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class BookChanged:
    """A pair's book changed otherwise than by a step of the market or an order: its price is held, its rules differ."""

    symbol: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class MarketStepped:
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
