"""What ccxt does wrong on BtcTurk, kept visible: who trades through it should know, and our client does otherwise.

A test here fails when ccxt mends its mistake, or when the exchange begins to forgive it. Both are worth knowing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt
import pytest

from judges.ccxt_client import NAME, connected
from judges.venue import Venue

CLIENT = NAME


@pytest.fixture(scope="module")
def client(exchange: Venue) -> Any:
    made = connected(exchange)
    made.load_markets()
    return made


def test_mistake_client_id(client: Any, venue: Venue) -> None:
    """sends the client order id under a name that the exchange ignores"""
    price = venue.price("BTCTRY", Decimal("0.8"))
    order = client.create_order("BTC/TRY", "limit", "buy", "0.001", price, {"clientOrderId": "mine-1"})
    sent = venue.saw("POST", "/api/v1/order")
    assert sent.body["newClientOrderId"] == "mine-1"
    assert "newOrderClientId" not in sent.body
    known = venue.order(order["id"])
    assert known["orderClientId"] not in ("mine-1", None), "the exchange made one of its own"
    assert order["clientOrderId"] is None, "and ccxt does not read the one in the answer"


def test_mistake_client_id_by_its_right_name(client: Any, venue: Venue) -> None:
    """sends the wrong name even beside the right one"""
    price = venue.price("BTCTRY", Decimal("0.8"))
    order = client.create_order("BTC/TRY", "limit", "buy", "0.001", price, {"newOrderClientId": "mine-2"})
    sent = venue.saw("POST", "/api/v1/order")
    assert sent.body["newOrderClientId"] == "mine-2"
    assert sent.body["newClientOrderId"]
    assert venue.order(order["id"])["orderClientId"] == "mine-2"


def test_mistake_market_buy_amount(client: Any, venue: Venue) -> None:
    """calls the amount of a market buy base currency; the exchange spends so much quote currency"""
    assert client.features["spot"]["createOrder"]["marketBuyByCost"] is False
    order = client.create_order("SOL/TRY", "market", "buy", "1000")
    venue.saw("POST", "/api/v1/order")
    bought = sum(Decimal(fill["quantity"]) for fill in venue.fills(order["id"]))
    assert 0 < bought < 1, "for 1,000 TRY, a fraction of one SOL"
    assert order["amount"] == "1000"


def test_mistake_trigger_price(client: Any, venue: Venue) -> None:
    """says that it knows trigger prices, and places an order that waits for none"""
    assert client.features["spot"]["createOrder"]["triggerPrice"] is True
    price, trigger = venue.price("BTCTRY", Decimal("1.2")), venue.price("BTCTRY", Decimal("0.9"))
    order = client.create_order("BTC/TRY", "limit", "sell", "0.001", price, {"triggerPrice": trigger})
    sent = venue.saw("POST", "/api/v1/order")
    assert (sent.body["triggerPrice"], sent.body["orderMethod"], "stopPrice" in sent.body) == (trigger, "limit", False)
    known = venue.order(order["id"])
    assert (known["method"], known["stopPrice"]) == ("limit", "0"), "it rests in the book at once"


def test_mistake_my_trades_ask_for_nothing(client: Any, venue: Venue) -> None:
    """asks for no trades in particular, so that what lies behind the newest 200 is lost"""
    client.fetch_my_trades("BTC/TRY", since=1_600_000_000_000, limit=5, params={"orderId": 1})
    sent = venue.saw("GET", "/api/v1/users/transactions/trade")
    assert sent.query == {}


def test_mistake_fee_without_tax(client: Any, venue: Venue) -> None:
    """tells a trade's fee without the tax on it"""
    order = client.create_order("BTC/TRY", "market", "sell", "0.001")
    venue.saw("POST", "/api/v1/order")
    venue.settle()
    (trade,) = [one for one in client.fetch_my_trades("BTC/TRY") if one["order"] == order["id"]]
    venue.saw("GET", "/api/v1/users/transactions/trade")
    (fill,) = venue.fills(order["id"])
    assert Decimal(fill["tax"]) > 0
    assert Decimal(trade["fee"]["cost"]) == Decimal(fill["fee"])
    assert len(trade["fees"]) == 1


