"""What is not known of the exchange: every answer can hold from the start or from now on, and makes its difference."""

import json
import re
from dataclasses import fields
from decimal import Decimal

import pytest

from btcturk_sim.api import ApiOptions
from btcturk_sim.assumptions import QUESTIONS, assume
from btcturk_sim.engine import EngineOptions
from btcturk_sim.errors import ConfigurationError
from btcturk_sim.feed import FeedOptions
from btcturk_sim.wire import Host

DIP = [("1000000", "1000000", "999000", "1000000", "0.8")] * 3
LATER = 60_000


def let(bench, **answers):
    given = {name.replace("_", "-"): answer for name, answer in answers.items()}
    status, payload = bench.control("POST", "/assumptions", given)
    assert status == 200, payload


def told(bench, name):
    return bench.control("GET", "/assumptions")[1][name.replace("_", "-")]["answer"]


# --- asking and answering -------------------------------------------------------------------------------------------


def defaults():
    return {"engine": EngineOptions(), "api": ApiOptions(), "feed": FeedOptions()}


def test_the_answers_that_hold_are_the_options_defaults():
    for one in QUESTIONS.values():
        options = defaults()[one.part]
        assert one.field in {field.name for field in fields(options)}
        held = one.show(options)
        assert one.read(held) == getattr(options, one.field)
        assert not one.answers or held == next(iter(one.answers)), one.name


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_answer_can_be_given_at_run_time_and_is_told(bench, name):
    one = QUESTIONS[name]
    for answer in [*one.answers] or [str(one.least), "12345"]:
        let(bench, **{name: answer})
        assert told(bench, name) == answer


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_answer_can_be_given_at_the_start(name):
    one = QUESTIONS[name]
    for answer in [*one.answers] or [str(one.least), "12345"]:
        settled = assume([f"{name}={answer}"], EngineOptions(), ApiOptions(), FeedOptions())
        assert one.show(dict(zip(("engine", "api", "feed"), settled, strict=True))[one.part]) == answer


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("self-trades", "'self-trades' is no answer; write NAME=ANSWER"),
        ("weather=fine", "nobody asks 'weather'; the questions are nonce"),
        ("self-trades=maybe", "self-trades=maybe: answer allowed or cancel-incoming or cancel-resting"),
        ("trades-max=0", "trades-max=0: give a whole number from 1 to 1000000000"),
        ("trades-max=-1", "trades-max=-1: give a whole number from 1"),
        ("trades-max=many", "trades-max=many: give a whole number from 1"),
    ],
)
def test_nonsense_is_refused_with_what_can_be_said(bench, text, says):
    with pytest.raises(ConfigurationError, match=f"^{re.escape(says)}"):
        assume([text], EngineOptions(), ApiOptions(), FeedOptions())
    name, _, answer = text.partition("=")
    if answer:
        assert bench.control("POST", "/assumptions", {"client-ids": "unique", name: answer})[0] == 400
        assert told(bench, "client-ids") == "repeatable"


# --- errors and answers ---------------------------------------------------------------------------------------------


def test_order_errors_had_other_numbers_before_may_2024(bench):
    let(bench, error_codes="2022")
    bench.place("buy", "0.09", "1000000")
    _, payload = bench.order("buy", "0.05", "990000")
    assert (payload["message"], payload["code"]) == ("FAILED_ORDER_WITH_OPEN_ORDERS", 1123)
    assert bench.cancel(7)[1]["code"] == 1052
    let(bench, error_codes="2020")
    assert bench.cancel(7)[1] == {"success": False, "message": "NO_ORDER_MATCHES_YOUR_REQUEST", "code": 1051}


@pytest.mark.parametrize(
    ("order", "fields", "message"),
    [
        (("buy", "0.001", "10000001"), {}, "ORDER_MAX_PRICE_EXCEEDED"),
        (("sell", "0.01", "99999"), {}, "ORDER_MIN_PRICE_EXCEEDED"),
        (("buy", "0.01", "990000"), {"orderMethod": "stoplimit", "stopPrice": "990000"},
         "STOP_PRICE_GREATER_THAN_MARKET"),
        (("sell", "0.01", "1100000"), {"orderMethod": "stoplimit", "stopPrice": "1100000"},
         "STOP_PRICE_LESS_THAN_MARKET"),
    ],
)  # fmt: skip
def test_some_errors_have_another_name_on_the_pages_about_orders(bench, order, fields, message):
    let(bench, error_names="documents")
    assert bench.order(*order, **fields)[1]["message"] == message


def test_the_answer_to_a_cancel_may_have_an_empty_code(bench):
    let(bench, cancel_code="empty")
    order_id = bench.place("buy", "0.01", "990000")
    assert bench.cancel(order_id) == (200, {"success": True, "message": "SUCCESS", "code": ""})


def test_accepted_orders_were_answered_differently_in_2020_and_2021(bench):
    let(bench, order_answer="2021")
    payload = bench.order("buy", "0.01", "990000")[1]
    assert (payload["data"]["stopPrice"], payload["httpStatusCode"]) == ("0", 200)
    let(bench, order_answer="2020")
    payload = bench.order("buy", "0.01", "990000")[1]
    assert (payload["message"], "httpStatusCode" in payload) == ("OK", False)


