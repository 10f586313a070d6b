"""Orders: as BtcTurk lists them, what it says of one that it took, and the body of one that is to be placed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Raw

from btcbot.adapters.btcturk.wire import envelope, values
from btcbot.adapters.btcturk.wire.values import NULL, WireError
from btcbot.domain import money
from btcbot.domain.intents import Side
from btcbot.domain.orders import CLIENT_ORDER_ID_LENGTH_MAX, Order
from btcbot.domain.venue import VenueOrder, VenueOrderStatus

#: BtcTurk documents for order bodies: at most 12 digits, at most 16 decimals.
ORDER_DIGITS_MAX: Final = 12
ORDER_PLACES_MAX: Final = 16


class ListedOrder(msgspec.Struct, frozen=True, gc=False):
    """An order of a listing and when it was placed (0 where the venue does not tell)."""

    order: VenueOrder
    placed_at_ms: int


class _Order(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    id: Raw
    left_amount: Raw
    price: Raw = NULL
    amount: Raw = NULL
    quantity: Raw = NULL
    pair_symbol: str | None = None
    pairsymbol: str | None = None
    type: str | None = None
    method: str = ""
    order_client_id: str | None = None
    time: Raw = NULL
    update_time: Raw = NULL
    status: str = ""


class _OpenOrders(msgspec.Struct, frozen=True, gc=False):
    asks: list[_Order]
    bids: list[_Order]


_ORDER: Final = msgspec.json.Decoder(_Order)
_ORDERS: Final = msgspec.json.Decoder(list[_Order])
_OPEN_ORDERS: Final = msgspec.json.Decoder(_OpenOrders)

_STATUS: Final[Mapping[str, VenueOrderStatus]] = {
    "untouched": VenueOrderStatus.UNTOUCHED,
    "partial": VenueOrderStatus.PARTIAL,
    "canceled": VenueOrderStatus.CANCELED,
    "cancelled": VenueOrderStatus.CANCELED,
    "closed": VenueOrderStatus.CLOSED,
    "filled": VenueOrderStatus.CLOSED,  # only in prose of the venue, but it can mean nothing else
}


def _optional_time_ms(raw: Raw, name: str) -> int:
    return 0 if values.is_null(raw) else values.time_ms(raw, name)


def _listed(row: _Order, side: Side | None = None) -> ListedOrder:
    if side is None:
        side = values.side(row.type)
    elif row.type is not None and values.side(row.type) is not side:
        raise WireError("an open order stands on the wrong side")
    placed_at_ms = _optional_time_ms(row.time, "time")
    order = VenueOrder(
        venue_order_id=values.number_identifier(row.id, "an order's id"),
        client_order_id=row.order_client_id or None,
        symbol=values.symbol(row.pair_symbol or row.pairsymbol or ""),
        side=side,
        method=row.method.lower(),
        price=money.ZERO if values.is_null(row.price) else values.not_negative(row.price, "price"),
        # `amount` is what was ordered; `quantity` shrank to a remainder on market orders.
        quantity=values.not_negative(row.quantity if values.is_null(row.amount) else row.amount, "amount"),
        leaves_quantity=values.not_negative(row.left_amount, "leftAmount"),
        status=_STATUS.get(row.status.lower(), VenueOrderStatus.OTHER),
        updated_at_ms=_optional_time_ms(row.update_time, "updateTime") or placed_at_ms,
    )
    if order.method == "limit" and order.leaves_quantity > order.quantity:
        raise WireError("an order has more left than was ordered")
    return ListedOrder(order, placed_at_ms)


def open_orders(body: bytes) -> list[VenueOrder]:
    """Orders of GET /api/v1/openOrders: asks are sells, bids are buys."""
    rows = envelope.decode_data(_OPEN_ORDERS, body, "the open orders")
    return [_listed(row, Side.SELL).order for row in rows.asks] + [_listed(row, Side.BUY).order for row in rows.bids]


def all_orders(body: bytes) -> list[ListedOrder]:
    """Orders of GET /api/v1/allOrders, one page, in the venue's order (newest first in all samples)."""
    return [_listed(row) for row in envelope.decode_data(_ORDERS, body, "the orders")]


def order(body: bytes) -> VenueOrder:
    """The order of GET /api/v1/order/{id}."""
    return _listed(envelope.decode_data(_ORDER, body, "the order")).order


class _Placed(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    id: Raw
    new_order_client_id: str | None = None


_PLACED: Final = msgspec.json.Decoder(_Placed)


def placed_order(data: Raw) -> tuple[str, str | None]:
    """Venue order id and echoed client id in the `data` of an accepted order."""
    placed = envelope.decode(_PLACED, data, "the placed order")
    return values.number_identifier(placed.id, "the order's id"), placed.new_order_client_id or None


class _OrderBody(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Field names as BtcTurk documents them. `newClientOrderId`, often seen, is silently ignored by the venue."""

    quantity: str
    price: str
    new_order_client_id: str
    order_method: str
    order_type: str
    pair_symbol: str


_ENCODER: Final = msgspec.json.Encoder()


def order_body(order: Order) -> bytes:
    """The body of POST /api/v1/order for a limit order; WireError for what the venue's pattern cannot hold."""
    if not 0 < len(order.client_order_id) <= CLIENT_ORDER_ID_LENGTH_MAX:
        raise WireError("the client order id is empty or too long")
    return _ENCODER.encode(
        _OrderBody(
            quantity=_order_number(order.quantity, "quantity"),
            price=_order_number(order.price, "price"),
            new_order_client_id=order.client_order_id,
            order_method="limit",
            order_type=order.side.value,
            pair_symbol=values.symbol(order.symbol),
        )
    )


def _order_number(value: Decimal, name: str) -> str:
    if not value.is_finite() or value <= 0:
        raise WireError(f"{name} is not positive")
    text = money.plain(value)
    digits, _, places = text.partition(".")
    if len(digits) > ORDER_DIGITS_MAX or len(places) > ORDER_PLACES_MAX:
        raise WireError(f"{name} {text} has more digits than an order can carry")
    return text
