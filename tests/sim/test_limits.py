"""Quotas: fixed windows from the first request, blocks, and what a 429 says."""

import json
from dataclasses import replace

import pytest

from btcturk_sim.errors import ConfigurationError
from btcturk_sim.limits import LimitsMode
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
