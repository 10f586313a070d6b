"""What btcturk-api does wrong, kept visible: who trades through it should know, and our client does otherwise.

A test here fails when btcturk-api mends its mistake, or when the exchange begins to forgive it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from btcturk_api.exceptions import BTCTurkAuthenticationError, RequestLimitExceededError, UrlNotFoundError

from judges import loopback
from judges.btcturk_api_client import NAME, connected, next_second
from judges.venue import Venue

CLIENT = NAME


@pytest.fixture(scope="module")
def made(exchange: Venue) -> Any:
    return connected(exchange)


@pytest.fixture
def client(made: Any, venue: Venue) -> Any:
    """A client with a key, in a second of its own."""
    next_second()
    return made


def test_mistake_one_call_a_second(client: Any, venue: Venue) -> None:
    """stamps with whole seconds: the second call within one is refused, and it calls the real exchange"""
    client.get_account_balance()
    with pytest.raises(BTCTurkAuthenticationError, match="Unauthorized - Invalid Nonce"):
        client.get_account_balance()
    first, second = venue.saw_all()
    assert (first.status, second.status) == (200, 401)
    assert first.stamp is not None
    assert first.stamp == second.stamp
    assert first.stamp.endswith("000")
    assert set(loopback.refused()) == {"api.btcturk.com"}, "whatever base address it was given"


def test_mistake_key_on_public_calls(client: Any, venue: Venue) -> None:
    """sends key, stamp and signature with public calls too, once it has signed anything"""
    client.get_account_balance()
    signed = venue.saw("GET", "/api/v1/users/balances")
    client.tick("BTCTRY")
    public = venue.saw("GET", "/api/v2/ticker")
    assert (public.key, public.stamp) == (venue.key, signed.stamp)


def test_mistake_dates_of_orders(client: Any, venue: Venue) -> None:
    """gives the dates of a list of orders names that the exchange does not know"""
    order = client.submit_limit_order("0.001", int(venue.price("BTCTRY", Decimal("0.8"))), "buy", "BTCTRY")
    venue.saw("POST", "/api/v1/order")
    next_second()
    rows = client.get_all_orders(pair_symbol="BTCTRY", start_date=1, end_date=2)
    sent = venue.saw("GET", "/api/v1/allOrders")
    assert (sent.query["startDate"], sent.query["endDate"]) == (["1"], ["2"])
    assert not {"startTime", "endTime"} & set(sent.query)
    assert order["id"] in {row["id"] for row in rows}, "an order of today, in a list of 1970"


def test_mistake_from_order_id(client: Any, venue: Venue) -> None:
    """asks for orders from one id too early"""
    client.get_all_orders(order_id=1000, pair_symbol="BTCTRY")
    assert venue.saw("GET", "/api/v1/allOrders").query["orderId"] == ["999"]


def test_mistake_assets_of_2021(client: Any, venue: Venue) -> None:
    """leaves out of the trade history what was not listed in 2021, unless it is named"""
    order = client.submit_market_order("0.5", "sell", "SOLTRY")
    venue.saw("POST", "/api/v1/order")
    venue.settle()
    next_second()
    by_default = client.get_trade_history()
    assert "SOL" not in venue.saw("GET", "/api/v1/users/transactions/trade").query["symbol"]
    assert order["id"] not in {row["orderId"] for row in by_default}
    next_second()
    named = client.get_trade_history(symbol=["SOL"])
    venue.saw("GET", "/api/v1/users/transactions/trade")
    assert order["id"] in {row["orderId"] for row in named}


def test_mistake_filters_of_fiat(client: Any, venue: Venue) -> None:
    """filters the fiat history by names that the exchange does not know"""
    came = venue.control("/deposit", key=venue.key, asset="TRY", amount="10")
    rows = client.get_fiat_history(balance_types=["withdrawal"], currency_symbols=["try"])
    sent = venue.saw("GET", "/api/v1/users/transactions/fiat")
    assert (sent.query["balanceTypes"], sent.query["currencySymbols"]) == (["withdrawal"], ["try"])
    assert came["id"] in {row["id"] for row in rows}, "a deposit in a list of withdrawals"


def test_mistake_old_charts(venue: Venue) -> None:
    """asks for candles at an address that has moved to the host for charts"""
    reader = connected(venue, signed=False)
    venue.saw("GET", "/api/v2/server/exchangeinfo")
    with pytest.raises(UrlNotFoundError):
        reader.get_ohlc_data("BTCTRY")
    venue.saw("GET", "/api/v2/ohlc", status=404)


def test_mistake_retry_after(venue: Venue) -> None:
    """does not tell how long to wait after too many requests"""
    reader = connected(venue, signed=False)
    venue.saw("GET", "/api/v2/server/exchangeinfo")
    venue.control("/faults", kind="rate_limited", match={"path": "/api/v2/ticker"}, count=1, params={"retry_after": 7})
    with pytest.raises(RequestLimitExceededError) as caught:
        reader.tick("BTCTRY")
    venue.saw("GET", "/api/v2/ticker", status=429)
    assert "TOO_MANY_REQUESTS" in str(caught.value)
    assert not hasattr(caught.value, "response")
