"""What the exchange does to a whole pair: maintenance, cancel-only phases, delisting, other rules."""

from decimal import Decimal

import pytest

DIP = [("1000000", "1000000", "999000", "1000000", "0.8")] * 3
UNKNOWN = {"success": False, "message": "Pair BTCTRY does not exists.", "code": 1037}


def market(bench, **change):
    status, payload = bench.control("POST", "/market", {"symbol": "BTCTRY", **change})
    assert status == 200, payload
    return payload["prices"]["BTCTRY"]


def symbol_row(bench, name="BTCTRY"):
    return next((row for row in bench.get("/api/v2/server/exchangeinfo")["symbols"] if row["name"] == name), None)


# --- cancel-only ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "message", "code"),
    [
        (("buy", "0.01", "990000"), "FAILED_LIMIT_ORDER", 1120),
        (("sell", "0.01", "1100000"), "FAILED_LIMIT_ORDER", 1120),
        (("buy", "1000"), "FAILED_MARKET_ORDER", 1118),
    ],
)
def test_in_a_cancel_only_phase_orders_are_refused_and_cancels_work(bench, order, message, code):
    resting = bench.place("buy", "0.01", "980000")
    assert market(bench, cancel_only=True)["cancel_only"] is True
    status, payload = bench.order(*order)
    assert (status, payload["message"], payload["code"]) == (400, message, code)
    assert bench.cancel(resting)[0] == 200
    bench.wait(1)
    assert (bench.status(resting), bench.balance("TRY")) == ("Canceled", ("100000", "0"))
    market(bench, cancel_only=False)
    assert bench.order(*order)[0] == 200


def test_nothing_trades_in_a_cancel_only_phase(make_bench):
    bench = make_bench({"BTCTRY": DIP})
    order_id = bench.place("buy", "0.01", "999500")
    market(bench, cancel_only=True)
    bench.wait(55_000)
    assert bench.status(order_id) == "Untouched"
    market(bench, cancel_only=False)
    bench.wait(60_000)
    assert bench.status(order_id) == "Closed"


def test_the_phase_may_be_shown_in_exchangeinfo(bench):
    market(bench, cancel_only=True, status="CANCEL_ONLY")
    assert symbol_row(bench)["status"] == "CANCEL_ONLY"
    market(bench, cancel_only=False)
    assert symbol_row(bench)["status"] == "TRADING"


# --- delisting ------------------------------------------------------------------------------------------------------


def test_delisting_cancels_what_is_open_and_leaves_what_is_owned(make_bench):
    bench = make_bench({"BTCTRY": DIP, "ADATRY": [("7", "7", "7", "7", "0")] * 3}, {"TRY": "100000", "BTC": "1"})
    bought = bench.place("buy", "0.01", "1001000")
    stop = bench.place("sell", "0.01", "900000", orderMethod="stoplimit", stopPrice="950000")
    resting, other = bench.place("buy", "0.01", "980000"), bench.place("buy", "100", "6", symbol="ADATRY")
    cancelled = bench.simulator.operations.delist("BTCTRY", bench.now_ms)
    assert [order.id for order in cancelled] == [stop, resting]
    assert [bench.status(one) for one in (bought, stop, resting, other)] == [
        "Closed", "Canceled", "Canceled", "Untouched"]  # fmt: skip
    assert [row["id"] for row in bench.get("/api/v1/openOrders")["bids"]] == [other]
    assert bench.balance("BTC") == ("1.01", "0")
    assert len(bench.fills(bought)) == 1
    assert bench.cancel(resting)[0] == 200


def test_a_delisted_pair_is_in_no_list_and_every_request_for_it_is_an_error(make_bench):
    bench = make_bench({"BTCTRY": DIP, "ADATRY": [("7", "7", "7", "7", "0")] * 3})
    market(bench, delisted=True)
    assert symbol_row(bench) is None
    assert symbol_row(bench, "ADATRY")["status"] == "TRADING"
    assert [row["pair"] for row in bench.get("/api/v2/ticker")] == ["ADATRY"]
    assert bench.get("/api/v2/ticker", pairSymbol="BTCTRY") == []
    assert bench.get("/api/v2/ticker/currency", symbol="BTC") == []
    for path in ("/api/v2/orderbook", "/api/v2/trades", "/api/v1/openOrders", "/api/v1/allOrders"):
        assert bench.call("GET", path, pairSymbol="BTCTRY") == (400, UNKNOWN)
    status, payload = bench.order("buy", "0.01", "990000")
    assert (status, payload["message"], payload["code"]) == (400, UNKNOWN["message"], 1037)
    assert list(bench.engine.instruments) == ["ADATRY"]
    bench.wait(60_000)
    market(bench, delisted=False)
    assert symbol_row(bench)["status"] == "TRADING"
    assert bench.order("buy", "0.01", "990000")[0] == 200


# --- rules ----------------------------------------------------------------------------------------------------------


