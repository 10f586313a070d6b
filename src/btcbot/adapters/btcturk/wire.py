"""The codec: bytes of BtcTurk's REST answers to domain values, or `WireError`. Pure; no value is guessed.

Two rules decide what happens to a bad row. A list whose completeness is evidence (orders, trades, transfers, balances)
is refused as a whole: a row left out is a fill lost. A list to choose from (pairs, tickers) leaves the row out, and
counts it: one broken pair must not take all others down.

The envelope is `{"success", "message", "code", "data"}` with irregularities, all seen on the wire: `code` is 0, "0",
"SUCCESS" or "" when all is well, and `success: true` has come with a code that says no. So `success` alone proves
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from btcbot.adapters.btcturk import wire_values as values
from btcbot.adapters.btcturk.feed_frames import PublicTrade
from btcbot.adapters.btcturk.wire_values import NULL, WireError
from btcbot.domain import money
from btcbot.domain.account import Balance
from btcbot.domain.fills import VenueTrade
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Side
from btcbot.domain.market import Quote
from btcbot.domain.orders import CLIENT_ORDER_ID_LENGTH_MAX, Order
from btcbot.domain.scan import TickerRow
from btcbot.domain.venue import Transfer, TransferKind, VenueOrder, VenueOrderStatus

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

#: Larger answers are not read: the largest honest one (exchangeinfo) has about 0.4 MB.
BODY_BYTES_MAX: Final = 8 * 1024 * 1024
#: BtcTurk documents for order bodies: at most 12 digits, at most 16 decimals.
ORDER_DIGITS_MAX: Final = 12
ORDER_PLACES_MAX: Final = 16

_SUCCESS_CODES: Final = frozenset({0, "0", "SUCCESS", ""})

T = TypeVar("T")


class VenueSaidNo(WireError):
    """A readable answer that is a refusal. `code` as text, `message` for people."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{message or 'no message'} ({code or 'no code'})")


# -- the envelope ------------------------------------------------------------------------------------------------------


class Envelope(msgspec.Struct, frozen=True, gc=False, rename={"http_status": "httpStatusCode"}):
    """What is around every answer but the server's time. `data` is left unread."""

    success: bool | None = None
    code: int | str | UnsetType | None = UNSET
    message: str | None = None
    data: Raw = NULL
    http_status: int | None = None


_ENVELOPE: Final = msgspec.json.Decoder(Envelope)


def _decode(decoder: msgspec.json.Decoder[T], body: bytes | Raw, name: str) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WireError(f"{name} cannot be read: {values.for_people(str(error))}") from error
    except RecursionError as error:
        raise WireError(f"{name} is nested too deeply") from error


def open_envelope(body: bytes) -> Envelope:
    """Read the envelope of an answer, whatever it says."""
    if len(body) > BODY_BYTES_MAX:
        raise WireError(f"an answer of {len(body)} bytes is beyond the limit")
    return _decode(_ENVELOPE, body, "the answer")


def is_success(envelope: Envelope) -> bool:
    """Both words must agree."""
    return envelope.success is True and envelope.code in _SUCCESS_CODES


def unpack(body: bytes, name: str) -> Raw:
    """The `data` of a successful answer. Raises VenueSaidNo for a refusal, WireError for anything unreadable."""
    envelope = open_envelope(body)
    # Lists once came without a code; with one, it has to agree.
    if not (is_success(envelope) or (envelope.success is True and envelope.code in (UNSET, None))):
        if envelope.success is None and envelope.code in (UNSET, None):
            raise WireError(f"{name} came without an envelope")
        code = "" if envelope.code is UNSET or envelope.code is None else str(envelope.code)
        raise VenueSaidNo(values.for_people(code), values.for_people(envelope.message or ""))
    if values.is_null(envelope.data):
        raise WireError(f"{name} came without data")
    return envelope.data


# -- server time -------------------------------------------------------------------------------------------------------

_TIME_MS_MIN: Final = 1_400_000_000_000  # 2014: BtcTurk's interface is younger than that


class _ServerTime(msgspec.Struct, frozen=True, gc=False):
    serverTime: Raw  # noqa: N815


_SERVER_TIME: Final = msgspec.json.Decoder(_ServerTime)


def server_time_ms(body: bytes) -> int:
    """Unix ms of GET /api/v2/server/time, which has no envelope."""
    if len(body) > BODY_BYTES_MAX:
        raise WireError(f"an answer of {len(body)} bytes is beyond the limit")
    made = values.time_ms(_decode(_SERVER_TIME, body, "the server's time").serverTime, "serverTime")
    if made < _TIME_MS_MIN:
        raise WireError("serverTime is not a time of this century's second decade or later")
    return made


