"""btcturk-api trades: every call that it has and that the exchange still answers."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from btcturk_api.exceptions import BTCTurkAuthenticationError, InvalidRequestParameterError

from judges.btcturk_api_client import NAME, connected, next_second
from judges.venue import SYMBOLS, Venue

CLIENT = NAME


@pytest.fixture(scope="module")
def reader(exchange: Venue) -> Any:
    """A client without a key."""
    return connected(exchange, signed=False)


@pytest.fixture(scope="module")
def made(exchange: Venue) -> Any:
    return connected(exchange)


@pytest.fixture
def client(made: Any, venue: Venue) -> Any:
    """A client with a key, in a second of its own."""
    next_second()
    return made


# -- public ------------------------------------------------------------------------------------------------------------


def test_exchange_info(reader: Any, venue: Venue) -> None:
    """get_exchange_info"""
    symbols = reader.get_exchange_info(["ETHTRY"])
    venue.saw("GET", "/api/v2/server/exchangeinfo")
    (ether,) = symbols
    assert (ether["numerator"], ether["denominator"], ether["status"]) == ("ETH", "TRY", "TRADING")
    assert set(ether["orderMethods"]) == {"MARKET", "LIMIT", "STOP_MARKET", "STOP_LIMIT"}


def test_first_words(venue: Venue) -> None:
    """Client() with a key: reads the pairs' scales and proves the key"""
    client = connected(venue)
    pairs, balances = venue.saw_all()
    assert (pairs.path, pairs.status, pairs.key) == ("/api/v2/server/exchangeinfo", 200, None)
    assert (balances.path, balances.status, balances.key) == ("/api/v1/users/balances", 200, venue.key)
    assert client.authenticated
    assert client.scale_limits["BTC_TRY"] == {"price_scale": 0, "amount_scale": 8, "has_fraction": False}
    assert set(SYMBOLS) <= set(client.scale_limits)


def test_wrong_secret(venue: Venue) -> None:
    """Client() with a wrong secret"""
    client = connected(venue, signed=False)
    venue.saw("GET", "/api/v2/server/exchangeinfo")
    client.api_key, client.api_secret = venue.key, "d3Jvbmc="
    with pytest.raises(BTCTurkAuthenticationError, match="Unauthorized - Invalid Signature"):
        client._authenticate()
    venue.saw("GET", "/api/v1/users/balances", status=401)
    assert not client.authenticated


def test_server_time(reader: Any, venue: Venue) -> None:
    """get_server_time"""
    told = reader.get_server_time()
    venue.saw("GET", "/api/v2/server/time")
    assert abs(told["serverTime"] - time.time() * 1000) < 5_000
    assert told["serverTime2"].endswith("+00:00")


@pytest.mark.parametrize("pair", ["BTC_TRY", "BTCTRY"])
def test_ticker(reader: Any, venue: Venue, pair: str) -> None:
    """tick"""
    (ticker,) = reader.tick(pair)
    assert venue.saw("GET", "/api/v2/ticker").query == {"pairSymbol": [pair]}
    prices = venue.prices("BTCTRY")
    assert [str(ticker[name]) for name in ("last", "bid", "ask")] == [prices[name] for name in ("last", "bid", "ask")]
    assert (ticker["pair"], ticker["pairNormalized"]) == ("BTCTRY", "BTC_TRY")


def test_tickers(reader: Any, venue: Venue) -> None:
    """tick, all pairs"""
    tickers = reader.tick()
    assert venue.saw("GET", "/api/v2/ticker").query == {}
    assert {ticker["pair"] for ticker in tickers} == set(SYMBOLS)


def test_order_book(reader: Any, venue: Venue) -> None:
    """get_order_book"""
    book = reader.get_order_book("SOL_TRY", limit=7)
    assert venue.saw("GET", "/api/v2/orderbook").query == {"pairSymbol": ["SOL_TRY"], "limit": ["7"]}
    assert (len(book["bids"]), len(book["asks"])) == (7, 7)
    prices = venue.prices("SOLTRY")
    assert Decimal(book["bids"][0][0]) == Decimal(prices["bid"])
    assert Decimal(book["asks"][0][0]) == Decimal(prices["ask"])


def test_trades(reader: Any, venue: Venue) -> None:
    """get_trades"""
    trades = reader.get_trades("BTC_TRY", last=5)
    assert venue.saw("GET", "/api/v2/trades").query == {"pairSymbol": ["BTC_TRY"], "last": ["5"]}
    assert len(trades) == 5
    assert [trade["date"] for trade in trades] == sorted((trade["date"] for trade in trades), reverse=True)
    assert trades[0]["price"] == venue.prices("BTCTRY")["last"]


def test_unknown_pair(reader: Any, venue: Venue) -> None:
    """get_order_book of a pair that does not exist"""
    with pytest.raises(InvalidRequestParameterError, match="Pair NOPETRY does not exists"):
        reader.get_order_book("NOPETRY")
    venue.saw("GET", "/api/v2/orderbook", status=400)


# -- the account -------------------------------------------------------------------------------------------------------


