"""ccxt trades: every call that it has for BtcTurk and that people build on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from judges import loopback
from judges.ccxt_client import NAME, connected
from judges.venue import SYMBOLS, Venue

CLIENT = NAME


@pytest.fixture(scope="module")
def client(exchange: Venue) -> Any:
    made = connected(exchange)
    made.load_markets()
    return made


@pytest.fixture
def resting_buy(client: Any, venue: Venue) -> Iterator[Any]:
    """A limit buy far below the market."""
    order = client.create_order("BTC/TRY", "limit", "buy", "0.001", venue.price("BTCTRY", Decimal("0.8")))
    venue.saw("POST", "/api/v1/order")
    yield order
    venue.control("/cancel-order", id=int(order["id"]))
    venue.settle()


# -- public ------------------------------------------------------------------------------------------------------------


def test_markets(venue: Venue) -> None:
    """load_markets"""
    markets = connected(venue).load_markets()
    venue.saw("GET", "/api/v2/server/exchangeinfo")
    assert {market["id"] for market in markets.values()} == set(SYMBOLS)
    bitcoin = markets["BTC/TRY"]
    assert (bitcoin["base"], bitcoin["quote"], bitcoin["spot"], bitcoin["active"]) == ("BTC", "TRY", True, True)
    assert bitcoin["precision"] == {"amount": "0.00000001", "price": "1"}
    assert bitcoin["limits"]["cost"]["min"] == "99.91"
    assert markets["USDT/TRY"]["precision"] == {"amount": "0.01", "price": "0.001"}


def test_ticker(client: Any, venue: Venue) -> None:
    """fetch_ticker"""
    ticker = client.fetch_ticker("BTC/TRY")
    venue.saw("GET", "/api/v2/ticker")
    prices = venue.prices("BTCTRY")
    assert {name: ticker[name] for name in ("bid", "ask", "last")} == {
        name: prices[name] for name in ("bid", "ask", "last")
    }
    assert Decimal(ticker["low"]) <= Decimal(ticker["last"]) <= Decimal(ticker["high"])
    assert Decimal(ticker["baseVolume"]) > 0
    assert abs(ticker["timestamp"] - time.time() * 1000) < 10_000


def test_tickers(client: Any, venue: Venue) -> None:
    """fetch_tickers"""
    tickers = client.fetch_tickers()
    sent = venue.saw("GET", "/api/v2/ticker")
    assert (sent.query, sent.key) == ({}, None)
    known = venue.state()["market"]["prices"]
    assert {client.market(symbol)["id"]: ticker["last"] for symbol, ticker in tickers.items()} == {
        symbol: prices["last"] for symbol, prices in known.items()
    }


def test_order_book(client: Any, venue: Venue) -> None:
    """fetch_order_book"""
    book = client.fetch_order_book("ETH/TRY")
    sent = venue.saw("GET", "/api/v2/orderbook")
    assert sent.query == {"pairSymbol": ["ETHTRY"]}
    bids = [Decimal(str(price)) for price, _ in book["bids"]]
    asks = [Decimal(str(price)) for price, _ in book["asks"]]
    assert (len(bids), len(asks)) == (100, 100), "a book has a hundred levels a side unless fewer are asked for"
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    prices = venue.prices("ETHTRY")
    assert (bids[0], asks[0]) == (Decimal(prices["bid"]), Decimal(prices["ask"]))
    assert all(Decimal(str(amount)) > 0 for _, amount in book["bids"] + book["asks"])


def test_short_order_book(client: Any, venue: Venue) -> None:
    """fetch_order_book, five levels"""
    book = client.fetch_order_book("ETH/TRY", params={"limit": 5})
    sent = venue.saw("GET", "/api/v2/orderbook")
    assert sent.query == {"pairSymbol": ["ETHTRY"], "limit": ["5"]}
    assert (len(book["bids"]), len(book["asks"])) == (5, 5)


def test_trades(client: Any, venue: Venue) -> None:
    """fetch_trades"""
    trades = client.fetch_trades("BTC/TRY", limit=10)
    sent = venue.saw("GET", "/api/v2/trades")
    assert sent.query == {"pairSymbol": ["BTCTRY"], "last": ["10"]}
    assert len({trade["id"] for trade in trades}) == 10
    assert {trade["side"] for trade in trades} <= {"buy", "sell"}
    assert all(Decimal(trade["amount"]) > 0 and trade["symbol"] == "BTC/TRY" for trade in trades)
    assert [trade["timestamp"] for trade in trades] == sorted(trade["timestamp"] for trade in trades)
    assert trades[-1]["price"] == venue.prices("BTCTRY")["last"]


@pytest.mark.parametrize(
    ("timeframe", "resolution"),
    [("1m", "1"), ("15m", "15"), ("30m", "30"), ("1h", "60"), ("4h", "240")],
    ids=["1m", "15m", "30m", "1h", "4h"],
)
def test_candles(client: Any, venue: Venue, timeframe: str, resolution: str) -> None:
    """fetch_ohlcv"""
    candles = client.fetch_ohlcv("SOL/TRY", timeframe, limit=5)
    sent = venue.saw("GET", "/v1/klines/history", host="graph")
    assert (sent.query["symbol"], sent.query["resolution"], sent.key) == (["SOLTRY"], [resolution], None)
    _check_candles(candles, int(resolution), venue)


@pytest.mark.parametrize(
    ("timeframe", "resolution", "minutes"), [("1d", "1 d", 1_440), ("1w", "1 w", 10_080)], ids=["1d", "1w"]
)
def test_long_candles(client: Any, venue: Venue, timeframe: str, resolution: str, minutes: int) -> None:
    """fetch_ohlcv, days and weeks, written with a blank"""
    candles = client.fetch_ohlcv("SOL/TRY", timeframe, limit=5)
    sent = venue.saw("GET", "/v1/klines/history", host="graph")
    assert sent.query["resolution"] == [resolution]
    _check_candles(candles, minutes, venue)


def _check_candles(candles: list[list[Any]], minutes: int, venue: Venue) -> None:
    assert candles, "the market has moved"
    for time_ms, *prices, volume in candles:
        opened, high, low, closed = map(Decimal, prices)
        assert low <= min(opened, closed) <= max(opened, closed) <= high
        assert Decimal(volume) > 0
        assert time_ms % 60_000 == 0
    times = [candle[0] for candle in candles]
    assert times == sorted(set(times))
    age_ms = time.time() * 1000 - times[-1]
    assert 0 <= age_ms <= (minutes + 5) * 60_000, "the newest candle is the one of now, or of when the market paused"
    if minutes < 10_080:  # weeks do not begin with the epoch
        assert all(time_ms % (minutes * 60_000) == 0 for time_ms in times)
    assert Decimal(candles[-1][4]) == Decimal(venue.prices("SOLTRY")["last"])


# -- the account -------------------------------------------------------------------------------------------------------


def test_balance(client: Any, venue: Venue, resting_buy: Any) -> None:
    """fetch_balance, with an order that locks some of it"""
    balance = client.fetch_balance()
    sent = venue.saw("GET", "/api/v1/users/balances")
    assert sent.query == {}
    known = venue.account()["balances"]
    assert Decimal(known["TRY"]["locked"]) > 0, "the resting buy locks its worth"
    assert {asset: (held["free"], held["locked"], held["balance"]) for asset, held in known.items()} == {
        asset: (balance[asset]["free"], balance[asset]["used"], balance[asset]["total"]) for asset in known
    }


# -- orders ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "far"), [("buy", Decimal("0.8")), ("sell", Decimal("1.2"))], ids=["buy", "sell"])
def test_limit_order(client: Any, venue: Venue, side: str, far: Decimal) -> None:
    """create_order, limit"""
    price = venue.price("BTCTRY", far)
    order = client.create_order("BTC/TRY", "limit", side, "0.00123456", price)
    sent = venue.saw("POST", "/api/v1/order")
    client_id = sent.body.pop("newClientOrderId")
    assert client_id, "ccxt makes one up"
    assert sent.body == {
        "orderType": side, "orderMethod": "limit", "pairSymbol": "BTCTRY", "quantity": "0.00123456", "price": price,
    }  # fmt: skip
    known = venue.order(order["id"])
    assert {name: known[name] for name in ("type", "method", "pairSymbol", "quantity", "price", "status")} == {
        "type": side, "method": "limit", "pairSymbol": "BTCTRY", "quantity": "0.00123456", "price": price,
        "status": "Untouched",
    }  # fmt: skip
    assert (order["side"], order["type"], order["amount"], order["price"]) == (side, "limit", "0.00123456", price)
    assert order["timestamp"] == known["time"]


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_limit_order_that_crosses(client: Any, venue: Venue, side: str) -> None:
    """create_order, limit that takes what is there"""
    price = venue.price("ETHTRY", Decimal("1.02") if side == "buy" else Decimal("0.98"))
    order = client.create_order("ETH/TRY", "limit", side, "0.01", price)
    venue.saw("POST", "/api/v1/order")
    assert order["status"] is None, "acceptance tells nothing of fills"
    assert venue.order(order["id"])["status"] == "Closed"
    fills = venue.fills(order["id"])
    assert sum(Decimal(fill["quantity"]) for fill in fills) == Decimal("0.01")
    assert {(fill["side"], fill["maker"]) for fill in fills} == {(side, False)}


def test_partly_filled_order(client: Any, venue: Venue) -> None:
    """create_order, limit that is filled in part and rests"""
    price = venue.prices("SOLTRY")["ask"]
    order = client.create_order("SOL/TRY", "limit", "buy", "50", price)
    venue.saw("POST", "/api/v1/order")
    filled = sum(Decimal(fill["quantity"]) for fill in venue.fills(order["id"]))
    assert 0 < filled < 50, "the best level holds less than that"
    (listed,) = [one for one in client.fetch_open_orders("SOL/TRY") if one["id"] == order["id"]]
    venue.saw("GET", "/api/v1/openOrders")
    assert (listed["status"], listed["info"]["status"]) == ("open", "Partial")
    assert (Decimal(listed["filled"]), Decimal(listed["remaining"])) == (filled, 50 - filled)
    venue.control("/cancel-order", id=int(order["id"]))
    venue.settle()


def test_market_sell(client: Any, venue: Venue) -> None:
    """create_order, market sell of base currency"""
    order = client.create_order("BTC/TRY", "market", "sell", "0.0003")
    sent = venue.saw("POST", "/api/v1/order")
    assert (sent.body["orderMethod"], sent.body["quantity"], "price" in sent.body) == ("market", "0.0003", False)
    assert venue.order(order["id"])["status"] == "Closed"
    assert sum(Decimal(fill["quantity"]) for fill in venue.fills(order["id"])) == Decimal("0.0003")


def test_market_buy(client: Any, venue: Venue) -> None:
    """create_order, market buy for an amount of quote currency"""
    free = Decimal(venue.account()["balances"]["TRY"]["free"])
    order = client.create_order("BTC/TRY", "market", "buy", "500")
    sent = venue.saw("POST", "/api/v1/order")
    assert sent.body["quantity"] == "500"
    fills = venue.fills(order["id"])
    paid = sum((Decimal(fill["quantity"]) * Decimal(fill["price"]) for fill in fills), Decimal(0))
    costs = sum((Decimal(fill["fee"]) + Decimal(fill["tax"]) for fill in fills), Decimal(0))
    assert abs(500 - paid - costs) <= len(fills) * Decimal("0.00000001"), "commission and tax are inside the 500"
    assert free - Decimal(venue.account()["balances"]["TRY"]["free"]) == paid + costs


def test_stop_limit(client: Any, venue: Venue) -> None:
    """create_order, stop limit by the exchange's own names"""
    stop, price = venue.price("BTCTRY", Decimal("0.9")), venue.price("BTCTRY", Decimal("0.89"))
    order = client.create_order("BTC/TRY", "stoplimit", "sell", "0.001", price, {"stopPrice": stop})
    sent = venue.saw("POST", "/api/v1/order")
    assert (sent.body["orderMethod"], sent.body["stopPrice"]) == ("stoplimit", stop)
    known = venue.order(order["id"])
    assert (known["method"], known["stopPrice"], known["status"]) == ("stoplimit", stop, "Untouched")
    assert order["id"] in {one["id"] for one in client.fetch_open_orders("BTC/TRY")}, "waiting stops are listed"
    venue.saw("GET", "/api/v1/openOrders")