def test_a_429_may_be_short(make_bench):
    bench = make_bench(limits="real")
    let(bench, error_429="short")
    response = [bench.send(bench.request("GET", "/api/v1/users/balances")) for _ in range(121)][-1]
    assert json.loads(response.body) == {"success": False, "message": "Too many requests", "code": 429}
    assert dict(response.headers)["Retry-After"] == "60"


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [("nonce", 401, "Invalid Nonce"), ("signature", 401, "Invalid Signature"), ("accepted", 200, "")],
)
def test_a_used_stamp_is_told_one_thing_or_another(bench, answer, status, says):
    let(bench, reused_stamp=answer)
    request = bench.request("GET", "/api/v1/users/balances")
    bench.send(request)
    again = bench.send(request)
    assert (again.status, says in again.body.decode()) == (status, True)


def test_stamps_must_rise_from_now_on(bench):
    let(bench, nonce="strict")
    earlier, later = (bench.request("GET", "/api/v1/users/balances") for _ in range(2))
    assert (bench.send(later).status, bench.send(earlier).status) == (200, 401)


def test_the_success_of_2019_comes_back_at_run_time(bench):
    let(bench, error_401="2019")
    assert bench.call("GET", "/api/v1/users/balances", key="MALLORY")[1]["success"] is True


# --- orders ---------------------------------------------------------------------------------------------------------


def test_client_ids_in_use_are_known_when_they_become_unique(bench):
    bench.place("buy", "0.001", "990000", newOrderClientId="one")
    let(bench, client_ids="unique")
    assert bench.order("buy", "0.001", "990000", newOrderClientId="one")[1]["code"] == 1121
    bench.place("buy", "0.001", "990000", newOrderClientId="two")


def test_long_client_ids_may_be_trimmed(bench):
    let(bench, long_client_ids="trimmed")
    payload = bench.order("buy", "0.001", "990000", newOrderClientId="x" * 49 + "yz")[1]
    assert payload["data"]["newOrderClientId"] == "x" * 49 + "y"


def test_zeros_at_the_end_may_count_as_decimals(bench):
    let(bench, trailing_zeros="counted")
    assert bench.order("buy", "0.00100000", "1000000")[0] == 200
    assert bench.order("buy", "0.001000000", "1000000")[1]["code"] == 1127
    assert bench.order("buy", "0.001", "1000000.0")[1]["code"] == 1126


def test_exponents_may_be_understood(bench):
    body = b'{"pairSymbol":"BTCTRY","orderType":"buy","orderMethod":"limit","quantity":1.5e-3,"price":990000}'
    assert bench.call("POST", "/api/v1/order", body)[1]["code"] == 1121
    let(bench, exponents="accepted")
    status, payload = bench.call("POST", "/api/v1/order", body)
    assert (status, payload["data"]["quantity"]) == (200, "0.0015")
    assert bench.call("POST", "/api/v1/order", body.replace(b"1.5e-3", b"1e-20"))[1]["code"] == 1121


def test_an_account_may_have_so_many_open_orders(bench):
    let(bench, max_open_orders=2)
    first = bench.place("buy", "0.001", "990000")
    bench.place("buy", "0.001", "990000")
    assert bench.order("buy", "0.001", "990000")[1]["message"] == "FAILED_LIMIT_ORDER"
    assert bench.order("buy", "1000")[1]["message"] == "FAILED_MARKET_ORDER"
    bench.cancel(first)
    bench.wait(1)
    assert bench.order("buy", "0.001", "990000")[0] == 200


def test_lags_can_be_changed_at_run_time(bench):
    let(bench, cancel_lag_ms=500, transactions_lag_ms=500, just_filled_ms=500)
    resting, bought = bench.place("buy", "0.01", "990000"), bench.place("buy", "1000")
    bench.cancel(resting)
    assert (bench.status(resting), bench.fills(bought)) == ("Untouched", [])
    assert bench.order("sell", "1", "1100000")[0] == 200
    assert bench.order("sell", "0.0009", "1100000")[1]["code"] == 1122
    bench.wait(500)
    assert (bench.status(resting), len(bench.fills(bought))) == ("Canceled", 1)


# --- lists ----------------------------------------------------------------------------------------------------------


def ids(bench, **query):
    return [row["id"] for row in bench.get("/api/v1/allOrders", pairSymbol="BTCTRY", **query)]


def test_all_orders_has_a_page_a_reach_and_a_beginning_that_are_not_known(bench):
    placed = [bench.place("buy", "0.001", "990000") for _ in range(6)]
    let(bench, all_orders_default=4)
    assert ids(bench) == placed[:1:-1]
    let(bench, all_orders_max=3)
    assert ids(bench, limit=1000) == placed[:2:-1]
    let(bench, all_orders_reach=5)
    assert ids(bench, page=2) == placed[2:0:-1]
    assert ids(bench, page=3) == []
    let(bench, all_orders_reach=0, all_orders_first="oldest")
    assert ids(bench) == placed[:3]
    let(bench, first_page=0)
    assert ids(bench, page=1) == placed[3:]


