"""A cancel is a request: answered at once, true only later."""

FALL = [("1000000", "1000000", "990000", "990000", "8")] * 2


def test_the_answer_comes_before_the_cancel_takes_effect(make_bench):
    bench = make_bench(cancel_lag_ms=50)
    order_id = bench.place("buy", "0.01", "990000")
    assert bench.cancel(order_id) == (200, {"success": True, "message": "SUCCESS", "code": 0})
    bench.wait(49)
    assert bench.status(order_id) == "Untouched"
    assert bench.balance("TRY")[1] == "9911.88"
    bench.wait(1)
    assert bench.status(order_id) == "Canceled"
    assert bench.balance("TRY") == ("100000", "0")


def test_an_order_may_fill_while_its_cancel_is_under_way(make_bench):
    bench = make_bench({"BTCTRY": FALL}, cancel_lag_ms=60_000)
    order_id = bench.place("buy", "0.01", "995000")
    assert bench.cancel(order_id)[0] == 200
    bench.wait(60_000)
    assert bench.status(order_id) == "Closed"
    assert len(bench.fills(order_id)) == 1


def test_cancelling_twice_or_after_the_cancel_is_success(bench):
    order_id = bench.place("buy", "0.01", "990000")
    assert [bench.cancel(order_id)[0] for _ in range(3)] == [200, 200, 200]


def test_a_filled_order_an_unknown_id_and_someone_elses_order_cannot_be_cancelled(make_bench):
    bench = make_bench(others={"BOB": {"TRY": "1000"}})
    filled = bench.place("buy", "0.01", "1010000")
    assert bench.cancel(filled)[1] == {"success": False, "message": "ORDER_COULD_NOT_BE_CANCELED", "code": 1051}
    unknown = {"success": False, "message": "NO_ORDER_MATCHES_YOUR_REQUEST", "code": 1052}
    assert bench.cancel(1) == (400, unknown)
    mine = bench.place("buy", "0.01", "990000")
    assert bench.cancel(mine, key="BOB") == (400, unknown)
    assert bench.status(mine) == "Untouched"


def test_an_id_in_the_body_of_a_delete_is_not_read(bench):
    order_id = bench.place("buy", "0.01", "990000")
    status, payload = bench.call("DELETE", "/api/v1/order", {"id": order_id})
    assert (status, payload["code"]) == (400, 1052)
    assert bench.status(order_id) == "Untouched"


def test_cancel_after_a_partial_fill_frees_the_rest(make_bench):
    bench = make_bench({"BTCTRY": [("1000000", "1000000", "999000", "1000000", "0.8")]})
    order_id = bench.place("buy", "0.09", "999000")
    bench.wait(50_000)
    bench.cancel(order_id)
    row = bench.get(f"/api/v1/order/{order_id}")
    assert (row["status"], row["leftAmount"]) == ("Canceled", "0.0650000000000000")
    assert bench.balance("TRY") == ("74995.03", "0")  # 100,000 − 0.025 × 999,000 × 1.0012
