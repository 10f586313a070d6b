"""Every answer beside a recorded one: the same names, the same JSON types, the same irregular envelopes and decimals.

Each recording has an example here that makes our exchange say the same; none is left out, and no route either.
"""

import json
from decimal import Decimal

import pytest

from btcturk_sim.api import ApiOptions
from btcturk_sim.book import BookOptions
from btcturk_sim.fees import FeeSchedule
from btcturk_sim.wire import Host

MOVING = [("1000000", "1010000", "990000", "1005000", "5")] * 3
RISE = [("1000000", "1010000", "1000000", "1010000", "0.8")] * 2
GRAPH = {"host": Host.GRAPH, "key": None}


def kind(value):
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return type(value).__name__
    return "number" if isinstance(value, int | Decimal) else type(value).__name__


def shape(value, path="$"):
    """{path: set of JSON types}; all rows of a list are taken together."""
    found = {path: {kind(value)}}
    children = (
        [(f"{path}.{name}", child) for name, child in value.items()]
        if isinstance(value, dict)
        else [(f"{path}[]", child) for child in value]
        if isinstance(value, list)
        else []
    )
    for where, child in children:
        for deeper, kinds in shape(child, where).items():
            found.setdefault(deeper, set()).update(kinds)
    return found


def assert_same_shape(ours, recorded):
    mine, theirs = shape(ours), shape(recorded)
    assert mine.keys() == theirs.keys()
    for path, kinds in mine.items():
        # A field that was null in the recording may hold a value in ours, and the other way round.
        assert kinds - {"NoneType"} <= theirs[path] - {"NoneType"} or "NoneType" in theirs[path], path


# --- one example for each recording ---------------------------------------------------------------------------------
# Each returns (ours, whether it must be equal and not only alike). `make` builds a bench.


def read(bars, path, **query):
    def example(make):
        bench = make(bars)
        bench.wait(10_000)
        return bench.call("GET", path, **query)[1], False

    return example


def equal(path, status, **query):
    def example(make):
        bench = make()
        got, payload = bench.call("GET", path, **query)
        assert got == status
        return payload, True

    return example


def submitted(options, side, quantity, price, **fields):
    def example(make):
        bench = make(api=options)
        status, payload = bench.order(side, quantity, price, **fields)
        assert status == 200
        return payload, False

    return example


def too_dear(make):
    status, payload = make(balances={"TRY": "1100"}).order("buy", "1", "1000000")
    assert status == 400
    return payload, True


def locked_away(make):
    bench = make(balances={"TRY": "1100"})
    bench.place("buy", "0.001", "990000")
    return bench.order("buy", "0.001", "990000")[1], True


def no_market(make):
    """Nothing trades in a phase of cancels only."""
    bench = make()
    bench.control("POST", "/market", {"symbol": "BTCTRY", "cancel_only": True})
    return bench.order("buy", "1000")[1], True


def cancelled(make):
    bench = make()
    return bench.cancel(bench.place("buy", "0.01", "990000"))[1], True


def cancelled_unknown(make):
    return make().cancel(7)[1], True


def one_too_many(make):
    bench = make(limits="real")
    return [bench.call("GET", "/api/v1/users/balances")[1] for _ in range(121)][-1], True


def broken(body=None):
    def example(make):
        bench = make()
        params = {"status": 500} | ({"body": body} if body else {})
        bench.control("POST", "/faults", {"kind": "status_before", "count": 1, "params": params})
        status, payload = bench.call("GET", "/api/v2/ticker")
        assert status == 500
        return payload, True

    return example


def nonce_of_2019(make):
    bench = make(api=ApiOptions(error_401_of_2019=True))
    request = bench.request("GET", "/api/v1/users/balances")
    bench.send(request)
    return json.loads(bench.send(request).body), True


def two_pairs(make):
    return make({"BTCTRY": MOVING, "USDTTRY": MOVING}).call("GET", "/api/v2/server/exchangeinfo")[1], False


def symbols(make):
    """BTCTRY and BTCUSDT at the prices of that day: equal in every field."""
    bars = {"BTCTRY": [("3754135", "3754135", "3754135", "3754135", "0")],
            "BTCUSDT": [("77295", "77295", "77295", "77295", "0")]}  # fmt: skip
    return make(bars).get("/api/v2/server/exchangeinfo")["symbols"], True


