"""The control interface: looking behind the scenes, and acting there."""

import json

RISE = [("1000000", "1010000", "1000000", "1010000", "0.8")] * 2


def test_state_shows_balances_orders_fills_and_the_market(make_bench):
    bench = make_bench({"BTCTRY": RISE})
    order_id = bench.place("buy", "0.01", "1001000", newOrderClientId="mine")
    bench.wait(61_000)
    state = bench.control("GET", "/state")[1]
    alice = state["accounts"]["ALICE"]
    assert alice["balances"]["BTC"] == {"free": "1.01", "locked": "0", "balance": "1.01"}
    (order,) = alice["orders"]
    assert (order["id"], order["orderClientId"], order["status"]) == (order_id, "mine", "Closed")
    (fill,) = alice["fills"]
    assert (fill["quantity"], fill["price"], fill["maker"]) == ("0.01", "1000500", False)
    assert state["conservation"] == "ok"
    assert (state["market"]["bar"], state["market"]["bars"], state["market"]["market_time_ms"]) == (1, 2, 60_000)
    assert state["totals"]["TRY"]["fees"] == "20.01"
    assert "orders" not in bench.control("GET", "/state", query="orders=0")[1]["accounts"]["ALICE"]


def test_requests_are_listed_with_what_was_answered(bench):
    bench.place("buy", "0.01", "990000")
    bench.control("POST", "/faults", {"kind": "lost_before", "count": 1})
    bench.send(bench.request("GET", "/api/v1/users/balances"))
    bench.call("GET", "/api/v2/orderbook", pairSymbol="NOPE")
    listed = bench.control("GET", "/requests", query="since=0")[1]
    assert [(row["seq"], row["method"], row["status"], row["fault"]) for row in listed["requests"]] == [
        (1, "POST", 200, None), (2, "GET", 0, "lost_before"), (3, "GET", 400, None)]  # fmt: skip
    first = listed["requests"][0]
    assert json.loads(first["body"])["quantity"] == "0.01"
    assert (first["key"], first["time_ms"], first["stamp"]) == ("ALICE", bench.now_ms, str(bench.now_ms))
    assert listed["requests"][2]["query"] == "pairSymbol=NOPE"
    later = bench.control("GET", "/requests", query="since=2&bodies=1")[1]["requests"]
    assert [row["seq"] for row in later] == [3]
    assert "does not exists" in later[0]["answer"]


def test_a_human_places_and_cancels_orders_beside_the_bot(make_bench):
    bench = make_bench(limits="real")
    body = {"key": "ALICE", "pairSymbol": "BTCTRY", "orderType": "buy", "orderMethod": "limit", "quantity": "0.01",
            "price": "990000", "newOrderClientId": "by hand"}  # fmt: skip
    status, placed = bench.control("POST", "/foreign-order", body)
    assert (status, placed["status"]) == (200, "Untouched")
    (row,) = bench.get("/api/v1/openOrders")["bids"]
    assert (row["id"], row["orderClientId"]) == (placed["id"], "by hand")
    assert bench.control("POST", "/cancel-order", {"id": placed["id"]})[0] == 200
    bench.wait(1)
    assert bench.status(placed["id"]) == "Canceled"
    assert bench.control("POST", "/foreign-order", body | {"quantity": "9"}) == (
        400, {"error": "BALANCE_NOT_ENOUGH (1055)"})  # fmt: skip


def test_mistakes_are_answered_with_a_reason(bench):
    assert bench.control("GET", "/nonsense")[0] == 404
    assert (
        "no account 'BOB'"
        in bench.control("POST", "/deposit", {"key": "BOB", "asset": "TRY", "amount": "1"})[1]["error"]
    )
    assert (
        "decimal string"
        in bench.control("POST", "/deposit", {"key": "ALICE", "asset": "TRY", "amount": "1e3"})[1]["error"]
    )
    assert bench.control("POST", "/deposit", {"key": "ALICE", "asset": "TRY", "amount": 5})[0] == 400
    assert bench.control("POST", "/cancel-order", {"id": 1})[0] == 404
    assert "scale of BTCTRY" in bench.control("POST", "/market", {"symbol": "BTCTRY", "price": "1.5"})[1]["error"]
    assert bench.control("POST", "/market", {})[0] == 400
    assert bench.control("GET", "/requests", query="since=x")[0] == 400


def test_shutdown_is_asked_for(bench):
    assert not bench.simulator.is_over
    bench.control("POST", "/shutdown")
    assert bench.simulator.is_over


def test_the_recording_holds_requests_answers_and_market_steps(make_bench, tmp_path):
    path = tmp_path / "record.jsonl"
    bench = make_bench({"BTCTRY": RISE}, record=path)
    bench.control("POST", "/clock", {"skew_ms": 250})
    bench.place("buy", "0.01", "990000")
    bench.wait(7_500)
    bench.simulator.close()
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["kind"] for row in rows] == ["start", "request", "answer", "market"]
    _, request, answer, market = rows
    assert (request["method"], json.loads(request["body"])["price"]) == ("POST", "990000")
    assert (request["venue_ms"] - request["wall_ms"], answer["seq"]) == (250, request["seq"])
    assert json.loads(answer["body"])["success"] is True
    assert (market["prices"], market["market_time_ms"]) == ({"BTCTRY": "1000000"}, 7_500)
    assert "signature" not in path.read_text(encoding="utf-8").lower()
