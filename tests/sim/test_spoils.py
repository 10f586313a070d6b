"""Faults that need something to spoil: a new order's fate, rows that lists leave out, pages that shift."""

import pytest

from btcturk_sim.api import ApiOptions

ORDER = "/api/v1/order"
OPEN, ALL, TRADES = "/api/v1/openOrders", "/api/v1/allOrders", "/api/v1/users/transactions/trade"


def fault(bench, kind, count=1, path="/", **params):
    rule = {"kind": kind, "match": {"path": path}, "count": count, "params": params}
    status, payload = bench.control("POST", "/faults", rule)
    assert status == 200, payload


def struck(bench):
    return bench.control("GET", "/faults")[1]["struck"]


def all_ids(bench, **query):
    return [row["id"] for row in bench.get(ALL, pairSymbol="BTCTRY", **query)]


# --- accepted, then cancelled ---------------------------------------------------------------------------------------


def test_an_accepted_order_may_be_gone_at_once(bench):
    fault(bench, "accepted_then_canceled")
    order_id = bench.place("buy", "0.01", "1001000")  # would fill, were it let into the book
    row = bench.get(f"{ORDER}/{order_id}")
    assert (row["status"], row["leftAmount"]) == ("Canceled", "0.0100000000000000")
    assert (bench.fills(order_id), bench.balance("TRY")) == ([], ("100000", "0"))
    assert bench.status(bench.place("buy", "0.01", "1001000")) == "Closed"


def test_or_a_moment_later_without_ever_having_traded(bench):
    fault(bench, "accepted_then_canceled", after_ms=400)
    order_id = bench.place("buy", "0.01", "1001000")
    bench.wait(399)
    assert [row["id"] for row in bench.get(OPEN)["bids"]] == [order_id]
    assert bench.balance("TRY") == ("89965.976", "10034.024")
    assert bench.get("/api/v2/orderbook", pairSymbol="BTCTRY")["bids"][0][0] != "1001000"
    bench.wait(1)
    assert (bench.status(order_id), bench.fills(order_id)) == ("Canceled", [])
    assert bench.balance("TRY") == ("100000", "0")


@pytest.mark.parametrize("method", ["stoplimit", "stopmarket", "market"])
def test_this_may_happen_to_any_method(bench, method):
    fault(bench, "accepted_then_canceled", after_ms=100)
    price = {} if method == "market" else {"stopPrice": "1100000", "orderMethod": method}
    order_id = bench.place("sell" if method == "market" else "buy", "0.01" if method != "stopmarket" else "1000",
                           "1100000" if method == "stoplimit" else None, **price)  # fmt: skip
    assert bench.status(order_id) == "Untouched"
    bench.wait(100)
    assert bench.status(order_id) == "Canceled"
    assert (bench.balance("TRY")[1], bench.balance("BTC")[1]) == ("0", "0")


def test_a_refused_order_does_not_use_the_fault_up(bench):
    fault(bench, "accepted_then_canceled", path=ORDER)
    assert bench.order("buy", "9", "990000")[0] == 400
    assert bench.get("/api/v1/users/balances")
    assert struck(bench) == {}
    assert bench.status(bench.place("buy", "0.01", "990000")) == "Canceled"
    assert struck(bench) == {"accepted_then_canceled": 1}
    assert bench.control("GET", "/faults")[1]["rules"] == []


# --- an id for two orders -------------------------------------------------------------------------------------------


def test_a_new_order_may_carry_the_id_of_one_long_closed(bench):
    old = bench.place("buy", "0.01", "1001000", newOrderClientId="old")
    between = bench.place("buy", "0.01", "1001000")
    bench.wait(1_000)
    fault(bench, "id_reused")
    new = bench.place("buy", "0.01", "990000", newOrderClientId="new")
    assert new == old
    assert [(row["id"], row["orderClientId"]) for row in bench.get(OPEN)["bids"]] == [(old, "new")]
    assert [(row["id"], row["status"]) for row in bench.get(ALL, pairSymbol="BTCTRY")] == [
        (old, "Untouched"), (between, "Closed"), (old, "Closed")]  # fmt: skip
    assert bench.get(f"{ORDER}/{old}")["orderClientId"] == "new"
    assert [row["orderClientId"] for row in bench.fills(old)] == ["old"]
    assert bench.cancel(old)[0] == 200
    bench.wait(1)
    assert bench.status(old) == "Canceled"
    assert bench.balance("TRY")[1] == "0"


def test_its_trades_stand_under_the_same_id(bench):
    old = bench.place("buy", "0.01", "1001000", newOrderClientId="old")
    fault(bench, "id_reused")
    assert bench.place("sell", "0.01", "990000", newOrderClientId="new") == old
    assert [row["orderClientId"] for row in bench.fills(old)] == ["new", "old"]
    assert {row["orderId"] for row in bench.get(TRADES)} == {old}