def open_orders(make):
    """A sell that is resting, one that has filled in part, and a buy."""
    bench = make({"BTCTRY": [("1000000", "1001000", "1000000", "1000000", "0.8")]}, {"TRY": "200000", "BTC": "1"})
    bench.place("sell", "0.1", "1001000")
    bench.place("sell", "0.01", "1100000")
    bench.place("buy", "0.01", "990000")
    bench.wait(50_000)
    payload = bench.call("GET", "/api/v1/openOrders")[1]
    assert {row["status"] for row in payload["data"]["asks"]} == {"Untouched", "Partial"}
    return payload, False


def open_stop(make):
    bench = make()
    bench.place("buy", "0.01", "1100000", orderMethod="stoplimit", stopPrice="1090000")
    payload = bench.call("GET", "/api/v1/openOrders")[1]
    (row,) = payload["data"]["bids"]
    assert (row["method"], row["status"], row["time"]) == ("stoplimit", "Untouched", 0)
    return payload, False


def untouched(make):
    bench = make()
    bench.place("buy", "0.0003", "550000")
    (row,) = rows = bench.get("/api/v1/allOrders", pairSymbol="BTCTRY")
    assert (row["amount"], row["quantity"], row["stopPrice"]) == ("0.0003", "0.0003", "0")
    assert row["leftAmount"] == "0.0003000000000000"
    return {"data": rows}, False


def single_stop(make):
    bench = make()
    stop = bench.place("sell", "0.12345678", orderMethod="stopmarket", stopPrice="900000")
    payload = bench.call("GET", f"/api/v1/order/{stop}")[1]
    assert payload["data"]["leftAmount"] == "0.1234567800000000"
    return payload, False


def triggered_stop(make):
    """Of the stop nothing was filled, and what follows it begins when it ended."""
    bench = make({"BTCTRY": RISE})
    bench.place("buy", "360", orderMethod="stopmarket", stopPrice="1005000", newOrderClientId="48e33815")
    bench.wait(60_000)
    newer, older = rows = bench.get("/api/v1/allOrders", pairSymbol="BTCTRY")
    assert (older["status"], older["amount"]) == ("Canceled", older["quantity"])
    assert Decimal(older["leftAmount"]) == Decimal(older["amount"])
    assert (newer["status"], newer["method"], newer["stopPrice"]) == ("Closed", "market", older["stopPrice"])
    assert (newer["time"], newer["orderClientId"]) == (older["updateTime"], older["orderClientId"])
    assert newer["leftAmount"] == "0.0000000000000000"
    return rows, False


def trades_of_2022(make):
    bench = make()
    bench.place("sell", "0.01")
    payload = bench.call("GET", "/api/v1/users/transactions/trade")[1]
    (row,) = payload["data"]
    assert len(str(row["id"])) == 19
    assert row["amount"].startswith("-")
    assert all(row[name].startswith("-") and len(row[name].split(".")[1]) == 8 for name in ("fee", "tax"))
    return payload, False


def trades_of_2021(make):
    """100 TRY at 0.18 %, 18 % of it tax: the same amount, fee and tax to the last digit."""
    bench = make({"BTCTRY": [("399741", "399741", "399741", "399741", "0")]}, {"TRY": "100", "BTC": "1"},
                 fees={"TRY": FeeSchedule.published("0.18", "0.18", "0.18")},
                 book=BookOptions(spread_bps=Decimal("0.01")))  # fmt: skip
    bench.place("buy", "100")
    bench.place("sell", "0.0004")
    payload = bench.call("GET", "/api/v1/users/transactions/trade")[1]
    bought = payload["data"][1]
    assert [bought[name] for name in ("price", "amount", "fee", "tax")] == [
        "399742", "0.00024971", "-0.15226792", "-0.02740823"]  # fmt: skip
    for row in payload["data"]:
        # Not there yet in that year.
        del row["preciseAmount"], row["orderClientId"]
    return payload, False


def transfers(make):
    bench = make()
    bench.control("POST", "/withdraw", {"key": "ALICE", "asset": "BTC", "amount": "0.1", "fee": "0.0005"})
    bench.control("POST", "/deposit", {"key": "ALICE", "asset": "TRY", "amount": "480"})
    return {name: bench.get(f"/api/v1/users/transactions/{name}") for name in ("crypto", "fiat")}, False