# -- pairs -------------------------------------------------------------------------------------------------------------


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """All listed pairs by symbol, and how many rows could not be read."""

    instruments: Mapping[str, Instrument]
    skipped: int


class _Filter(msgspec.Struct, frozen=True, gc=False):
    filterType: str = ""  # noqa: N815
    minExchangeValue: Raw = NULL  # noqa: N815


class _Pair(msgspec.Struct, frozen=True, gc=False):
    name: str
    numerator: str
    denominator: str
    numeratorScale: int  # noqa: N815
    denominatorScale: int  # noqa: N815
    hasFraction: bool  # noqa: N815
    filters: list[_Filter]
    orderMethods: list[str]  # noqa: N815
    status: str = ""
    maximumLimitOrderPrice: Raw = NULL  # noqa: N815
    minimumLimitOrderPrice: Raw = NULL  # noqa: N815


class _ExchangeInfo(msgspec.Struct, frozen=True, gc=False):
    symbols: list[Raw]


_EXCHANGE_INFO: Final = msgspec.json.Decoder(_ExchangeInfo)
_PAIR: Final = msgspec.json.Decoder(_Pair)


def instruments(body: bytes) -> Listing:
    """Pairs of GET /api/v2/server/exchangeinfo. WireError when not one row can be read."""
    rows = _decode(_EXCHANGE_INFO, unpack(body, "the list of pairs"), "the list of pairs").symbols
    listed: dict[str, Instrument] = {}
    skipped = 0
    for row in rows:
        try:
            instrument = _instrument(_decode(_PAIR, row, "a pair"))
        except WireError:
            skipped += 1
            continue
        if instrument.symbol in listed:
            skipped += 1
        else:
            listed[instrument.symbol] = instrument
    if not listed:
        raise WireError(f"none of {len(rows)} pairs can be read")
    return Listing(instruments=listed, skipped=skipped)


def _instrument(pair: _Pair) -> Instrument:
    symbol = values.symbol(pair.name)
    base, quote = values.asset(pair.numerator), values.asset(pair.denominator)
    if symbol != base + quote:
        raise WireError("a pair is not named after its assets")
    if not (0 <= pair.numeratorScale <= money.PLACES_MAX and 0 <= pair.denominatorScale <= money.PLACES_MAX):
        raise WireError("a scale is out of range")
    price_filter = next((row for row in pair.filters if row.filterType == "PRICE_FILTER"), None)
    if price_filter is None:
        raise WireError("a pair has no price filter")
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        # `tickSize` is not what limits prices: live books hold prices between those ticks.
        price_scale=pair.denominatorScale if pair.hasFraction else 0,
        quantity_scale=pair.numeratorScale,
        value_min=values.not_negative(price_filter.minExchangeValue, "minExchangeValue"),
        price_min=_limit_price(pair.minimumLimitOrderPrice, "minimumLimitOrderPrice"),
        price_max=_limit_price(pair.maximumLimitOrderPrice, "maximumLimitOrderPrice"),
        is_trading=pair.status.upper() == "TRADING",
        takes_limit_orders=any(method.upper() == "LIMIT" for method in pair.orderMethods),
    )


def _limit_price(raw: Raw, name: str) -> Decimal | None:
    return None if values.is_null(raw) else values.positive(raw, name)


# -- books and tickers -------------------------------------------------------------------------------------------------


class _Book(msgspec.Struct, frozen=True, gc=False):
    timestamp: Raw
    bids: list[tuple[Raw, Raw]]
    asks: list[tuple[Raw, Raw]]


class _Ticker(msgspec.Struct, frozen=True, gc=False):
    pair: str
    timestamp: Raw
    bid: Raw = NULL
    ask: Raw = NULL
    last: Raw = NULL
    volume: Raw = NULL
    average: Raw = NULL


_BOOK: Final = msgspec.json.Decoder(_Book)
_ROWS: Final = msgspec.json.Decoder(list[Raw])
_TICKER: Final = msgspec.json.Decoder(_Ticker)


