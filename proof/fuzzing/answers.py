"""Good answers and frames of the venue, and who reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from btcbot.adapters.btcturk import feed_wire, wire
from proof.fuzzing.feed import FRAMES


def _ok(data: object, **more: object) -> dict[str, object]:
    return {"success": True, "message": None, "code": 0, "data": data, **more}


_PAIR: Final = {
    "id": 1,
    "name": "BTCTRY",
    "nameNormalized": "BTC_TRY",
    "status": "TRADING",
    "numerator": "BTC",
    "denominator": "TRY",
    "numeratorScale": 8,
    "denominatorScale": 2,
    "hasFraction": False,
    "filters": [{"filterType": "PRICE_FILTER", "minPrice": "0.0000000000001", "minExchangeValue": "99.91"}],
    "orderMethods": ["MARKET", "LIMIT", "STOP_MARKET", "STOP_LIMIT"],
    "maximumLimitOrderPrice": 37000000.0,
    "minimumLimitOrderPrice": 370000.0,
}
_ORDER: Final = {
    "id": 21771006214,
    "price": "66800.00",
    "amount": "0.50000000",
    "quantity": "0.50000000",
    "stopPrice": "0.00",
    "pairSymbol": "BTCTRY",
    "pairSymbolNormalized": "BTC_TRY",
    "type": "buy",
    "method": "limit",
    "orderClientId": "btcbot-k7f3-19a-1",
    "time": 1790133600027,
    "updateTime": 1790133600027,
    "status": "Partial",
    "leftAmount": "0.25000000",
}
_TRADE: Final = {
    "id": 1181163798924649001,
    "timestamp": 1790133600027,
    "amount": "-0.3384",
    "preciseAmount": -0.33840811,
    "fee": "-0.06297817",
    "tax": "-0.01133607",
    "price": "122.00",
    "numeratorSymbol": "BTC",
    "denominatorSymbol": "TRY",
    "orderType": "sell",
    "orderId": 21771006214,
    "orderClientId": None,
}
_TRANSFER: Final = {
    "balanceType": "withdrawal",
    "currencySymbol": "TRY",
    "id": 3,
    "timestamp": 1790133600027,
    "amount": "-480.5",
    "fee": "3",
    "tax": "0.54",
}

Reader = Callable[[bytes], object]

#: Every decoder of the wire, by the name of what it reads, with an answer that is good.
DECODERS: Final[Mapping[str, tuple[Reader, object]]] = {
    "server_time": (wire.server_time_ms, {"serverTime": 1790133600027}),
    "instruments": (wire.instruments, _ok({"timeZone": "UTC", "symbols": [_PAIR]})),
    "order_book": (
        partial(wire.order_book, symbol="BTCTRY", received_at_ms=1),
        _ok({"timestamp": 1787525059089, "bids": [["1.50", "2"], ["1.49", "9"]], "asks": [["3", "4"]]}),
    ),
    "tickers": (
        partial(wire.tickers, received_at_ms=1),
        _ok([{"pair": "BTCTRY", "timestamp": 1787525058187, "bid": 1.5, "ask": 2.5, "last": 2}]),
    ),
    "ticker_rows": (
        wire.ticker_rows,
        _ok(
            [
                {
                    "pair": "BTCTRY",
                    "timestamp": 1787525058187,
                    "bid": 1.5,
                    "ask": 2.5,
                    "last": 2,
                    "volume": 3,
                    "average": 2,
                }
            ]
        ),
    ),
    "balances": (wire.balances, _ok([{"asset": "TRY", "free": "1,5", "locked": "2.5", "balance": "4"}])),
    "open_orders": (wire.open_orders, _ok({"asks": [{**_ORDER, "type": "sell"}], "bids": [_ORDER]})),
    "all_orders": (wire.all_orders, _ok([_ORDER])),
    "order": (wire.order, _ok(_ORDER)),
    "trades": (wire.trades, _ok([_TRADE])),
    "transfers": (partial(wire.transfers, source="fiat"), _ok([_TRANSFER])),
    "placed_order": (
        lambda body: wire.placed_order(wire.unpack(body, "the placed order")),
        _ok({"id": 5, "newOrderClientId": "mine", "type": "buy"}),
    ),
    "public_trades": (
        partial(wire.public_trades, symbol="BTCTRY"),
        _ok(
            [
                {
                    "pair": "BTCTRY",
                    "date": 1643883524310,
                    "tid": "101963779399182809",
                    "price": "36334",
                    "amount": "0.1",
                    "side": "sell",
                }
            ]
        ),
    ),
    "klines": (
        partial(wire.klines, symbol="BTCTRY", interval_ms=3_600_000),
        {
            "s": "ok",
            "t": [1787684400, 1787688000],
            "h": [3809691.0, 3796611.0],
            "o": [3802189.0, 3796611.0],
            "l": [3787859.0, 3760727.0],
            "c": [3796125.0, 3761074.0],
            "v": [0.54581564, 5e-06],
        },
    ),
    **{name: (feed_wire.decode, good) for name, good in FRAMES.items()},
}
OUTCOMES: Final = (
    _ok({"id": 5, "newOrderClientId": "mine", "type": "buy"}, httpStatusCode=200),
    {"success": False, "message": "BALANCE_NOT_ENOUGH", "code": 1055, "data": None},
    {"success": False, "message": None, "code": 1120},
    {"success": True, "message": "Unauthorized - Invalid Nonce", "code": 1037},
    {"success": False, "message": "NO_ORDER_MATCHES_YOUR_REQUEST", "code": 1052, "data": None},
    {"success": False, "message": "TOO_MANY_REQUESTS", "code": 429},
    {"success": True, "message": "SUCCESS", "code": 0},
    {"success": False, "message": "INTERNAL_ERROR", "code": 500},
)
STATUSES: Final = (200, 200, 200, 400, 400, 401, 422, 429, 201, 204, 301, 404, 500, 502, 503, 599)