def test_open_orders_may_need_a_pair_and_may_be_cut(bench):
    for price in ("990000", "980000", "970000"):
        bench.place("buy", "0.001", price)
    let(bench, open_orders_max=2)
    assert [row["price"] for row in bench.get("/api/v1/openOrders")["bids"]] == ["990000", "980000"]
    let(bench, open_orders_pair="required")
    assert bench.call("GET", "/api/v1/openOrders")[1]["message"] == "INVALID_REQUEST_ERROR"
    assert bench.call("GET", "/api/v1/openOrders", pairSymbol="BTCTRY")[0] == 200


def test_an_order_cancelled_after_a_part_may_end_as_partial(make_bench):
    bench = make_bench({"BTCTRY": DIP})
    touched, untouched = bench.place("buy", "0.09", "999000"), bench.place("buy", "0.001", "900000")
    bench.wait(50_000)
    for order_id in (touched, untouched):
        bench.cancel(order_id)
    let(bench, canceled_after_partial="Partial")
    assert (bench.status(touched), bench.status(untouched)) == ("Partial", "Canceled")
    assert {row["id"]: row["status"] for row in bench.get("/api/v1/allOrders", pairSymbol="BTCTRY")} == {
        touched: "Partial", untouched: "Canceled"}  # fmt: skip
    assert bench.get("/api/v1/openOrders") == {"asks": [], "bids": []}


def test_amounts_of_trades_may_be_rounded_up(bench):
    order_id = bench.place("buy", "777.77")
    down, exact = bench.fills(order_id)[0]["amount"], bench.fills(order_id)[0]["preciseAmount"]
    let(bench, amount_rounding="up")
    up = bench.fills(order_id)[0]["amount"]
    assert Decimal(down) < exact < Decimal(up) == Decimal(down) + Decimal("0.00000001")


def test_trade_lists_have_so_many_rows(bench):
    for _ in range(3):
        bench.place("buy", "100")
    let(bench, trades_max=2)
    assert len(bench.get("/api/v1/users/transactions/trade")) == 2


def test_transfer_filters_may_need_a_start_and_rows_may_be_precise(bench):
    path = "/api/v1/users/transactions/fiat"
    bench.control("POST", "/deposit", {"key": "ALICE", "asset": "TRY", "amount": "480"})
    assert bench.get(path, type="withdrawal") == []
    let(bench, transfer_filters="with-start", precise_transfers="present")
    (row,) = bench.get(path, type="withdrawal", symbol="usd")
    assert row["preciseAmount"] == 480
    assert bench.get(path, type="withdrawal", startDate=0) == []


def test_balances_may_have_a_comma_from_now_on(bench):
    bench.place("buy", "0.001", "990000")
    let(bench, decimal_separator="comma")
    assert bench.balance("TRY")[1] == "991,188"


# --- market data ----------------------------------------------------------------------------------------------------


def test_public_trades_may_tell_the_makers_side(bench):
    bench.place("buy", "1000")
    assert bench.get("/api/v2/trades", pairSymbol="BTCTRY")[0]["side"] == "buy"
    let(bench, public_side="maker")
    assert bench.get("/api/v2/trades", pairSymbol="BTCTRY")[0]["side"] == "sell"


def test_where_there_are_no_candles_the_answer_may_be_ok(bench):
    query = {"symbol": "BTCTRY", "resolution": 60, "from": 1, "to": 2, "host": Host.GRAPH, "key": None}
    nothing = {name: [] for name in "tholcv"}
    assert bench.call("GET", "/v1/klines/history", **query)[1] == {"s": "no_data", **nothing}
    let(bench, empty_klines="ok")
    assert bench.call("GET", "/v1/klines/history", **query)[1] == {"s": "ok", **nothing}


def test_exchangeinfo_may_be_old(make_bench):
    bench = make_bench({"BTCTRY": [("1000000", "1100000", "1000000", "1100000", "1")] * 2})
    let(bench, exchangeinfo_age_ms=30_000)
    path = "/api/v2/server/exchangeinfo"
    first = bench.get(path)
    bench.wait(29_999)
    assert bench.get(path) == first
    bench.wait(1)
    later = bench.get(path)
    assert later["serverTime"] == first["serverTime"] + 30_000
    assert later["symbols"][0]["maximumLimitOrderPrice"] > first["symbols"][0]["maximumLimitOrderPrice"]


def test_ticker_rows_may_be_old(make_bench):
    bench = make_bench({"BTCTRY": [("1000000", "1100000", "1000000", "1100000", "1")] * 2})
    let(bench, ticker_age_ms=1_650)
    bench.wait(7_000)
    (first,) = bench.get("/api/v2/ticker", pairSymbol="BTCTRY")
    bench.wait(1_649)
    assert bench.get("/api/v2/ticker") == [first]
    bench.wait(30_000)
    (later,) = bench.get("/api/v2/ticker/currency", symbol="btc")
    assert (later["timestamp"], later["last"] != first["last"]) == (bench.now_ms, True)