def order_book(body: bytes, symbol: str, received_at_ms: int) -> Quote | None:
    """Best bid and ask of GET /api/v2/orderbook; None when a side is empty. Crossed books are typed all the same."""
    book = _decode(_BOOK, unpack(body, "the order book"), "the order book")
    bids = [(values.decimal(p, "bid"), values.decimal(q, "bid amount")) for p, q in book.bids]
    asks = [(values.decimal(p, "ask"), values.decimal(q, "ask amount")) for p, q in book.asks]
    venue_time_ms = values.time_ms(book.timestamp, "timestamp")
    if not bids or not asks:
        return None
    # The best is looked for, not taken from the front: a list in the wrong order must not become a price.
    bid, bid_quantity = max(bids)
    ask, ask_quantity = min(asks)
    return Quote(
        symbol=symbol,
        bid=bid,
        bid_quantity=bid_quantity,
        ask=ask,
        ask_quantity=ask_quantity,
        venue_time_ms=venue_time_ms,
        received_at_ms=received_at_ms,
    )


def tickers(body: bytes, received_at_ms: int) -> dict[str, Quote]:
    """Quotes of GET /api/v2/ticker by symbol. A ticker tells no quantities: they are zero here."""
    quotes: dict[str, Quote] = {}
    for row in _decode(_ROWS, unpack(body, "the tickers"), "the tickers"):
        try:
            ticker = _decode(_TICKER, row, "a ticker")
            symbol = values.symbol(ticker.pair)
            quotes[symbol] = Quote(
                symbol=symbol,
                bid=values.decimal(ticker.bid, "bid"),
                bid_quantity=money.ZERO,
                ask=values.decimal(ticker.ask, "ask"),
                ask_quantity=money.ZERO,
                venue_time_ms=values.time_ms(ticker.timestamp, "timestamp"),
                received_at_ms=received_at_ms,
            )
        except WireError:
            continue
    return quotes


#: Volume and average are cut to these places before they are multiplied, so that their product always fits: it is
#: compared and ranked, never booked.
_VOLUME_PLACES: Final = 4
_AVERAGE_PLACES: Final = 8


def ticker_rows(body: bytes) -> dict[str, TickerRow]:
    """Rows of GET /api/v2/ticker by symbol, what a row does not tell left open. Unreadable rows are left out.

    `volume` is of the last 24 hours and in base; its worth is told by the average price of these hours.
    """
    rows: dict[str, TickerRow] = {}
    for raw in _decode(_ROWS, unpack(body, "the tickers"), "the tickers"):
        try:
            ticker = _decode(_TICKER, raw, "a ticker")
            symbol = values.symbol(ticker.pair)
            rows[symbol] = TickerRow(
                symbol=symbol,
                bid=values.decimal(ticker.bid, "bid"),
                ask=values.decimal(ticker.ask, "ask"),
                last=_told(ticker.last, "last"),
                quote_volume_24h=_worth(_told(ticker.volume, "volume"), _told(ticker.average, "average")),
                venue_time_ms=values.time_ms(ticker.timestamp, "timestamp"),
            )
        except WireError:
            continue
    return rows


def _told(raw: Raw, name: str) -> Decimal | None:
    return None if values.is_null(raw) else values.not_negative(raw, name)


def _worth(volume: Decimal | None, average: Decimal | None) -> Decimal | None:
    if volume is None or average is None:
        return None
    return money.round_down(volume, _VOLUME_PLACES) * money.round_down(average, _AVERAGE_PLACES)


# -- trades of everybody -----------------------------------------------------------------------------------------------


class _PublicTrade(msgspec.Struct, frozen=True, gc=False):
    pair: str
    date: Raw
    tid: Raw
    price: Raw
    amount: Raw
    side: str


_PUBLIC_TRADES: Final = msgspec.json.Decoder(list[_PublicTrade])


def public_trades(body: bytes, symbol: str) -> list[PublicTrade]:
    """Trades of GET /api/v2/trades, in the venue's order (newest first in all samples)."""
    made = []
    for row in _decode(_PUBLIC_TRADES, unpack(body, "the trades"), "the trades"):
        if values.symbol(row.pair) != symbol:
            raise WireError("a trade is of another pair than the one asked for")
        made.append(
            PublicTrade(
                trade_id=values.number_identifier(row.tid, "a trade's id"),
                at_ms=values.time_ms(row.date, "a trade's time"),
                price=values.positive(row.price, "a trade's price"),
                quantity=values.positive(row.amount, "a trade's amount"),
                is_buy=_side(row.side) is Side.BUY,
            )
        )
    return made


# -- balances ----------------------------------------------------------------------------------------------------------


class _Balance(msgspec.Struct, frozen=True, gc=False):
    asset: str
    free: Raw
    locked: Raw


_BALANCES: Final = msgspec.json.Decoder(list[_Balance])


