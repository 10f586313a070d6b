"""Quotas: fixed windows from the first request, blocks, and what a 429 says."""

import json

import pytest
from msgspec.structs import replace

from btcturk_sim.errors import ConfigurationError
from btcturk_sim.limits import TABLE, LimitsMode, Policy
from btcturk_sim.wire import Host

BALANCES = "/api/v1/users/balances"


def hammer(bench, count, path=BALANCES, **more):
    return [bench.call("GET", path, **more)[0] for _ in range(count)]


def test_the_121st_balance_request_of_a_minute_is_refused_in_the_documented_words(make_bench, fixture_json):
    bench = make_bench(limits="real")
    assert hammer(bench, 120) == [200] * 120
    response = bench.send(bench.request("GET", BALANCES))
    assert response.status == 429
    assert dict(response.headers)["Retry-After"] == "60"
    assert json.loads(response.body) == fixture_json("error_429_ip")


def test_the_window_starts_with_the_first_request(make_bench):
    bench = make_bench(limits="real")
    hammer(bench, 1)
    bench.wait(59_999)
    assert hammer(bench, 119) == [200] * 119
    bench.wait(1)
    assert hammer(bench, 120) == [200] * 120


def test_the_block_lasts_its_time_and_is_not_lengthened_by_asking(make_bench):
    bench = make_bench(limits="real")
    hammer(bench, 119)
    bench.wait(20_000)
    assert hammer(bench, 2) == [200, 429]
    bench.wait(30_000)
    response = bench.send(bench.request("GET", BALANCES))
    assert (response.status, dict(response.headers)["Retry-After"]) == (429, "30")
    bench.wait(29_999)
    assert hammer(bench, 1) == [429]
    bench.wait(1)
    assert hammer(bench, 1) == [200]


def test_orders_have_10_a_second_and_300_a_minute(make_bench):
    bench = make_bench(balances={"TRY": "1000000"}, limits="real")
    sent = [bench.order("buy", "0.001", "990000")[0] for _ in range(11)]
    assert sent == [200] * 10 + [429]
    response = bench.send(bench.request("POST", "/api/v1/order", {}))
    assert (dict(response.headers)["Retry-After"], json.loads(response.body)["period"]) == ("1", "1s")
    accepted = 10
    while accepted < 300:
        bench.wait(1_000)
        accepted += sum(bench.order("buy", "0.001", "990000")[0] == 200 for _ in range(10))
    bench.wait(1_000)
    _, payload = bench.order("buy", "0.001", "990000")
    assert (payload["limit"], payload["period"]) == ("300", "1m")


def test_accounts_do_not_share_the_address_quota_unless_asked_to(make_bench):
    for limits, status in (("real", 200), ("real-ip", 429)):
        bench = make_bench(others={"BOB": {"TRY": "1"}}, limits=limits)
        hammer(bench, 120)
        assert hammer(bench, 1, key="BOB") == [status]


def test_the_account_policy_follows_the_key_to_another_address(make_bench):
    bench = make_bench(limits="real-ip", balances={"TRY": "1000000"})
    for _ in range(10):
        bench.order("buy", "0.001", "990000")
    elsewhere = replace(bench.request("POST", "/api/v1/order", {}), client_ip="127.0.0.2")
    payload = json.loads(bench.send(elsewhere).body)
    assert (payload["code"], payload["policy"]) == (429, "account")


def test_the_table_is_the_published_one():
    """Per endpoint: (limit, period, block) in seconds, and whom it counts."""
    both = (Policy.IP, Policy.ACCOUNT)
    rows = {name: {(one.limit, one.period_s, one.block_s, one.policies) for one in quotas}
            for name, quotas in TABLE.items()}  # fmt: skip
    assert rows == {
        "balances": {(120, 60, 60, both[:1])},
        "order.submit": {(300, 60, 60, both), (10, 1, 1, both)},
        "order.cancel": {(300, 60, 60, both), (10, 1, 1, both)},
        "order.get": {(900, 60, 60, both), (30, 1, 1, both)},
        "openOrders": {(300, 60, 60, both[:1])},
        "allOrders": {(300, 60, 60, both[:1])},
        "transactions.trade": {(120, 60, 60, both[:1])},
        "transactions.crypto": {(90, 60, 60, both[:1])},
        "transactions.fiat": {(90, 60, 60, both[:1])},
        "ticker": {(600, 60, 60, both[:1])},
        "orderbook": {(180, 60, 60, both[:1])},
        "graph.ohlcs": {(120, 60, 60, both[:1])},
        "graph": {(600, 600, 600, both[:1])},
        "ws": {(15, 60, 60, both[:1])},
    }