def test_the_oldest_is_taken_first_and_each_id_once(bench):
    ids = [bench.place("buy", "0.001", "1001000") for _ in range(2)]
    fault(bench, "id_reused", count=None)
    placed = [bench.place("buy", "0.001", "990000") for _ in range(3)]
    assert placed[:2] == ids
    assert placed[2] not in ids
    assert struck(bench) == {"id_reused": 2}


def test_without_an_order_old_enough_it_waits_for_one(bench):
    old = bench.place("buy", "0.001", "1001000")
    fault(bench, "id_reused", age_ms=60_000)
    assert bench.place("buy", "0.001", "990000") != old
    bench.wait(60_000)
    assert bench.place("buy", "0.001", "990000") == old


# --- rows and pages -------------------------------------------------------------------------------------------------


def test_a_list_may_leave_out_a_run_of_rows(bench):
    ids = [bench.place("buy", "0.001", "990000") for _ in range(6)][::-1]
    fault(bench, "rows_missing", rows=2, start=1)
    assert all_ids(bench) == [ids[0], *ids[3:]]
    assert all_ids(bench) == ids


@pytest.mark.parametrize("path", [OPEN, ALL, TRADES, "/api/v1/users/transactions/fiat"])
def test_the_run_is_drawn_from_a_seed(bench, path):
    for _ in range(8):
        bench.place("buy", "0.0005", "990000")
        bench.place("buy", "0.0005", "1001000")
        bench.control("POST", "/deposit", {"key": "ALICE", "asset": "TRY", "amount": "1"})

    def ids():
        data = bench.get(path, **({"pairSymbol": "BTCTRY"} if path == ALL else {}))
        return [row["id"] for row in (data["asks"] + data["bids"] if path == OPEN else data)]

    whole, seen = ids(), set()
    for seed in range(12):
        fault(bench, "rows_missing", seed=seed, count=2)
        first = ids()
        assert first == ids(), "one seed, one run"
        start = next((at for at, (a, b) in enumerate(zip(whole, first, strict=False)) if a != b), len(first))
        gone = len(whole) - len(first)
        assert gone >= 1
        assert whole[:start] + whole[start + gone :] == first
        seen.add((start, gone))
    assert len(seen) > 4
    assert ids() == whole


def test_an_empty_list_has_nothing_to_leave_out(bench):
    fault(bench, "rows_missing", path=OPEN)
    response = bench.send(bench.request("GET", OPEN))
    assert (response.status, response.fault, struck(bench)) == (200, None, {})
    bench.place("buy", "0.001", "990000")
    response = bench.send(bench.request("GET", OPEN))
    assert (response.fault, struck(bench)) == ("rows_missing", {"rows_missing": 1})


def test_the_cap_of_the_trade_list_can_be_lowered(make_bench):
    bench = make_bench(api=ApiOptions(trades_max=3))
    for _ in range(5):
        bench.place("buy", "100")
        bench.wait(1)
    newest = bench.get(TRADES)
    assert len(newest) == 3
    assert len(bench.get(TRADES, endDate=newest[-1]["timestamp"] - 1)) == 2


def test_the_cap_of_all_orders_can_be_lowered(make_bench):
    bench = make_bench(api=ApiOptions(all_orders_max=2))
    ids = [bench.place("buy", "0.001", "990000") for _ in range(5)][::-1]
    assert all_ids(bench, limit=1000) == ids[:2]
    assert all_ids(bench, page=3) == ids[4:]


def test_a_second_page_of_orders_repeats_a_row_when_a_new_one_came_in_between(bench):
    ids = [bench.place("buy", "0.001", "990000") for _ in range(6)][::-1]
    fault(bench, "shifted_page")
    assert all_ids(bench, limit=2, page=1) == ids[:2]
    assert struck(bench) == {}
    assert all_ids(bench, limit=2, page=2) == ids[1:3]
    assert all_ids(bench, limit=2, page=3) == ids[4:]
    fault(bench, "shifted_page", rows=3)
    assert all_ids(bench, limit=2, page=2) == ids[:2]


def test_a_second_page_of_trades_loses_its_last_row_to_one_that_slipped_in(make_bench):
    bench = make_bench(api=ApiOptions(trades_max=3))
    for _ in range(7):
        bench.place("buy", "100")
        bench.wait(1)
    first = bench.get(TRADES)
    until = first[-1]["timestamp"] - 1
    second = bench.get(TRADES, endDate=until)
    fault(bench, "shifted_page", path=TRADES)
    assert bench.get(TRADES) == first
    assert bench.get(TRADES, endDate=until) == [first[-1], *second[:-1]]
    assert bench.get(TRADES, endDate=until) == second
    assert struck(bench) == {"shifted_page": 1}