def balances(body: bytes) -> dict[str, Balance]:
    """Free and locked of GET /api/v1/users/balances by asset, assets without a balance included."""
    held: dict[str, Balance] = {}
    for row in _decode(_BALANCES, unpack(body, "the balances"), "the balances"):
        asset = values.asset(row.asset)
        if asset in held:
            raise WireError(f"{asset} is listed twice in the balances")
        held[asset] = Balance(
            asset,
            values.not_negative(row.free, "free", takes_comma=True),
            values.not_negative(row.locked, "locked", takes_comma=True),
        )
    return held


# -- orders ------------------------------------------------------------------------------------------------------------


class ListedOrder(msgspec.Struct, frozen=True, gc=False):
    """An order of a listing and when it was placed (0 where the venue does not tell)."""

    order: VenueOrder
    placed_at_ms: int


class _Order(msgspec.Struct, frozen=True, gc=False):
    id: Raw
    leftAmount: Raw  # noqa: N815
    price: Raw = NULL
    amount: Raw = NULL
    quantity: Raw = NULL
    pairSymbol: str | None = None  # noqa: N815
    pairsymbol: str | None = None
    type: str | None = None
    method: str = ""
    orderClientId: str | None = None  # noqa: N815
    time: Raw = NULL
    updateTime: Raw = NULL  # noqa: N815
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
_SIDE: Final[Mapping[str, Side]] = {"buy": Side.BUY, "sell": Side.SELL}


def _side(text: str | None) -> Side:
    side = _SIDE.get((text or "").lower())
    if side is None:
        raise WireError("a side is neither buy nor sell")
    return side


def _optional_time_ms(raw: Raw, name: str) -> int:
    return 0 if values.is_null(raw) else values.time_ms(raw, name)


def _listed(row: _Order, side: Side | None = None) -> ListedOrder:
    if side is None:
        side = _side(row.type)
    elif row.type is not None and _side(row.type) is not side:
        raise WireError("an open order stands on the wrong side")
    placed_at_ms = _optional_time_ms(row.time, "time")
    order = VenueOrder(
        venue_order_id=values.number_identifier(row.id, "an order's id"),
        client_order_id=row.orderClientId or None,
        symbol=values.symbol(row.pairSymbol or row.pairsymbol or ""),
        side=side,
        method=row.method.lower(),
        price=money.ZERO if values.is_null(row.price) else values.not_negative(row.price, "price"),
        # `amount` is what was ordered; `quantity` shrank to a remainder on market orders.
        quantity=values.not_negative(row.quantity if values.is_null(row.amount) else row.amount, "amount"),
        leaves_quantity=values.not_negative(row.leftAmount, "leftAmount"),
        status=_STATUS.get(row.status.lower(), VenueOrderStatus.OTHER),
        updated_at_ms=_optional_time_ms(row.updateTime, "updateTime") or placed_at_ms,
    )
    if order.method == "limit" and order.leaves_quantity > order.quantity:
        raise WireError("an order has more left than was ordered")
    return ListedOrder(order, placed_at_ms)


def open_orders(body: bytes) -> list[VenueOrder]:
    """Orders of GET /api/v1/openOrders: asks are sells, bids are buys."""
    rows = _decode(_OPEN_ORDERS, unpack(body, "the open orders"), "the open orders")
    return [_listed(row, Side.SELL).order for row in rows.asks] + [_listed(row, Side.BUY).order for row in rows.bids]


def all_orders(body: bytes) -> list[ListedOrder]:
    """Orders of GET /api/v1/allOrders, one page, in the venue's order (newest first in all samples)."""
    return [_listed(row) for row in _decode(_ORDERS, unpack(body, "the orders"), "the orders")]


def order(body: bytes) -> VenueOrder:
    """The order of GET /api/v1/order/{id}."""
    return _listed(_decode(_ORDER, unpack(body, "the order"), "the order")).order


class _Placed(msgspec.Struct, frozen=True, gc=False):
    id: Raw
    newOrderClientId: str | None = None  # noqa: N815


_PLACED: Final = msgspec.json.Decoder(_Placed)


def placed_order(data: Raw) -> tuple[str, str | None]:
    """Venue order id and echoed client id in the `data` of an accepted order."""
    placed = _decode(_PLACED, data, "the placed order")
    return values.number_identifier(placed.id, "the order's id"), placed.newOrderClientId or None


class _OrderBody(msgspec.Struct, frozen=True, gc=False):
    """Field names as BtcTurk documents them. `newClientOrderId`, often seen, is silently ignored by the venue."""

    quantity: str
    price: str
    newOrderClientId: str  # noqa: N815
    orderMethod: str  # noqa: N815
    orderType: str  # noqa: N815
    pairSymbol: str  # noqa: N815


_ENCODER: Final = msgspec.json.Encoder()


