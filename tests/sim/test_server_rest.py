"""The REST half on real sockets: what `serve` is told at the start, and what changes while it runs."""

import gzip
import json
import time
from decimal import Decimal

import pytest
from tests.sim.program import KEY, program, run
from tests.sim.test_server import LIMIT

BALANCES = "/api/v1/users/balances"


def get(one, path, where="rest"):
    return json.loads(one.send("GET", path, connection=one.connect(where)).content)


def klines(one, symbol):
    path = f"/v1/klines/history?symbol={symbol}&resolution=1&from=0&to=9999999999"
    return get(one, path, "graph")


@pytest.fixture(scope="module")
def told():
    """A program that was told everything about its REST half that can be told."""
    arguments = [
        "--symbols", "BTCTRY,ETHTRY,USDTTRY", "--permissions", f"{KEY}=trade,funds", "--addresses",
        f"{KEY}=127.0.0.1", "--assume", "error-codes=2022", "--assume", "market-remainder=refused",
        "--fee-level", "8", "--free-pairs", "ETHTRY", "--history-bars", "60",
    ]  # fmt: skip
    with program(*arguments) as one:
        yield one


def test_379_pairs_are_there_within_seconds_compressed_and_moving():
    started = time.monotonic()
    with program("--pairs", "379", "--speed", "60", "--assume", "exchangeinfo-age-ms=30000") as one:
        response = one.send("GET", "/api/v2/server/exchangeinfo", headers={"Accept-Encoding": "gzip"})
        assert time.monotonic() - started < 20
        assert (response.headers["Content-Encoding"], response.headers["Cache-Control"]) == (
            "gzip", "public, max-age=30")  # fmt: skip
        body = gzip.decompress(response.content)
        assert 200_000 < len(body) < 400_000
        assert len(json.loads(body)["data"]["symbols"]) == 379
        before = {row["pair"]: row["last"] for row in get(one, "/api/v2/ticker")["data"]}
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            after = {row["pair"]: row["last"] for row in get(one, "/api/v2/ticker")["data"]}
            if sum(after[name] != before[name] for name in before) > 300:
                break
            time.sleep(0.2)
        else:
            pytest.fail("the market stands still")
        assert one.control("GET", "/state?orders=0")["conservation"] == "ok"


def test_the_default_is_small_and_has_a_day_of_history():
    with program() as one:
        assert len(get(one, "/api/v2/server/exchangeinfo")["data"]["symbols"]) == 5
        assert 1440 <= len(klines(one, "BTCTRY")["t"]) <= 1442


def test_a_key_has_the_permissions_and_addresses_it_was_given(told):
    assert told.send("GET", BALANCES).status == 200
    denied = told.send("GET", "/api/v1/users/transactions/trade")
    assert (denied.status, json.loads(denied.content)["message"]) == (401, "Unauthorized - Invalid Request")
    told.control("POST", "/keys", {"key": KEY, "permissions": ["account"], "addresses": None})
    assert (told.send("GET", BALANCES).status, told.send("POST", "/api/v1/order", LIMIT).status) == (401, 401)
    told.control("POST", "/keys", {"key": KEY, "permissions": ["funds", "trade", "account"]})
    assert told.send("GET", BALANCES).status == 200


def test_assumptions_hold_from_the_start_and_change_while_it_runs(told):
    shown = told.control("GET", "/assumptions")
    assert (shown["error-codes"]["answer"], shown["error-codes"]["answers"]) == ("2022", ["2024", "2022", "2020"])
    cheap = LIMIT | {"quantity": "0.00000001"}
    assert json.loads(told.send("POST", "/api/v1/order", cheap).content)["code"] == 1124
    told.control("POST", "/assumptions", {"error-codes": "2024"})
    assert json.loads(told.send("POST", "/api/v1/order", cheap).content)["code"] == 1123


def test_market_orders_and_stops_over_the_wire(told):
    """A market order that is too big for the collar, one that is not, and a stop that goes off."""
    market = {"pairSymbol": "BTCTRY", "orderType": "sell", "orderMethod": "market", "quantity": "1.9"}
    refused = told.send("POST", "/api/v1/order", market)
    assert (refused.status, json.loads(refused.content)["message"]) == (400, "FAILED_MARKET_ORDER")
    sold = json.loads(told.send("POST", "/api/v1/order", market | {"quantity": "0.001"}).content)["data"]
    assert get(told, f"/api/v1/order/{sold['id']}")["data"]["status"] == "Closed"
    price = get(told, "/api/v2/ticker?pairSymbol=BTCTRY")["data"][0]["last"]
    stop = {"pairSymbol": "BTCTRY", "orderType": "sell", "orderMethod": "stopmarket", "quantity": "0.001",
            "stopPrice": str(price - 1000), "newOrderClientId": "stop"}  # fmt: skip
    waiting = json.loads(told.send("POST", "/api/v1/order", stop).content)["data"]
    told.control("POST", "/market", {"symbol": "BTCTRY", "price": str(price - 2000)})
    rows = [row for row in get(told, "/api/v1/allOrders?pairSymbol=BTCTRY")["data"] if row["orderClientId"] == "stop"]
    assert [(row["method"], row["status"]) for row in rows] == [("market", "Closed"), ("stopmarket", "Canceled")]
    assert rows[1]["id"] == waiting["id"] != rows[0]["id"]
    told.control("POST", "/market", {"symbol": "BTCTRY", "price": None})


