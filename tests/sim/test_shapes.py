"""Our answers beside recorded ones: the same names, the same JSON types, the same irregular envelopes."""

from decimal import Decimal

import pytest

from btcturk_sim.wire import Host


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


@pytest.mark.parametrize(
    ("name", "path", "query"),
    [
        ("server_time", "/api/v2/server/time", {}),
        ("server_ping", "/api/v2/server/ping", {}),
        ("exchangeinfo_2026-08", "/api/v2/server/exchangeinfo", {}),
        ("ticker_btctry_2026-08", "/api/v2/ticker", {"pairSymbol": "BTCTRY"}),
        ("orderbook_btctry_2026-08", "/api/v2/orderbook", {"pairSymbol": "BTCTRY"}),
        ("trades_btcusdt_2022-02", "/api/v2/trades", {"pairSymbol": "BTCTRY"}),
        ("balances_shape", "/api/v1/users/balances", {}),
    ],
)
def test_reads(make_bench, fixture_json, name, path, query):
    bench = make_bench({"BTCTRY": [("1000000", "1010000", "990000", "1005000", "5")] * 2})
    bench.wait(10_000)
    assert_same_shape(bench.call("GET", path, **query)[1], fixture_json(name))


def test_recorded_constants_of_the_exchange(make_bench, fixture_json):
    """Every field of BTCTRY's and USDTTRY's rows but the two that follow the price."""
    bars = {"BTCTRY": [("3717080", "3717080", "3717080", "3717080", "0")],
            "USDTTRY": [("47.832", "47.832", "47.832", "47.832", "0")]}  # fmt: skip
    ours = {row["name"]: row for row in make_bench(bars).get("/api/v2/server/exchangeinfo")["symbols"]}
    recorded = {row["name"]: row for row in fixture_json("exchangeinfo_2026-08")["data"]["symbols"]}
    assert ours["BTCTRY"] == recorded["BTCTRY"]
    assert ours["USDTTRY"] == recorded["USDTTRY"]


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("error_orderbook_unknown_pair_400", {"pairSymbol": "NOPEUSDT"}),
        ("error_orderbook_missing_pair_400", {}),
    ],
)
def test_order_book_errors(bench, fixture_json, name, query):
    assert bench.call("GET", "/api/v2/orderbook", **query) == (400, fixture_json(name))


def test_an_unknown_pair_has_an_empty_ticker(bench, fixture_json):
    assert bench.call("GET", "/api/v2/ticker", pairSymbol="NOPE") == (200, fixture_json("ticker_unknown_pair"))


def test_orders(bench, fixture_json):
    _, accepted = bench.order("sell", "0.01", "1100000", newOrderClientId="Sat")
    assert_same_shape(accepted, fixture_json("order_submit_limit_sell_2024"))
    bench.place("buy", "0.01", "990000")
    opened = bench.call("GET", "/api/v1/openOrders")[1]
    assert_same_shape(opened, fixture_json("open_orders_docs_2020"))
    listed = bench.get("/api/v1/allOrders", pairSymbol="BTCTRY")
    assert_same_shape(listed, fixture_json("all_orders_untouched_ccxt_2021")["data"])
    single = bench.call("GET", f"/api/v1/order/{accepted['data']['id']}")[1]
    assert_same_shape(single, fixture_json("single_order_docs"))


def test_order_errors(make_bench, fixture_json):
    bench = make_bench(balances={"TRY": "1100"})
    assert bench.order("buy", "1", "1000000") == (400, fixture_json("order_submit_error_1055"))
    bench.place("buy", "0.001", "990000")
    assert bench.order("buy", "0.001", "990000") == (400, fixture_json("order_submit_error_1122"))


def test_cancels(bench, fixture_json):
    order_id = bench.place("buy", "0.01", "990000")
    assert bench.cancel(order_id) == (200, fixture_json("cancel_ok_2025"))
    assert bench.cancel(7) == (400, fixture_json("cancel_error_1052_2020"))


def test_account_lists(bench, fixture_json):
    bench.place("sell", "0.01")
    ours = bench.call("GET", "/api/v1/users/transactions/trade")[1]
    assert_same_shape(ours, fixture_json("user_trades_docs_2022-09"))
    for asset, name in (("TRY", "fiat"), ("BTC", "crypto")):
        bench.control("POST", "/deposit", {"key": "ALICE", "asset": asset, "amount": "1"})
        rows = bench.get(f"/api/v1/users/transactions/{name}")
        recorded = fixture_json("user_trades_crypto_fiat_2021")[name]
        assert rows[0].keys() == recorded[0].keys()


def test_graph_answers_have_no_envelope(make_bench, fixture_json):
    bench = make_bench({"BTCTRY": [("1000000", "1010000", "990000", "1005000", "5")] * 2})
    bench.wait(120_000)
    graph = {"host": Host.GRAPH, "key": None}
    klines = bench.call("GET", "/v1/klines/history", symbol="BTCTRY", resolution=1, **{"from": 0}, to=10**10, **graph)[
        1
    ]
    assert_same_shape(klines, fixture_json("graph_klines_history_2026-08"))
    assert klines["t"] == sorted(klines["t"])
    assert_same_shape(bench.call("GET", "/v1/ohlcs", pair="BTCTRY", **graph)[1], fixture_json("graph_ohlcs_2021-12"))
    assert bench.call("GET", "/v1/klines/history", symbol="BTCTRY", resolution=1, key=None)[0] == 404


def test_wrong_urls_methods_and_content_types(bench):
    assert bench.send(bench.request("GET", "/api/v1/nothing")).body == b""
    assert bench.send(bench.request("GET", "/api/v1/nothing")).status == 404
    assert bench.send(bench.request("GET", "/api/v1/order/abc")).status == 404
    wrong_method = bench.send(bench.request("PUT", "/api/v1/order"))
    assert (wrong_method.status, dict(wrong_method.headers)["Allow"]) == (405, "POST, DELETE")
    form = bench.request("POST", "/api/v1/order", b"quantity=1")
    form = type(form)(method="POST", path=form.path, body=form.body,
                      headers=form.headers | {"content-type": "application/x-www-form-urlencoded"})  # fmt: skip
    assert bench.send(form).status == 415
    status, payload = bench.call("POST", "/api/v1/order", b"{not json")
    assert (status, payload["message"]) == (400, "INVALID_REQUEST_ERROR")