def order_body(order: Order) -> bytes:
    """The body of POST /api/v1/order for a limit order; WireError for what the venue's pattern cannot hold."""
    if not 0 < len(order.client_order_id) <= CLIENT_ORDER_ID_LENGTH_MAX:
        raise WireError("the client order id is empty or too long")
    return _ENCODER.encode(
        _OrderBody(
            quantity=_order_number(order.quantity, "quantity"),
            price=_order_number(order.price, "price"),
            newOrderClientId=order.client_order_id,
            orderMethod="limit",
            orderType=order.side.value,
            pairSymbol=values.symbol(order.symbol),
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


# -- trades and transfers ----------------------------------------------------------------------------------------------


class _Trade(msgspec.Struct, frozen=True, gc=False):
    id: Raw
    timestamp: Raw
    price: Raw
    fee: Raw
    tax: Raw
    numeratorSymbol: str  # noqa: N815
    denominatorSymbol: str  # noqa: N815
    orderType: str  # noqa: N815
    amount: Raw = NULL
    preciseAmount: Raw = NULL  # noqa: N815
    orderId: Raw = NULL  # noqa: N815
    orderClientId: str | None = None  # noqa: N815


class _Transfer(msgspec.Struct, frozen=True, gc=False):
    balanceType: str  # noqa: N815
    currencySymbol: str  # noqa: N815
    id: Raw
    timestamp: Raw
    amount: Raw
    preciseAmount: Raw = NULL  # noqa: N815
    fee: Raw = NULL
    tax: Raw = NULL


_TRADES: Final = msgspec.json.Decoder(list[_Trade])
_TRANSFERS: Final = msgspec.json.Decoder(list[_Transfer])
_TRANSFER_KIND: Final[Mapping[str, TransferKind]] = {kind.value: kind for kind in TransferKind}


def trades(body: bytes) -> list[VenueTrade]:
    """Trades of GET /api/v1/users/transactions/trade, signs taken off.

    `preciseAmount` is the exact quantity; `amount` beside it is shortened to the pair's scale and used only where the
    exact one is missing (rows of before 2022).
    """
    return [_trade(row) for row in _decode(_TRADES, unpack(body, "the trades"), "the trades")]


def _trade(row: _Trade) -> VenueTrade:
    side = _side(row.orderType)
    signed = values.decimal(row.amount if values.is_null(row.preciseAmount) else row.preciseAmount, "a trade's amount")
    if not signed or (side is Side.BUY and signed < 0):
        raise WireError("a trade's amount is zero or contradicts its side")
    base, quote = values.asset(row.numeratorSymbol), values.asset(row.denominatorSymbol)
    return VenueTrade(
        trade_id=values.number_identifier(row.id, "a trade's id"),
        venue_order_id=""
        if values.is_null(row.orderId)
        else values.number_identifier(row.orderId, "a trade's order id"),
        client_order_id=row.orderClientId or None,
        symbol=base + quote,
        base=base,
        quote=quote,
        side=side,
        price=values.positive(row.price, "a trade's price"),
        quantity=signed.copy_abs(),
        fee=values.decimal(row.fee, "a trade's fee").copy_abs(),
        tax=values.decimal(row.tax, "a trade's tax").copy_abs(),
        at_ms=values.time_ms(row.timestamp, "a trade's time"),
    )


def transfers(body: bytes, source: str) -> list[Transfer]:
    """Transfers of GET /api/v1/users/transactions/{source}, source `crypto` or `fiat`.

    The two lists number their rows apart, so the source is part of the id. A tax, where there is one, is kept as fee.
    """
    return [_transfer(row, source) for row in _decode(_TRANSFERS, unpack(body, "the transfers"), "the transfers")]


def _transfer(row: _Transfer, source: str) -> Transfer:
    kind = _TRANSFER_KIND.get(row.balanceType.lower())
    if kind is None:
        raise WireError("a transfer is neither deposit nor withdrawal")
    amount = values.decimal(row.amount if values.is_null(row.preciseAmount) else row.preciseAmount, "amount").copy_abs()
    return Transfer(
        transfer_id=f"{source}:{values.identifier(row.id, 'a transfer id')}",
        kind=kind,
        asset=values.asset(row.currencySymbol),
        amount=amount if kind is TransferKind.DEPOSIT else amount.copy_negate(),
        fee=_charge(row.fee, "fee") + _charge(row.tax, "tax"),
        at_ms=values.time_ms(row.timestamp, "a transfer's time"),
    )


def _charge(raw: Raw, name: str) -> Decimal:
    return money.ZERO if values.is_null(raw) else values.decimal(raw, name).copy_abs()