def candles(make):
    bench = make({"BTCTRY": MOVING})
    bench.wait(120_000)
    ours = bench.call("GET", "/v1/klines/history", symbol="BTCTRY", resolution=1, **{"from": 0}, to=10**10, **GRAPH)[1]
    assert ours["t"] == sorted(ours["t"])
    assert all(10**9 < second < 10**10 for second in ours["t"])
    return ours, False


def days(make):
    bench = make({"BTCTRY": MOVING})
    bench.wait(120_000)
    return bench.call("GET", "/v1/ohlcs", pair="BTCTRY", **GRAPH)[1], False


EXAMPLES = {
    "all_orders_triggered_stop_2025": triggered_stop,
    "all_orders_untouched_ccxt_2021": untouched,
    "balances_shape": read(None, "/api/v1/users/balances"),
    "cancel_error_1052_2020": cancelled_unknown,
    "cancel_ok_2025": cancelled,
    "error_429_ip": one_too_many,
    "error_internal_500_2019": broken(),
    "error_internal_string_code_2021": broken('{"success":false,"message":"INTERNAL_ERROR","code":"INTERNAL_ERROR"}'),
    "error_invalid_nonce_401": nonce_of_2019,
    "error_orderbook_missing_pair_400": equal("/api/v2/orderbook", 400),
    "error_orderbook_unknown_pair_400": equal("/api/v2/orderbook", 400, pairSymbol="NOPEUSDT"),
    "exchangeinfo_2026-08": two_pairs,
    "exchangeinfo_symbols_ccxt_2026-09": symbols,
    "graph_klines_history_2026-08": candles,
    "graph_ohlcs_2021-12": days,
    "open_orders_docs_2020": open_orders,
    "open_orders_stoplimit_2020": open_stop,
    "order_submit_error_1055": too_dear,
    "order_submit_error_1118": no_market,
    "order_submit_error_1122": locked_away,
    "order_submit_limit_buy_2021": submitted(ApiOptions(order_answer="2021"), "buy", "0.0100", "990000"),
    "order_submit_limit_sell_2024": submitted(None, "sell", "0.01", "1100000", newOrderClientId="Sat"),
    "order_submit_market_sell_2020": submitted(ApiOptions(order_answer="2020"), "sell", "0.0002", None),
    "orderbook_btctry_2026-08": read({"BTCTRY": MOVING}, "/api/v2/orderbook", pairSymbol="BTCTRY"),
    "server_ping": equal("/api/v2/server/ping", 200),
    "server_time": read(None, "/api/v2/server/time"),
    "single_order_docs": single_stop,
    "ticker_btctry_2026-08": read({"BTCTRY": MOVING}, "/api/v2/ticker", pairSymbol="BTCTRY"),
    "ticker_btcusdt_2026-09": read({"BTCUSDT": MOVING}, "/api/v2/ticker/currency", symbol="usdt"),
    "ticker_unknown_pair": equal("/api/v2/ticker", 200, pairSymbol="NOPE"),
    "trades_btcusdt_2022-02": read({"BTCTRY": MOVING}, "/api/v2/trades", pairSymbol="BTCTRY"),
    "user_trades_crypto_fiat_2021": transfers,
    "user_trades_docs_2021": trades_of_2021,
    "user_trades_docs_2022-09": trades_of_2022,
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_answers_are_as_recorded(make_bench, fixture_json, name):
    ours, must_be_equal = EXAMPLES[name](make_bench)
    recorded = fixture_json(name)
    if must_be_equal:
        assert ours == recorded
    else:
        assert_same_shape(ours, recorded)


def test_no_recording_is_left_out(recordings):
    assert sorted(EXAMPLES) == sorted(path.stem for path in recordings.glob("*.json"))


def test_no_route_is_left_out(make_bench):
    """All but what only people get who have logged in on the web."""
    benches = []

    def make(*arguments, **keywords):
        benches.append(make_bench(*arguments, **keywords))
        return benches[-1]

    for example in EXAMPLES.values():
        example(make)
    asked = {(record.host, record.path.lower(), record.method) for bench in benches for record in bench.api.requests}
    singles = {one for one in asked if one[1].startswith("/api/v1/order/")}
    asked = (asked - singles) | {(Host.REST, "/api/v1/order/", "GET")}
    assert singles
    web = {(Host.REST, "/api/v2/order", "PUT"), (Host.REST, "/api/v3/account/trade-fee-rates", "GET")}
    assert asked == benches[0].api.routes - web


# --- what shapes do not tell ----------------------------------------------------------------------------------------


def test_recorded_constants_of_the_exchange(make_bench, fixture_json):
    """Every field of three pairs but the two that follow the price, and every field of three currencies."""
    bars = {"BTCTRY": [("3717080", "3717080", "3717080", "3717080", "0")],
            "USDTTRY": [("47.832", "47.832", "47.832", "47.832", "0")],
            "ETHUSDT": [("2460.7", "2460.7", "2460.7", "2460.7", "0")]}  # fmt: skip
    info, recorded = make_bench(bars).get("/api/v2/server/exchangeinfo"), fixture_json("exchangeinfo_2026-08")["data"]
    assert info["symbols"] == recorded["symbols"]
    ours = {row["symbol"]: row for row in info["currencies"]}
    assert [ours[row["symbol"]] for row in recorded["currencies"]] == recorded["currencies"]
    assert recorded["currencyOperationBlocks"] == [row for row in info["currencyOperationBlocks"]
                                                   if row["currencySymbol"] != "Usdt"]  # fmt: skip


def test_daily_is_ask_less_open_and_the_percentage_that_of_last(make_bench, fixture_json):
    """As in both recorded rows."""
    bench = make_bench({"BTCTRY": MOVING})
    bench.wait(50_000)
    rows = bench.get("/api/v2/ticker", pairSymbol="BTCTRY")
    for name in ("ticker_btctry_2026-08", "ticker_btcusdt_2026-09"):
        rows += fixture_json(name)["data"]
    for row in rows:
        assert row["daily"] == row["ask"] - row["open"]
        assert row["dailyPercent"] == round((row["last"] - row["open"]) * 100 / Decimal(row["open"]), 2)
    assert len(rows) == 3


def test_decimals_are_those_of_the_wire(make_bench):
    """Prices at denominatorScale, amounts of the book at numeratorScale, what is left of an order at 16."""
    bars = {"ETHUSDT": [("2460.7", "2470.5", "2450.1", "2465.3", "80")] * 2}
    bench = make_bench(bars, {"USDT": "100000", "ETH": "10"})
    bench.place("buy", "1.5", "2400.5", symbol="ETHUSDT")
    bench.wait(60_000)
    book = bench.get("/api/v2/orderbook", pairSymbol="ETHUSDT")
    assert {(len(price.split(".")[1]), len(amount.split(".")[1])) for price, amount in book["bids"] + book["asks"]} == {
        (1, 8)}  # fmt: skip
    (resting,) = bench.get("/api/v1/openOrders")["bids"]
    assert (resting["price"], resting["amount"], resting["leftAmount"]) == ("2400.5", "1.5", "1.5000000000000000")
    printed = bench.get("/api/v2/trades", pairSymbol="ETHUSDT")[0]
    assert (len(printed["price"].split(".")[1]), len(printed["amount"].split(".")[1])) == (1, 8)
    assert all(kind(value) == "number" for name, value in bench.get("/api/v2/ticker")[0].items()
               if name not in ("pair", "pairNormalized", "denominatorSymbol", "numeratorSymbol"))  # fmt: skip
    assert 10**12 < book["timestamp"] < 10**13


def test_wrong_urls_methods_and_content_types(bench):
    assert bench.send(bench.request("GET", "/api/v1/nothing")).body == b""
    assert bench.send(bench.request("GET", "/api/v1/nothing")).status == 404
    assert bench.send(bench.request("GET", "/api/v1/order/abc")).status == 404
    # Charts are at home on a host of their own.
    assert bench.call("GET", "/v1/klines/history", symbol="BTCTRY", resolution=1, key=None)[0] == 404
    wrong_method = bench.send(bench.request("PUT", "/api/v1/order"))
    assert (wrong_method.status, dict(wrong_method.headers)["Allow"]) == (405, "POST, DELETE")
    form = bench.request("POST", "/api/v1/order", b"quantity=1")
    form = type(form)(method="POST", path=form.path, body=form.body,
                      headers=form.headers | {"content-type": "application/x-www-form-urlencoded"})  # fmt: skip
    assert bench.send(form).status == 415
    status, payload = bench.call("POST", "/api/v1/order", b"{not json")
    assert (status, payload["message"]) == (400, "INVALID_REQUEST_ERROR")