def test_triggered_stop(client: Any, venue: Venue) -> None:
    """fetch_orders after a stop was triggered: it is canceled, and another order took its place"""
    stop, price = venue.price("ETHTRY", Decimal("0.98")), venue.price("ETHTRY", Decimal("0.8"))
    waiting = client.create_order("ETH/TRY", "stoplimit", "sell", "0.1", price, {"stopPrice": stop})
    venue.saw("POST", "/api/v1/order")
    venue.control("/market", symbol="ETHTRY", price=venue.price("ETHTRY", Decimal("0.97")))
    venue.settle()
    known = venue.order(waiting["id"])
    listed = [one for one in client.fetch_orders("ETH/TRY") if one["clientOrderId"] == known["orderClientId"]]
    venue.saw("GET", "/api/v1/allOrders")
    venue.control("/market", symbol="ETHTRY", price=None)
    states = {one["id"]: (one["status"], one["type"], Decimal(one["filled"])) for one in listed}
    assert states.pop(waiting["id"]) == ("canceled", "stoplimit", Decimal(0))
    ((order_id, placed),) = states.items()
    assert placed == ("closed", "limit", Decimal("0.1")), "only the client id links the two"
    assert sum(Decimal(fill["quantity"]) for fill in venue.fills(order_id)) == Decimal("0.1")