def test_commission_follows_the_level_and_some_pairs_cost_nothing(told):
    """Level 8 pays 0.08 % as taker."""
    for symbol, rate in (("BTCTRY", Decimal("0.0008")), ("ETHTRY", Decimal(0))):
        order = {"pairSymbol": symbol, "orderType": "buy", "orderMethod": "market", "quantity": "1000"}
        order_id = json.loads(told.send("POST", "/api/v1/order", order).content)["data"]["id"]
        fills = [one for one in told.control("GET", "/state")["accounts"][KEY]["fills"] if one["order_id"] == order_id]
        paid = sum(Decimal(fill["fee"]) + Decimal(fill["tax"]) for fill in fills)
        gross = sum(Decimal(fill["price"]) * Decimal(fill["quantity"]) for fill in fills)
        assert abs(paid - gross * rate) < Decimal("0.00001")
        assert gross > 990


def test_charts_know_what_was_before(told):
    assert 60 < len(klines(told, "ETHTRY")["t"]) <= 62


def test_an_order_book_whose_data_is_late_is_503(told):
    path = "/api/v2/orderbook?pairSymbol=BTCTRY"
    told.control("POST", "/market", {"symbol": "BTCTRY", "delayed": True})
    late = told.send("GET", path)
    assert (late.status, json.loads(late.content)["success"]) == (503, False)
    assert told.send("GET", path.replace("BTC", "ETH")).status == 200
    told.control("POST", "/market", {"symbol": "BTCTRY", "delayed": False})
    assert told.send("GET", path).status == 200


def test_51_refusals_in_a_row_shut_an_address_out():
    with program() as one:
        wrong = {"X-Signature": "AAAA"}
        assert [one.send("GET", BALANCES, headers=wrong).status for _ in range(51)] == [401] * 51
        shut = one.send("GET", "/api/v2/ticker")
        assert (shut.status, shut.headers["Content-Type"]) == (403, "text/html; charset=UTF-8")


def test_the_open_questions_can_be_listed():
    code, out, _ = run("assumptions")
    assert code == 0
    assert "self-trades=allowed (cancel-incoming, cancel-resting)\n" in out
    assert "trades-max=200 (1…)\n" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--pairs", "380"], "--pairs 380: give a number from 1 to 379"),
        (["--pairs", "10", "--symbols", "BTCTRY"], "--pairs lists built-in pairs; leave out --market and --symbols"),
        (["--assume", "weather=fine"], "nobody asks 'weather'; the questions are"),
        (["--assume", "nonce=none"], "nonce=none: answer windowed or strict"),
        (["--permissions", "X=trade"], "--permissions X=trade: there is no account X; give it with --account"),
        (["--account", "X:AAAA", "--permissions", "X=withdraw"], "'withdraw' is no permission of a key; there are"),
        (["--account", "X:AAAA", "--permissions", "X="], "--permissions X=: name at least one; without the option X"),
        (["--addresses", "127.0.0.1"], "--addresses 127.0.0.1: write KEY=NAME,NAME"),
        (["--addresses", "X=127.0.0.1"], "--addresses X=127.0.0.1: there is no account X; give it with --account"),
        (["--account", "X:AAAA", "--addresses", "X=here"], "--addresses X=here: 'here' is no address"),
        (["--pairs", "0"], "0 is not in the range x>=1"),
        (["--history-bars", "-1"], "-1 is not in the range 0<=x<=1051200"),
        (["--history-bars", "1051201"], "1051201 is not in the range 0<=x<=1051200"),
        (["--assume", "trades-max=0"], "trades-max=0: give a whole number from 1 to 1000000000"),
        (["--free-pairs", "FOO"], "'FOO' is not a pair this exchange can list"),
        (["--free-pairs", "ADATRY"], "--free-pairs ADATRY: not listed; name some of BTCTRY"),
        (["--fee-level", "9"], "9 is not in the range"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_2(arguments, says):
    code, out, said = run("serve", *arguments)
    assert (code, out) == (2, "")
    assert said.count("\n") == 1
    assert says in said
