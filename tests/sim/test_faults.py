"""Faults ordered through the control interface, and what they leave behind."""

import json

import pytest

from btcturk_sim.wire import Delivery

ORDER = {"pairSymbol": "BTCTRY", "orderType": "buy", "orderMethod": "limit", "quantity": "0.01", "price": "990000"}


def fault(bench, kind, method="POST", path="/api/v1/order", count=1, **params):
    status, payload = bench.control(
        "POST", "/faults", {"kind": kind, "match": {"method": method, "path": path}, "count": count, "params": params}
    )
    assert status == 200, payload


def post(bench):
    return bench.send(bench.request("POST", "/api/v1/order", ORDER))


def open_count(bench):
    return len(bench.get("/api/v1/openOrders")["bids"])


@pytest.mark.parametrize(
    ("kind", "params", "placed", "delivery", "status"),
    [
        ("lost_before", {}, 0, Delivery.DROP, 0),
        ("status_before", {"status": 503}, 0, Delivery.SEND, 503),
        ("html_before", {"status": 502}, 0, Delivery.SEND, 502),
        ("rate_limited", {"retry_after": 7}, 0, Delivery.SEND, 429),
        ("unauthorized", {}, 0, Delivery.SEND, 401),
        ("lost_after", {}, 1, Delivery.DROP, 200),
        ("status_after", {"status": 500}, 1, Delivery.SEND, 500),
        ("html_after", {"status": 504}, 1, Delivery.SEND, 504),
        ("truncated", {}, 1, Delivery.TRUNCATE, 200),
        ("huge_body", {}, 1, Delivery.STREAM, 200),
        ("delay_after", {"delay_ms": 5000}, 1, Delivery.SEND, 200),
        ("refused_but_placed", {}, 1, Delivery.SEND, 400),
        ("raw_body", {"body": "\ufeff{}"}, 1, Delivery.SEND, 200),
        ("duplicate", {}, 2, Delivery.SEND, 200),
    ],
)
def test_each_kind_strikes_once_before_or_after_the_act(bench, kind, params, placed, delivery, status):
    fault(bench, kind, **params)
    response = post(bench)
    assert (response.transport.delivery, response.status, response.fault) == (delivery, status, kind)
    assert open_count(bench) == placed
    assert post(bench).fault is None
    assert bench.control("GET", "/faults")[1] == {"rules": [], "struck": {kind: 1}}


def test_a_delayed_request_is_acted_on_when_it_arrives(bench):
    """Later than 5 seconds its stamp is too old; earlier it is a perfectly good order."""
    for delay_ms, status in ((4_000, 200), (6_000, 401)):
        fault(bench, "delay_before", delay_ms=delay_ms)
        request = bench.request("POST", "/api/v1/order", ORDER)
        deferred = bench.send(request)
        assert (deferred.transport.delivery, deferred.transport.delay_ms) == (Delivery.DEFER, delay_ms)
        bench.wait(delay_ms)
        assert bench.send(request, resumed=True).status == status
    assert open_count(bench) == 1


def test_a_refusal_that_lies_looks_like_any_other(bench):
    fault(bench, "refused_but_placed", message="FAILED_LIMIT_ORDER", code=1120)
    response = post(bench)
    assert json.loads(response.body) == {
        "httpStatusCode": 400, "data": None, "success": False, "message": "FAILED_LIMIT_ORDER", "code": 1120,
    }  # fmt: skip


def test_429_may_come_with_any_retry_after_or_none(bench):
    fault(bench, "rate_limited", retry_after="86400000")
    assert dict(post(bench).headers)["Retry-After"] == "86400000"
    fault(bench, "rate_limited", retry_after=None)
    assert "Retry-After" not in dict(post(bench).headers)


def test_lagging_lists_show_the_state_of_a_while_ago(bench):
    kept = bench.place("buy", "0.01", "990000")
    bench.wait(10_000)
    gone, new = kept, bench.place("buy", "0.02", "980000")
    bench.cancel(gone)
    fault(bench, "lag", method="GET", path="/api/v1/", count=None, lag_ms=5_000)
    assert [row["id"] for row in bench.get("/api/v1/openOrders")["bids"]] == [kept]
    assert [row["id"] for row in bench.get("/api/v1/allOrders", pairSymbol="BTCTRY")] == [kept]
    assert bench.balance("TRY")[1] == "9911.88"
    assert bench.call("GET", f"/api/v1/order/{new}")[0] == 400
    bench.wait(5_000)
    assert [row["id"] for row in bench.get("/api/v1/openOrders")["bids"]] == [new]
    assert bench.balance("TRY")[1] == "19623.52"


def test_new_orders_can_be_hidden_from_lists(bench):
    order_id = bench.place("buy", "0.01", "990000")
    fault(bench, "hide_new", method="GET", path="/api/v1/openOrders", count=None, lag_ms=1_000)
    assert open_count(bench) == 0
    assert bench.status(order_id) == "Untouched"
    bench.wait(1_000)
    assert open_count(bench) == 1


def test_a_lost_cancel_is_answered_like_a_good_one(bench):
    order_id = bench.place("buy", "0.01", "990000")
    fault(bench, "cancel_lost", method="DELETE")
    assert bench.cancel(order_id) == (200, {"success": True, "message": "SUCCESS", "code": 0})
    bench.wait(60_000)
    assert bench.status(order_id) == "Untouched"


def test_faults_match_method_path_and_key(make_bench):
    bench = make_bench(others={"BOB": {"TRY": "100000"}})
    rule = {"kind": "status_before", "params": {"status": 500}, "match": {"method": "post", "key": "BOB"}}
    bench.control("POST", "/faults", rule)
    assert bench.order("buy", "0.01", "990000")[0] == 200
    assert bench.order("buy", "0.01", "990000", key="BOB")[0] == 500
    assert bench.call("GET", "/api/v1/users/balances", key="BOB")[0] == 200


def test_probability_is_drawn_from_the_seed(make_bench):
    def statuses():
        bench = make_bench()
        bench.control("POST", "/faults", {"kind": "status_before", "params": {"status": 500}, "probability": 0.3})
        return [bench.call("GET", "/api/v2/server/ping", key=None)[0] for _ in range(200)]

    first = statuses()
    assert 30 < first.count(500) < 90
    assert statuses() == first


def test_rules_can_be_removed(bench):
    fault(bench, "lost_before", count=None)
    (rule,) = bench.control("GET", "/faults")[1]["rules"]
    assert bench.control("DELETE", "/faults", query=f"id={rule['id']}")[1]["rules"] == []
    assert bench.control("DELETE", "/faults", query="id=99")[0] == 404
    fault(bench, "lost_before", count=None)
    assert bench.control("DELETE", "/faults")[1]["rules"] == []
    assert post(bench).status == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"kind": "nonsense"}, "nonsense"),
        ({"kind": "status_before"}, "needs status"),
        ({"kind": "lag", "params": {"lag_ms": -1}}, "lag_ms must be int"),
        ({"kind": "lost_before", "params": {"speed": 1}}, "knows no parameter 'speed'"),
        ({"kind": "lost_before", "count": 0}, "count is at least 1"),
        ({"kind": "lost_before", "probability": 2}, "probability_ppm lies between"),
        ({"knd": "lost_before"}, "knd"),
    ],
)
def test_a_wrong_rule_is_refused_with_a_reason(bench, body, says):
    status, payload = bench.control("POST", "/faults", body)
    assert status == 400
    assert says in payload["error"]