@pytest.mark.parametrize("symbol", ["BTC/TRY", None], ids=["one pair", "all pairs"])
def test_open_orders(client: Any, venue: Venue, resting_buy: Any, symbol: str | None) -> None:
    """fetch_open_orders"""
    listed = client.fetch_open_orders(symbol)
    sent = venue.saw("GET", "/api/v1/openOrders")
    assert sent.query == ({"pairSymbol": ["BTCTRY"]} if symbol else {})
    known = {str(one["id"]) for one in venue.account()["orders"] if one["status"] in ("Untouched", "Partial")}
    assert {one["id"] for one in listed} == known
    (mine,) = [one for one in listed if one["id"] == resting_buy["id"]]
    assert (mine["status"], mine["side"], mine["amount"]) == ("open", "buy", "0.001")
    assert (Decimal(mine["remaining"]), Decimal(mine["filled"])) == (Decimal("0.001"), Decimal(0))


def test_orders(client: Any, venue: Venue, resting_buy: Any) -> None:
    """fetch_orders"""
    bought = client.create_order("BTC/TRY", "market", "sell", "0.0002")
    venue.saw("POST", "/api/v1/order")
    listed = {one["id"]: one for one in client.fetch_orders("BTC/TRY")}
    sent = venue.saw("GET", "/api/v1/allOrders")
    assert sent.query == {"pairSymbol": ["BTCTRY"]}
    known = {str(one["id"]): one for one in venue.account()["orders"] if one["pairSymbol"] == "BTCTRY"}
    assert set(listed) == set(known)
    assert (listed[resting_buy["id"]]["status"], listed[bought["id"]]["status"]) == ("open", "closed")
    for order_id, one in listed.items():
        assert Decimal(one["remaining"]) == Decimal(one["amount"]) - Decimal(known[order_id]["filled"])
        assert one["clientOrderId"] == known[order_id]["orderClientId"]


