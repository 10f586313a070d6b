"""What the feed's frames say, one typed value for each kind. Values only: how they stand on the wire is `feed_wire`."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from typing import TypeAlias

import msgspec

from btcbot.domain.feed import AccountEventKind


class Level(msgspec.Struct, frozen=True, gc=False):
    """One price of a book and what is offered there."""

    price: Decimal
    quantity: Decimal


class ChangeKind(Enum):
    """What happens to a price of a book."""

    UPDATE = 0
    INSERT = 1
    DELETE = 3


class Change(msgspec.Struct, frozen=True, gc=False):
    """One change of a book; the quantity of a deletion means nothing."""

    kind: ChangeKind
    price: Decimal
    quantity: Decimal


class BookSnapshot(msgspec.Struct, frozen=True):
    """431 of the channel `obdiff`: the whole window of a book, and where the count of its changes begins."""

    symbol: str
    sequence: int
    asks: tuple[Level, ...]
    bids: tuple[Level, ...]


class BookDiff(msgspec.Struct, frozen=True):
    """432: changes of a book; its sequence is one more than that of the one before."""

    symbol: str
    sequence: int
    asks: tuple[Change, ...]
    bids: tuple[Change, ...]


class PublicTrade(msgspec.Struct, frozen=True, gc=False):
    """A trade of anybody. `is_buy`: the taker bought. That sense of the wire's S is observed, not documented."""

    trade_id: str
    at_ms: int
    price: Decimal
    quantity: Decimal
    is_buy: bool


class TradeList(msgspec.Struct, frozen=True):
    """421, the last trades of a pair (`is_whole`), or 422, one more."""

    symbol: str
    trades: tuple[PublicTrade, ...]
    is_whole: bool


class Ticker(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask as a ticker tells them, zero where there is none."""

    symbol: str
    bid: Decimal
    ask: Decimal


class Tickers(msgspec.Struct, frozen=True):
    """402, one pair, or 401, all of them."""

    tickers: tuple[Ticker, ...]


class Candle(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """428: the present candle of a pair."""

    symbol: str
    start_s: int
    resolution: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class Answer(msgspec.Struct, frozen=True, gc=False):
    """100: what BtcTurk says to a subscription: `join|obdiff:BTCTRY`."""

    ok: bool
    message: str


class LoginAnswer(msgspec.Struct, frozen=True, gc=False):
    """114: what BtcTurk says to a login."""

    ok: bool
    message: str


class Welcome(msgspec.Struct, frozen=True, gc=False):
    """991: the versions of the interface that BtcTurk speaks."""

    current: str
    oldest: str


class AccountFrame(msgspec.Struct, frozen=True, gc=False):
    """201, 423, 441, 451, 452, 453: something happened in our account. Only where to look is taken from it."""

    type: int
    kind: AccountEventKind
    symbol: str | None = None
    venue_order_id: str | None = None
    client_order_id: str | None = None
    trade_id: str | None = None


class SystemMessage(msgspec.Struct, frozen=True, gc=False):
    """801, words of the venue to its clients; 802, it logs us out."""

    type: int
    message: str


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """A type or channel that is not read here."""

    type: int


Frame: TypeAlias = (
    BookSnapshot
    | BookDiff
    | TradeList
    | Tickers
    | Candle
    | Answer
    | LoginAnswer
    | Welcome
    | AccountFrame
    | SystemMessage
    | Unknown
)