@pytest.mark.parametrize(
    ("limit", "path", "query"),
    [
        (300, "/api/v1/openOrders", {}),
        (300, "/api/v1/allOrders", {"pairSymbol": "BTCTRY"}),
        (120, "/api/v1/users/transactions/trade", {}),
        (90, "/api/v1/users/transactions/crypto", {}),
        (90, "/api/v1/users/transactions/fiat", {}),
        (600, "/api/v2/ticker", {}),
        (180, "/api/v2/orderBook", {"pairSymbol": "BTCTRY", "limit": 1}),
    ],
)
def test_each_list_has_its_quota_a_minute(make_bench, limit, path, query):
    bench = make_bench(limits="real")
    assert hammer(bench, limit + 1, path, **query) == [200] * limit + [429]
    assert hammer(bench, 1) == [200]


def test_a_single_order_may_be_asked_for_30_times_a_second_and_cancels_10_times(make_bench):
    bench = make_bench(limits="real")
    order_id = bench.place("buy", "0.001", "990000")
    assert hammer(bench, 31, f"/api/v1/order/{order_id}") == [200] * 30 + [429]
    assert [bench.cancel(order_id)[0] for _ in range(11)] == [200] * 10 + [429]
    bench.wait(1_000)
    assert (hammer(bench, 1, f"/api/v1/order/{order_id}"), bench.cancel(order_id)[0]) == ([200], 200)


def test_what_the_page_leaves_out_has_no_limit_unless_assumed(make_bench):
    bench = make_bench(limits="real")
    assert hammer(bench, 700, "/api/v2/server/time", key=None) == [200] * 700
    bench.control("POST", "/assumptions", {"unlisted-limit": "20"})
    for path in ("/api/v2/server/time", "/api/v2/server/exchangeinfo", "/api/v2/trades"):
        assert hammer(bench, 21, path, key=None, pairSymbol="BTCTRY") == [200] * 20 + [429]


def test_an_account_and_its_address_may_be_counted_together(make_bench):
    """Then another address has another bucket, even with the same key."""
    bench = make_bench(limits="real-ip", balances={"TRY": "1000000"})
    bench.control("POST", "/assumptions", {"account-ip": "together"})
    assert [bench.order("buy", "0.001", "990000")[0] for _ in range(11)] == [200] * 10 + [429]
    elsewhere = replace(bench.request("POST", "/api/v1/order", {}), client_ip="127.0.0.2")
    assert bench.send(elsewhere).status == 400


def test_an_account_policy_says_so(make_bench):
    """Another address of the same account: the address is within its quota, the account is not."""
    bench = make_bench(limits="real-ip", balances={"TRY": "1000000"})
    for _ in range(10):
        bench.order("buy", "0.001", "990000")
    payload = json.loads(bench.send(replace(bench.request("POST", "/api/v1/order", {}), client_ip="127.0.0.2")).body)
    assert payload == {
        "message": "TOO_MANY_REQUESTS", "success": False, "code": 429, "limit": "10", "period": "1s",
        "policy": "account", "details": "Quota exceeded. Maximum allowed: 10 per 1s. Please try again later.",
    }  # fmt: skip


def test_quotas_can_be_scaled_or_switched_off(make_bench):
    assert hammer(make_bench(limits="scaled=2"), 241) == [200] * 240 + [429]
    assert hammer(make_bench(limits="off"), 300) == [200] * 300


def test_the_graph_host_counts_all_its_requests_together(make_bench):
    bench = make_bench(limits="real")
    klines = {"symbol": "BTCTRY", "resolution": 1, "host": Host.GRAPH, "key": None}
    assert hammer(bench, 600, "/v1/klines/history", **klines) == [200] * 600
    assert hammer(bench, 1, "/v1/ohlcs", pair="BTCTRY", host=Host.GRAPH, key=None) == [429]


@pytest.mark.parametrize("text", ["", "none", "scaled", "scaled=0", "scaled=-1", "scaled=1.5", "real=2"])
def test_nonsense_is_refused_with_the_choices(text):
    with pytest.raises(ConfigurationError, match=r"scaled=N"):
        LimitsMode.parse(text)