def test_orders_since(client: Any, venue: Venue, resting_buy: Any) -> None:
    """fetch_orders since a time, which goes out in seconds"""
    since_ms = int(time.time() * 1000) + 60_000
    assert client.fetch_orders("BTC/TRY", since=since_ms) == []
    sent = venue.saw("GET", "/api/v1/allOrders")
    assert sent.query["startTime"] == [str(since_ms // 1000)]
    raw = client.private_get_allorders({"pairSymbol": "BTCTRY", "startTime": since_ms // 1000})
    assert venue.saw("GET", "/api/v1/allOrders").query == sent.query
    assert raw["data"] == [], "the exchange leaves out what is older, before ccxt does"
    hour_ago_ms = since_ms - 3_600_000
    assert resting_buy["id"] in {one["id"] for one in client.fetch_orders("BTC/TRY", since=hour_ago_ms)}
    assert venue.saw("GET", "/api/v1/allOrders").query["startTime"] == [str(hour_ago_ms // 1000)]


def test_cancel(client: Any, venue: Venue) -> None:
    """cancel_order"""
    order = client.create_order("BTC/TRY", "limit", "buy", "0.001", venue.price("BTCTRY", Decimal("0.8")))
    venue.saw("POST", "/api/v1/order")
    answer = client.cancel_order(order["id"])
    sent = venue.saw("DELETE", "/api/v1/order")
    assert (sent.query, sent.body) == ({"id": [order["id"]]}, None)
    assert answer["info"] == {"success": True, "message": "SUCCESS", "code": 0}
    venue.settle()
    assert venue.order(order["id"])["status"] == "Canceled"
    assert order["id"] not in {one["id"] for one in client.fetch_open_orders("BTC/TRY")}
    venue.saw("GET", "/api/v1/openOrders")


def test_my_trades(client: Any, venue: Venue) -> None:
    """fetch_my_trades"""
    order = client.create_order("SOL/TRY", "market", "sell", "0.5")
    venue.saw("POST", "/api/v1/order")
    venue.settle()
    trades = [trade for trade in client.fetch_my_trades("SOL/TRY") if trade["order"] == order["id"]]
    venue.saw("GET", "/api/v1/users/transactions/trade")
    fills = venue.fills(order["id"])
    assert fills
    assert [(trade["id"], trade["side"], trade["symbol"]) for trade in trades] == [
        (str(fill["id"]), "sell", "SOL/TRY") for fill in fills
    ]
    for trade, fill in zip(trades, fills, strict=True):
        assert Decimal(trade["amount"]) == Decimal(fill["quantity"])
        assert Decimal(trade["price"]) == Decimal(fill["price"])
        assert (Decimal(trade["fee"]["cost"]), trade["fee"]["currency"]) == (Decimal(fill["fee"]), "TRY")


# -- what the exchange refuses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "price", "message"),
    [
        ("1", "0.8", "BALANCE_NOT_ENOUGH"),
        ("0.00001", "0.8", "FAILED_MIN_TOTAL_AMOUNT"),
        ("0.001", "20", "PRICE_MUST_BE_LESS_THAN_MAXPRICE"),
    ],
    ids=["more than there is", "too small", "far above the market"],
)
def test_refused_order(client: Any, venue: Venue, amount: str, price: str, message: str) -> None:
    """create_order, refused"""
    with pytest.raises(ccxt.ExchangeError, match=message):
        client.create_order("BTC/TRY", "limit", "buy", amount, venue.price("BTCTRY", Decimal(price)))
    venue.saw("POST", "/api/v1/order", status=400)


def test_locked_funds(client: Any, venue: Venue) -> None:
    """create_order, refused because open orders lock the funds"""
    first = client.create_order("SOL/TRY", "limit", "sell", "60", venue.price("SOLTRY", Decimal("1.5")))
    venue.saw("POST", "/api/v1/order")
    with pytest.raises(ccxt.InsufficientFunds, match="FAILED_ORDER_WITH_OPEN_ORDERS"):
        client.create_order("SOL/TRY", "limit", "sell", "60", venue.price("SOLTRY", Decimal("1.5")))
    venue.saw("POST", "/api/v1/order", status=400)
    venue.control("/cancel-order", id=int(first["id"]))
    venue.settle()


def test_cancel_of_nothing(client: Any, venue: Venue) -> None:
    """cancel_order of an unknown order"""
    with pytest.raises(ccxt.ExchangeError, match="NO_ORDER_MATCHES_YOUR_REQUEST"):
        client.cancel_order("999")
    venue.saw("DELETE", "/api/v1/order", status=400)


@pytest.mark.parametrize(
    ("skew_ms", "status"), [(4_000, 200), (-4_000, 200), (6_000, 401), (-6_000, 401)], ids=["4s", "-4s", "6s", "-6s"]
)
def test_wrong_clock(client: Any, venue: Venue, skew_ms: int, status: int) -> None:
    """fetch_balance by a clock that differs from the exchange's: five seconds are borne"""
    venue.control("/clock", skew_ms=skew_ms)
    try:
        if status == 200:
            assert Decimal(client.fetch_balance()["TRY"]["total"]) > 0
        else:
            with pytest.raises(ccxt.ExchangeError, match="Unauthorized - Invalid Nonce"):
                client.fetch_balance()
    finally:
        venue.control("/clock", skew_ms=0)
    venue.saw("GET", "/api/v1/users/balances", status=status)


def test_forgotten_base_address(venue: Venue) -> None:
    """fetch_ticker at the client's own address: gets nowhere"""
    with pytest.raises(ccxt.NetworkError):
        ccxt.btcturk().fetch_ticker("BTC/TRY")
    assert set(loopback.refused()) == {"api.btcturk.com"}
    assert venue.saw_all() == []