def test_balances(client: Any, venue: Venue) -> None:
    """get_account_balance"""
    rows = client.get_account_balance(["TRY", "btc"])
    venue.saw("GET", "/api/v1/users/balances")
    known = venue.account()["balances"]
    assert {row["asset"]: (row["free"], row["locked"], row["balance"]) for row in rows} == {
        asset: (known[asset]["free"], known[asset]["locked"], known[asset]["balance"]) for asset in ("TRY", "BTC")
    }


def test_crypto_history(client: Any, venue: Venue) -> None:
    """get_crypto_history"""
    came = venue.control("/deposit", key=venue.key, asset="BTC", amount="0.5")
    went = venue.control("/withdraw", key=venue.key, asset="BTC", amount="0.1")
    rows = client.get_crypto_history(symbol=["btc"], transaction_type=["deposit"])
    sent = venue.saw("GET", "/api/v1/users/transactions/crypto")
    assert (sent.query["type"], sent.query["symbol"]) == (["deposit"], ["btc"])
    assert [(row["id"], row["balanceType"], Decimal(row["amount"])) for row in rows] == [
        (came["id"], "deposit", Decimal("0.5"))
    ]
    next_second()
    rows = client.get_crypto_history(symbol=["btc"])
    sent = venue.saw("GET", "/api/v1/users/transactions/crypto")
    assert sent.query["type"] == ["deposit", "withdrawal"]
    assert {row["id"] for row in rows} == {came["id"], went["id"]}


def test_fiat_history(client: Any, venue: Venue) -> None:
    """get_fiat_history"""
    came = venue.control("/deposit", key=venue.key, asset="TRY", amount="250")
    rows = client.get_fiat_history()
    venue.saw("GET", "/api/v1/users/transactions/fiat")
    (row,) = [one for one in rows if one["id"] == came["id"]]
    assert (row["balanceType"], row["currencySymbol"], row["amount"]) == ("deposit", "TRY", "250")


# -- orders ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "far"), [("buy", Decimal("0.8")), ("sell", Decimal("1.2"))], ids=["buy", "sell"])
def test_limit_order(client: Any, venue: Venue, side: str, far: Decimal) -> None:
    """submit_limit_order"""
    price = venue.price("BTCTRY", far)
    order = client.submit_limit_order("0.0012", int(price), side, "BTC_TRY", f"judge-{side}")
    sent = venue.saw("POST", "/api/v1/order")
    assert sent.body == {
        "quantity": "0.00120000", "price": price, "newOrderClientId": f"judge-{side}", "orderMethod": "limit",
        "orderType": side, "pairSymbol": "BTC_TRY",
    }  # fmt: skip
    assert (order["type"], order["method"], order["newOrderClientId"]) == (side, "limit", f"judge-{side}")
    known = venue.order(order["id"])
    assert (known["orderClientId"], known["price"], known["status"]) == (f"judge-{side}", price, "Untouched")
    assert Decimal(known["quantity"]) == Decimal("0.0012")


def test_market_buy(client: Any, venue: Venue) -> None:
    """submit_market_order, a buy for an amount of quote currency"""
    order = client.submit_market_order(400, "buy", "BTCTRY")
    sent = venue.saw("POST", "/api/v1/order")
    assert (sent.body["orderMethod"], sent.body["quantity"], "price" in sent.body) == ("market", "400", False)
    assert venue.order(order["id"])["status"] == "Closed"
    fills = venue.fills(order["id"])
    paid = sum((Decimal(fill["quantity"]) * Decimal(fill["price"]) for fill in fills), Decimal(0))
    costs = sum((Decimal(fill["fee"]) + Decimal(fill["tax"]) for fill in fills), Decimal(0))
    assert abs(400 - paid - costs) <= len(fills) * Decimal("0.00000001"), "commission and tax are inside the 400"


def test_market_sell(client: Any, venue: Venue) -> None:
    """submit_market_order, a sell of base currency"""
    order = client.submit_market_order("0.0002", "sell", "BTCTRY")
    sent = venue.saw("POST", "/api/v1/order")
    assert (sent.body["orderMethod"], sent.body["quantity"]) == ("market", "0.00020000")
    assert venue.order(order["id"])["status"] == "Closed"
    assert sum(Decimal(fill["quantity"]) for fill in venue.fills(order["id"])) == Decimal("0.0002")


@pytest.mark.parametrize("method", ["stopLimit", "stopMarket"])
def test_stop_order(client: Any, venue: Venue, method: str) -> None:
    """submit_stop_order"""
    stop, price = venue.price("BTCTRY", Decimal("0.9")), venue.price("BTCTRY", Decimal("0.89"))
    order = client.submit_stop_order(int(stop), "0.001", int(price), "sell", method, "BTCTRY", "judge-stop")
    sent = venue.saw("POST", "/api/v1/order")
    assert (sent.body["orderMethod"], sent.body["stopPrice"]) == (method, stop)
    known = venue.order(order["id"])
    assert (known["method"], known["stopPrice"], known["status"]) == (method.lower(), stop, "Untouched")