def test_mistake_stale_rates(client: Any, venue: Venue) -> None:
    """believes in commissions of years ago"""
    order = client.create_order("BTC/TRY", "market", "sell", "0.001")
    venue.saw("POST", "/api/v1/order")
    (fill,) = venue.fills(order["id"])
    gross = Decimal(fill["quantity"]) * Decimal(fill["price"])
    paid = (Decimal(fill["fee"]) + Decimal(fill["tax"])) / gross
    assert abs(paid - Decimal("0.0024")) < Decimal("0.000001")
    assert Decimal(str(client.markets["BTC/TRY"]["taker"])) == Decimal("0.0009")


def test_mistake_limit_of_orders(client: Any, venue: Venue) -> None:
    """asks for the last orders with a parameter that the exchange does not have"""
    price = venue.price("BTCTRY", Decimal("0.8"))
    for _ in range(2):
        client.create_order("BTC/TRY", "limit", "buy", "0.001", price)
        venue.saw("POST", "/api/v1/order")
    orders = client.fetch_orders("BTC/TRY", limit=1)
    sent = venue.saw("GET", "/api/v1/allOrders")
    assert sent.query == {"pairSymbol": ["BTCTRY"], "last": ["1"]}
    assert len(orders) == 1, "it cuts the answer itself"


def test_mistake_candles_since_before_time(client: Any, venue: Venue) -> None:
    """asks for candles from before 1970 when it is not told since when"""
    candles = client.fetch_ohlcv("BTC/TRY", "1h", limit=10)
    sent = venue.saw("GET", "/v1/klines/history", host="graph")
    assert sent.query["from"] == [str(-9 * 3600)]
    assert candles


def test_mistake_single_order(client: Any, venue: Venue) -> None:
    """never puts the id into the address of a single order"""
    with pytest.raises(ccxt.ExchangeNotAvailable):
        client.private_get_order_orderid({"orderId": "21770850479"})
    (sent,) = venue.saw_all()
    assert (sent.path, sent.query, sent.status) == ("/api/v1/order/{orderId}", {"orderId": ["21770850479"]}, 404)


def test_mistake_refusals_without_a_name(client: Any, venue: Venue) -> None:
    """has no name for a missing balance"""
    with pytest.raises(ccxt.ExchangeError, match="BALANCE_NOT_ENOUGH") as caught:
        client.create_order("BTC/TRY", "limit", "buy", "1", venue.price("BTCTRY", Decimal("0.8")))
    assert type(caught.value) is ccxt.ExchangeError
    venue.saw("POST", "/api/v1/order", status=400)


def test_mistake_unauthorized(venue: Venue) -> None:
    """has no name for a wrong signature: who tries again and again is blocked in the end"""
    stranger = connected(venue)
    stranger.secret = "d3Jvbmc="
    with pytest.raises(ccxt.ExchangeError, match="Unauthorized - Invalid Signature") as caught:
        stranger.private_get_users_balances()
    assert type(caught.value) is ccxt.ExchangeError
    venue.saw("GET", "/api/v1/users/balances", status=401)


def test_mistake_too_many_requests(client: Any, venue: Venue) -> None:
    """has no name for too many requests either"""
    venue.control("/faults", kind="rate_limited", match={"path": "/api/v2/ticker"}, count=1)
    with pytest.raises(ccxt.ExchangeError, match="TOO_MANY_REQUESTS") as caught:
        client.fetch_ticker("BTC/TRY")
    assert type(caught.value) is ccxt.ExchangeError
    venue.saw("GET", "/api/v2/ticker", status=429)


def test_mistake_cancel_tells_nothing(client: Any, venue: Venue) -> None:
    """returns an order without id and status for a cancel"""
    order = client.create_order("BTC/TRY", "limit", "buy", "0.001", venue.price("BTCTRY", Decimal("0.8")))
    venue.saw("POST", "/api/v1/order")
    answer = client.cancel_order(order["id"])
    venue.saw("DELETE", "/api/v1/order")
    assert (answer["id"], answer["status"]) == (None, None)
