"""Orders, fills and refusals: the nouns every other module speaks of.

An order is Untouched, then perhaps Partial, and ends Closed (completely filled) or Canceled. There is no
rejected order: what is refused never gets an id. Only a bust changes an order that has ended: what it had filled
becomes less, and Closed becomes Canceled. A cancel is asked for at one time and takes effect at a later
one; until then the order is open and may fill.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from btcturk_sim.instruments import Instrument
from btcturk_sim.money import ZERO

if TYPE_CHECKING:
    from btcturk_sim.accounts import Account


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class Method(StrEnum):
    LIMIT = "limit"
    MARKET = "market"
    STOP_LIMIT = "stoplimit"
    STOP_MARKET = "stopmarket"

    @property
    def is_stop(self) -> bool:
        return self in (Method.STOP_LIMIT, Method.STOP_MARKET)

    @property
    def has_price(self) -> bool:
        return self in (Method.LIMIT, Method.STOP_LIMIT)


class Status(StrEnum):
    UNTOUCHED = "Untouched"
    PARTIAL = "Partial"
    CANCELED = "Canceled"
    CLOSED = "Closed"

    @property
    def is_open(self) -> bool:
        return self in (Status.UNTOUCHED, Status.PARTIAL)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the exchange said no: the wire's message and code."""

    message: str
    code: int


FAILED_MARKET_ORDER = Refusal("FAILED_MARKET_ORDER", 1118)
FAILED_ORDER_PARAMETER = Refusal("FAILED_ORDER_PARAMETER", 1121)
FAILED_ORDER_WITH_OPEN_ORDERS = Refusal("FAILED_ORDER_WITH_OPEN_ORDERS", 1122)
FAILED_MIN_TOTAL_AMOUNT = Refusal("FAILED_MIN_TOTAL_AMOUNT", 1123)
FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK = Refusal("FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK", 1124)
FAILED_STOP_PRICE_LESS_THAN_BEST_BID = Refusal("FAILED_STOP_PRICE_LESS_THAN_BEST_BID", 1125)
FAILED_INVALID_PRICE_SCALE = Refusal("FAILED_INVALID_PRICE_SCALE", 1126)
FAILED_INVALID_QUANTITY_SCALE = Refusal("FAILED_INVALID_QUANTITY_SCALE", 1127)
FAILED_INVALID_STOP_PRICE_SCALE = Refusal("FAILED_INVALID_STOP_PRICE_SCALE", 1128)
ORDER_METHOD_NOT_SUPPORTED = Refusal("ORDER_METHOD_NOT_SUPPORTED", 1134)
PRICE_ABOVE_MAX = Refusal("PRICE_MUST_BE_LESS_THAN_MAXPRICE", 1226)
PRICE_BELOW_MIN = Refusal("PRICE_MUST_BE_LESS_THAN_MINPRICE", 1227)  # sic: the exchange's own name
PRICE_MUST_BE_AN_INTEGER = Refusal("PRICE_MUST_BE_AN_INTEGER", 1116)
BALANCE_NOT_ENOUGH = Refusal("BALANCE_NOT_ENOUGH", 1055)
NO_ORDER_MATCHES_YOUR_REQUEST = Refusal("NO_ORDER_MATCHES_YOUR_REQUEST", 1052)
ORDER_COULD_NOT_BE_CANCELED = Refusal("ORDER_COULD_NOT_BE_CANCELED", 1051)
ORDER_CANCEL_BLOCKED = Refusal("ORDER_CANCEL_BLOCKED", 1053)  # number not known; only the text is documented
FAILED_LIMIT_ORDER = Refusal("FAILED_LIMIT_ORDER", 1120)
SYSTEM_UNDER_MAINTENANCE = Refusal("SYSTEM_UNDER_MAINTENANCE", 1216)
CLIENT_ID_NOT_UNIQUE = Refusal("FAILED_ORDER_PARAMETER", 1121)


def pair_unknown(symbol: str) -> Refusal:
    return Refusal(f"Pair {symbol} does not exists.", 1037)  # sic


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A well-formed wish; whether the rules allow it is the engine's business.

    `quantity` is in base currency, except for a market buy: there it is quote currency to spend, commission
    included. The numbers keep the digits they were written with, for the echo.
    """

    instrument: Instrument
    side: Side
    method: Method
    quantity: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    client_id: str | None = None


@dataclass(slots=True, eq=False)
class Order:
    """One order of one account, from acceptance to its end."""

    id: int
    account: Account
    instrument: Instrument
    side: Side
    method: Method
    price: Decimal
    stop_price: Decimal | None
    quantity: Decimal
    client_id: str
    created_ms: int
    left: Decimal
    updated_ms: int
    #: Quote currency still to spend, for market buys; None for all others.
    budget: Decimal | None = None
    status: Status = Status.UNTOUCHED
    #: What is locked for this order: quote currency for buys, base currency for sells.
    hold: Decimal = ZERO
    resting: bool = False
    cancel_at_ms: int | None = None
    ended_ms: int | None = None
    first_fill_price: Decimal | None = None
    filled: Decimal = ZERO
    #: What a market order that counts as completely filled could not fill.
    unfilled: Decimal = ZERO
    #: The id that the wire shows: its own, unless the exchange gave it one that was used before.
    wire_id: int = 0
    #: (time, left, status) after each change, so that a lagging list can show the past.
    history: list[tuple[int, Decimal, Status]] = field(default_factory=list)

    @property
    def hold_asset(self) -> str:
        return self.instrument.quote if self.side is Side.BUY else self.instrument.base

    def changed(self, now_ms: int, status: Status) -> None:
        self.status = status
        self.updated_ms = now_ms
        if not status.is_open:
            self.ended_ms = now_ms
        self.history.append((now_ms, self.left, status))

    def as_of(self, now_ms: int) -> tuple[int, Decimal, Status] | None:
        """(updated, left, status) as they stood then; None if the order did not exist yet."""
        if self.created_ms > now_ms:
            return None
        for entry in reversed(self.history):
            if entry[0] <= now_ms:
                return entry
        return None

    def __repr__(self) -> str:
        return (
            f"<Order {self.id} {self.instrument.symbol} {self.side.value} {self.method.value} "
            f"{self.left}/{self.quantity} @ {self.price} {self.status.value}>"
        )


@dataclass(frozen=True, slots=True)
class Fill:
    """One trade as one account sees it. Fee and tax are positive here; the wire shows them negative.

    `order_id` is the order's `wire_id`.
    """

    id: int
    order_id: int
    client_id: str
    instrument: Instrument
    side: Side
    time_ms: int
    quantity: Decimal
    price: Decimal
    fee: Decimal
    tax: Decimal
    maker: bool
    #: Number of the public trade it was part of; both sides share it where clients trade with each other.
    match_id: int | None = None
    order: Order | None = field(default=None, repr=False, compare=False)