def test_open_orders(client: Any, venue: Venue) -> None:
    """get_open_orders"""
    order = client.submit_limit_order("0.05", int(venue.price("ETHTRY", Decimal("0.8"))), "buy", "ETHTRY")
    venue.saw("POST", "/api/v1/order")
    next_second()
    of_pair = client.get_open_orders("ETHTRY")
    assert venue.saw("GET", "/api/v1/openOrders").query == {"pairSymbol": ["ETHTRY"]}
    assert ([one["id"] for one in of_pair["bids"]], of_pair["asks"]) == ([order["id"]], [])
    assert of_pair["bids"][0]["time"] == 0, "when it was placed is told by other lists"
    next_second()
    of_all = client.get_open_orders()
    assert venue.saw("GET", "/api/v1/openOrders").query == {}
    known = [one["id"] for one in venue.account()["orders"] if one["status"] in ("Untouched", "Partial")]
    assert sorted(one["id"] for one in of_all["bids"] + of_all["asks"]) == sorted(known)


def test_all_orders(client: Any, venue: Venue) -> None:
    """get_all_orders, with pages"""
    ids = []
    for _ in range(2):
        next_second()
        price = int(venue.price("SOLTRY", Decimal("0.8")))
        ids.append(client.submit_limit_order("0.5", price, "buy", "SOL_TRY")["id"])
        venue.saw("POST", "/api/v1/order")
    next_second()
    rows = client.get_all_orders(pair_symbol="SOL_TRY")
    sent = venue.saw("GET", "/api/v1/allOrders")
    assert (sent.query["pairSymbol"], sent.query["limit"]) == (["SOL_TRY"], ["100"])
    assert [row["id"] for row in rows[:2]] == ids[::-1], "the newest comes first"
    assert all(row["time"] > 0 for row in rows)
    next_second()
    second = client.get_all_orders(pair_symbol="SOL_TRY", page=2, limit=1)
    venue.saw("GET", "/api/v1/allOrders")
    assert [row["id"] for row in second] == [ids[0]]


def test_cancel(client: Any, venue: Venue) -> None:
    """cancel_order"""
    order = client.submit_limit_order("0.05", int(venue.price("ETHTRY", Decimal("0.7"))), "buy", "ETHTRY")
    venue.saw("POST", "/api/v1/order")
    next_second()
    assert client.cancel_order(order["id"]) is True
    sent = venue.saw("DELETE", "/api/v1/order")
    assert sent.query == {"id": [str(order["id"])]}
    venue.settle()
    assert venue.order(order["id"])["status"] == "Canceled"


def test_trade_history(client: Any, venue: Venue) -> None:
    """get_trade_history"""
    client.submit_market_order(300, "buy", "ETHTRY")
    venue.saw("POST", "/api/v1/order")
    next_second()
    order = client.submit_market_order("0.02", "sell", "ETHTRY", "judge-eth")
    venue.saw("POST", "/api/v1/order")
    venue.settle()
    next_second()
    rows = client.get_trade_history(trade_type=["sell"], symbol=["eth"])
    sent = venue.saw("GET", "/api/v1/users/transactions/trade")
    assert (sent.query["type"], sent.query["symbol"]) == (["sell"], ["eth"])
    assert {(row["orderType"], row["numeratorSymbol"]) for row in rows} == {("sell", "ETH")}, "the buy is left out"
    mine = [row for row in rows if row["orderId"] == order["id"]]
    fills = venue.fills(order["id"])
    assert fills
    assert [row["id"] for row in mine] == [fill["id"] for fill in fills]
    for row, fill in zip(mine, fills, strict=True):
        assert Decimal(row["amount"]) == -Decimal(fill["quantity"])
        assert (Decimal(row["fee"]), Decimal(row["tax"])) == (-Decimal(fill["fee"]), -Decimal(fill["tax"]))
        assert (row["orderClientId"], row["orderType"]) == ("judge-eth", "sell")


def test_trades_of_one_order(client: Any, venue: Venue) -> None:
    """get_trade_history of one order"""
    order = client.submit_market_order("0.02", "sell", "ETHTRY")
    venue.saw("POST", "/api/v1/order")
    venue.settle()
    next_second()
    rows = client.get_trade_history(orderId=order["id"])
    assert venue.saw("GET", "/api/v1/users/transactions/trade").query == {"orderId": [str(order["id"])]}
    assert [row["id"] for row in rows] == [fill["id"] for fill in venue.fills(order["id"])]


def test_refused_order(client: Any, venue: Venue) -> None:
    """submit_limit_order, refused"""
    with pytest.raises(InvalidRequestParameterError, match="BALANCE_NOT_ENOUGH"):
        client.submit_limit_order(5, int(venue.price("BTCTRY", Decimal("0.8"))), "buy", "BTCTRY")
    venue.saw("POST", "/api/v1/order", status=400)


def test_cancel_of_nothing(client: Any, venue: Venue) -> None:
    """cancel_order of an unknown order"""
    with pytest.raises(InvalidRequestParameterError, match="NO_ORDER_MATCHES_YOUR_REQUEST"):
        client.cancel_order(999)
    venue.saw("DELETE", "/api/v1/order", status=400)