def test_new_orders_are_judged_by_the_new_rules_and_resting_ones_stay(bench):
    resting = bench.place("buy", "0.01234567", "990000")
    market(bench, rules={"quantity_scale": 4, "min_exchange_value": "5000"})
    row = symbol_row(bench)
    assert (row["numeratorScale"], row["filters"][0]["minExchangeValue"]) == (4, "5000")
    assert bench.order("buy", "0.01234567", "990000")[1]["message"] == "FAILED_INVALID_QUANTITY_SCALE"
    assert bench.order("buy", "0.0050", "990000")[1]["message"] == "FAILED_MIN_TOTAL_AMOUNT"
    assert bench.order("buy", "0.0123", "990000")[0] == 200
    assert bench.get(f"/api/v1/order/{resting}")["amount"] == "0.01234567"
    assert bench.status(resting) == "Untouched"


def test_prices_get_coarser_and_finer_again(make_bench):
    bench = make_bench({"ADATRY": [("7.0351", "7.0999", "7.0351", "7.0999", "50000")] * 3}, {"TRY": "100000"})
    fine = bench.place("buy", "100", "6.9953", symbol="ADATRY")
    rules = {"symbol": "ADATRY", "rules": {"price_scale": 2}}
    assert bench.control("POST", "/market", rules)[0] == 200
    row = symbol_row(bench, "ADATRY")
    assert (row["denominatorScale"], row["filters"][0]["tickSize"]) == (2, "0.01")
    assert bench.order("buy", "100", "6.9953", symbol="ADATRY")[1]["message"] == "FAILED_INVALID_PRICE_SCALE"
    assert bench.order("buy", "100", "6.99", symbol="ADATRY")[0] == 200
    bench.wait(30_000)
    # The book quotes by the new rules, but for the order that has rested since the old ones.
    bids = [price for price, _ in bench.get("/api/v2/orderbook", pairSymbol="ADATRY")["bids"]]
    assert "6.9953" in bids
    assert all(len(price.split(".")[1]) == 2 for price in bids if price != "6.9953")
    (ticker,) = bench.get("/api/v2/ticker", pairSymbol="ADATRY")
    assert ticker["last"] == ticker["last"].quantize(Decimal("0.01"))
    assert bench.get(f"/api/v1/order/{fine}")["price"] == "6.9953"
    bench.get("/api/v2/trades", pairSymbol="ADATRY")
    rules = {"symbol": "ADATRY", "rules": {"price_scale": 4, "tick_size": "0.0005"}}
    assert bench.control("POST", "/market", rules)[0] == 200
    assert symbol_row(bench, "ADATRY")["filters"][0]["tickSize"] == "0.0005"
    assert bench.order("buy", "100", "6.9953", symbol="ADATRY")[0] == 200


def test_an_old_order_trades_at_its_own_price_and_in_its_own_lots(make_bench):
    bench = make_bench(others={"BOB": {"TRY": "100000"}})
    old = bench.place("buy", "0.00512345", "1000000", key="BOB")
    market(bench, rules={"quantity_scale": 3})
    sold = bench.place("sell", "0.01", "1000000")
    assert (bench.status(old, "BOB"), bench.status(sold)) == ("Closed", "Partial")
    assert bench.get(f"/api/v1/order/{sold}")["leftAmount"] == "0.0048765500000000"
    (trade,) = bench.fills(old, "BOB")
    assert trade["preciseAmount"] == Decimal("0.00512345")


def test_a_price_that_is_held_follows_the_new_step(make_bench):
    bench = make_bench({"ADATRY": [("7.0351", "7.0999", "7.0351", "7.0999", "50000")] * 3})
    bench.control("POST", "/market", {"symbol": "ADATRY", "price": "7.1357"})
    bench.control("POST", "/market", {"symbol": "ADATRY", "rules": {"price_scale": 1}})
    bench.wait(30_000)
    assert bench.engine.pairs["ADATRY"].price == Decimal("7.1")


def test_order_methods_can_be_taken_away(bench):
    market(bench, rules={"order_methods": ["LIMIT", "STOP_LIMIT"]})
    assert bench.order("buy", "1000")[1]["message"] == "ORDER_METHOD_NOT_SUPPORTED"
    assert symbol_row(bench)["orderMethods"] == ["LIMIT", "STOP_LIMIT"]


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"quantity_scale": 9}, "quantity_scale 9: scales lie between 0 and 8"),
        ({"price_scale": -1}, "price_scale -1: scales lie between 0 and 8"),
        ({"min_exchange_value": "0"}, "min_exchange_value must be above 0"),
        ({"min_exchange_value": "1e3"}, "give a decimal string"),
        ({"order_methods": ["ICEBERG"]}, "no order method ICEBERG"),
        ({"lot": 3}, "lot"),
    ],
)
def test_rules_that_no_pair_can_have_are_refused(bench, rules, says):
    before = symbol_row(bench)
    status, payload = bench.control("POST", "/market", {"symbol": "BTCTRY", "rules": rules})
    assert status == 400
    assert says in payload["error"]
    assert symbol_row(bench) == before


def test_a_step_above_the_price_is_refused(make_bench):
    bench = make_bench({"SHIBTRY": [("0.00042", "0.00042", "0.00042", "0.00042", "1")] * 2})
    status, payload = bench.control("POST", "/market", {"symbol": "SHIBTRY", "rules": {"price_scale": 3}})
    assert (status, payload["error"]) == (400, "a price step of 0.001 is above the price of 0.00042")
