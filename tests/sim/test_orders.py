"""What an order does to funds, what it meets in the book, and why it is refused."""

from decimal import Decimal

import pytest

FALL = [("1000000", "1000000", "990000", "990000", "0.8")] * 2
RISE = [("1000000", "1010000", "1000000", "1010000", "0.8")] * 2


def test_limit_buy_locks_the_taker_rate_at_submission_and_the_maker_rate_while_it_rests(make_bench):
    """0.05 BTC at 999,000 is 49,950 TRY: 119.88 more would be needed as taker, 59.94 are locked as maker."""
    bench = make_bench(balances={"TRY": "50069.88"})
    bench.place("buy", "0.05", "999000")
    assert bench.balance("TRY") == ("59.94", "50009.94")

    short = make_bench(balances={"TRY": "50069.87"})
    assert short.order("buy", "0.05", "999000") == (
        400,
        {"httpStatusCode": 400, "data": None, "success": False, "message": "BALANCE_NOT_ENOUGH", "code": 1055},
    )


def test_funds_locked_by_another_order_are_1122_not_1055(bench):
    bench.place("buy", "0.05", "999000")
    _, payload = bench.order("buy", "0.06", "999000")
    assert (payload["message"], payload["code"]) == ("FAILED_ORDER_WITH_OPEN_ORDERS", 1122)


def test_limit_sell_locks_its_base_quantity_only(bench):
    bench.place("sell", "0.25", "1100000")
    assert bench.balance("BTC") == ("0.75", "0.25")
    assert bench.balance("TRY") == ("100000", "0")


def test_crossing_limit_buy_takes_the_better_price_as_taker(bench):
    """The best ask stands 5 bps above the price of 1,000,000; the order was willing to pay more."""
    order_id = bench.place("buy", "0.01", "1005000")
    (fill,) = bench.fills(order_id)
    assert fill["price"] == "1000500"
    assert (fill["fee"], fill["tax"]) == ("-20.01000000", "-4.00200000")
    assert bench.status(order_id) == "Closed"
    assert bench.balance("TRY") == ("89970.988", "0")  # 100,000 − 10,005 − 24.012
    assert bench.balance("BTC") == ("1.01", "0")


def test_the_answer_to_an_accepted_order_echoes_the_request_and_tells_nothing_of_fills(bench):
    status, payload = bench.order("buy", "0.0100", "1005000", newOrderClientId="Sat")
    data = payload.pop("data")
    assert (status, payload) == (200, {"httpStatusCode": 200, "success": True, "message": "SUCCESS", "code": 0})
    assert data.pop("id") > 10**10
    assert data == {
        "quantity": "0.0100", "price": "1005000", "stopPrice": None, "newOrderClientId": "Sat", "type": "buy",
        "method": "limit", "pairSymbol": "BTCTRY", "pairSymbolNormalized": "BTC_TRY", "datetime": bench.now_ms,
    }  # fmt: skip


def test_market_buy_spends_quote_currency_commission_included(bench):
    order_id = bench.place("buy", "1000")
    (fill,) = bench.fills(order_id)
    spent = Decimal(100_000) - Decimal(bench.balance("TRY")[0])
    assert Decimal("999.99999") < spent <= 1000
    gross = fill["preciseAmount"] * Decimal(fill["price"])
    assert spent == gross - Decimal(fill["fee"]) - Decimal(fill["tax"])
    # More digits than the pair's eight, and the short amount cuts them off.
    assert -fill["preciseAmount"].normalize().as_tuple().exponent > 8
    assert fill["amount"] == str(fill["preciseAmount"])[: len(fill["amount"])]


def test_market_orders_stop_at_5_percent_from_the_best_price(make_bench):
    """A hundred levels reach about 2 %; with two clients far out, only the one inside the collar is taken."""
    bench = make_bench(
        balances={"TRY": "100000000"}, others={"BOB": {"BTC": "5"}, "CAROL": {"BTC": "5"}},
    )  # fmt: skip
    near = bench.place("sell", "1", "1049000", key="BOB")
    far = bench.place("sell", "1", "1060000", key="CAROL")
    order_id = bench.place("buy", "90000000")
    assert bench.status(near, "BOB") == "Closed"
    assert bench.status(far, "CAROL") == "Untouched"
    assert bench.status(order_id) == "Canceled"
    assert max(Decimal(fill["price"]) for fill in bench.fills(order_id)) == 1049000
    assert bench.balance("TRY")[1] == "0"


def test_two_accounts_trade_with_each_other_in_price_then_time_priority(make_bench):
    bench = make_bench(others={"BOB": {"BTC": "1"}, "CAROL": {"BTC": "1"}})
    late = bench.place("sell", "0.002", "1000200", key="BOB")
    first = bench.place("sell", "0.002", "1000100", key="CAROL")
    second = bench.place("sell", "0.002", "1000100", key="BOB")
    bench.place("buy", "0.003", "1000200")
    assert [bench.status(first, "CAROL"), bench.status(second, "BOB"), bench.status(late, "BOB")] == [
        "Closed", "Partial", "Untouched"]  # fmt: skip
    taker = bench.place("buy", "0.002", "1000200")
    assert [bench.status(second, "BOB"), bench.status(late, "BOB")] == ["Closed", "Partial"]
    assert [fill["price"] for fill in reversed(bench.fills(taker))] == ["1000100", "1000200"]
    (maker_fill,) = bench.fills(first, "CAROL")
    assert maker_fill["fee"] == "-2.00020000"  # 0.1 % of 2,000.20: the maker's rate
    assert maker_fill["orderType"] == "sell"
    assert maker_fill["amount"] == "-0.00200000"


def test_market_buy_leaves_no_fraction_on_another_clients_order(make_bench):
    bench = make_bench(others={"BOB": {"BTC": "1"}})
    resting = bench.place("sell", "0.5", "1000100", key="BOB")
    bench.place("buy", "777.77")
    left = Decimal(bench.get(f"/api/v1/order/{resting}", key="BOB")["leftAmount"])
    assert left < Decimal("0.5")
    assert -left.normalize().as_tuple().exponent <= 8


def test_resting_buy_fills_in_parts_as_the_market_trades_through_it(make_bench):
    """Each eighth of the falling bar trades 0.1 BTC; the order wants 0.15 and pays the maker's rate."""
    bench = make_bench({"BTCTRY": FALL}, {"TRY": "200000"})
    order_id = bench.place("buy", "0.15", "993400")
    statuses = []
    for _ in range(8):
        bench.wait(7_500)
        statuses.append(bench.status(order_id))
    assert statuses[0] == "Untouched"
    assert "Partial" in statuses
    assert statuses[-1] == "Closed"
    fills = bench.fills(order_id)
    assert {fill["price"] for fill in fills} == {"993400"}
    assert sum(fill["preciseAmount"] for fill in fills) == Decimal("0.15")
    gross = Decimal("0.15") * 993400
    assert -sum(Decimal(fill["fee"]) + Decimal(fill["tax"]) for fill in fills) == gross * Decimal("0.0012")


def test_resting_sell_fills_when_the_market_rises_through_it(make_bench):
    bench = make_bench({"BTCTRY": RISE})
    order_id = bench.place("sell", "0.01", "1008000")
    bench.wait(60_000)
    assert bench.status(order_id) == "Closed"
    (fill,) = bench.fills(order_id)
    assert bench.balance("TRY")[0] == "110067.904"  # 100,000 + 10,080 − 0.12 %
    assert fill["preciseAmount"] == Decimal("-0.01")


def test_a_price_only_touched_fills_a_quarter_of_the_flow(make_bench):
    bench = make_bench({"BTCTRY": [("1000000", "1000000", "999000", "1000000", "0.8")]}, {"TRY": "200000"})
    order_id = bench.place("buy", "0.1", "999000")
    bench.wait(50_000)
    assert sum(fill["preciseAmount"] for fill in bench.fills(order_id)) == Decimal("0.025")


@pytest.mark.parametrize(
    ("side", "quantity", "price", "message", "code"),
    [
        ("buy", "0.001", "1000000.5", "FAILED_INVALID_PRICE_SCALE", 1126),
        ("buy", "0.001000001", "1000000", "FAILED_INVALID_QUANTITY_SCALE", 1127),
        ("buy", "0.00009", "1000000", "FAILED_MIN_TOTAL_AMOUNT", 1123),
        ("buy", "0.001", "10000001", "PRICE_MUST_BE_LESS_THAN_MAXPRICE", 1226),
        ("sell", "0.01", "99999", "PRICE_MUST_BE_LESS_THAN_MINPRICE", 1227),
        ("buy", "0", "1000000", "FAILED_ORDER_PARAMETER", 1121),
        ("buy", "1e-3", "1000000", "FAILED_ORDER_PARAMETER", 1121),
        ("buy", "-1", "1000000", "FAILED_ORDER_PARAMETER", 1121),
        ("hold", "0.001", "1000000", "FAILED_ORDER_PARAMETER", 1121),
        ("buy", "99.90", None, "FAILED_MIN_TOTAL_AMOUNT", 1123),
        ("sell", "0.00009", None, "FAILED_MIN_TOTAL_AMOUNT", 1123),
        ("sell", "1.5", None, "BALANCE_NOT_ENOUGH", 1055),
    ],
)
def test_refusals(bench, side, quantity, price, message, code):
    status, payload = bench.order(side, quantity, price)
    assert (status, payload["message"], payload["code"]) == (400, message, code)
    assert bench.get("/api/v1/openOrders") == {"asks": [], "bids": []}


def test_the_smallest_order_is_worth_exactly_the_minimum(bench):
    bench.place("buy", "99.91")
    bench.place("buy", "0.00009991", "1000000")


def test_trailing_zeros_are_no_decimals(bench):
    bench.place("buy", "0.00100000000", "1000000.00")


def test_a_price_is_checked_for_scale_even_on_a_market_order(bench):
    _, payload = bench.order("buy", "1000", price="0.5", orderMethod="market")
    assert payload["message"] == "FAILED_INVALID_PRICE_SCALE"
    bench.place("buy", "1000", price="0", orderMethod="market")


def test_numbers_may_be_strings_or_json_numbers_and_words_in_any_case(bench):
    body = b'{"pairSymbol":"btc_try","orderType":"Buy","orderMethod":"LIMIT","quantity":0.0010,"price":990000}'
    status, payload = bench.call("POST", "/api/v1/order", body)
    assert status == 200
    assert (payload["data"]["quantity"], payload["data"]["pairSymbol"]) == ("0.0010", "BTCTRY")
    enums = b'{"pairSymbol":"BTCTRY","orderType":1,"orderMethod":0,"quantity":"0.001","price":"1100000"}'
    status, payload = bench.call("POST", "/api/v1/order", enums)
    assert (status, payload["data"]["type"], payload["data"]["method"]) == (200, "sell", "limit")


def test_client_ids_are_echoed_repeatable_and_replaced_by_a_guid_when_absent(bench):
    ids = [bench.place("buy", "0.001", "990000", newOrderClientId="test") for _ in range(2)]
    misspelt = bench.place("buy", "0.001", "990000", newClientOrderId="lost")
    rows = {row["id"]: row["orderClientId"] for row in bench.get("/api/v1/openOrders")["bids"]}
    assert [rows[one] for one in ids] == ["test", "test"]
    assert len(rows[misspelt]) == 36
    assert rows[misspelt].count("-") == 4
    assert bench.order("buy", "0.001", "990000", newOrderClientId="x" * 51)[1]["code"] == 1121
    bench.place("buy", "0.001", "990000", newOrderClientId="x" * 50)


def test_client_ids_can_be_made_unique(make_bench):
    bench = make_bench(unique_client_ids=True)
    bench.place("buy", "0.001", "990000", newOrderClientId="one")
    assert bench.order("buy", "0.001", "990000", newOrderClientId="one")[0] == 400


def test_money_from_a_fill_cannot_be_spent_for_a_moment(make_bench):
    bench = make_bench(balances={"BTC": "1"}, just_filled_ms=150)
    bench.place("sell", "0.01")
    bench.wait(149)
    assert bench.order("buy", "0.001", "990000")[1]["code"] == 1122
    bench.wait(1)
    assert bench.order("buy", "0.001", "990000")[0] == 200


def test_some_pairs_take_no_market_orders(make_bench):
    bench = make_bench({"BTCTRY": RISE}, limit_only=True)
    assert bench.get("/api/v2/server/exchangeinfo")["symbols"][0]["orderMethods"] == ["LIMIT", "STOP_LIMIT"]
    assert bench.order("buy", "1000")[1]["code"] == 1134
    bench.place("buy", "0.01", "990000")


def test_a_triggered_stop_ends_canceled_and_goes_on_under_a_new_id(make_bench):
    bench = make_bench({"BTCTRY": RISE})
    stop = bench.place("buy", "0.01", "1009000", orderMethod="stoplimit", stopPrice="1005000", newOrderClientId="s")
    assert bench.get("/api/v1/openOrders")["bids"][0]["method"] == "stoplimit"
    bench.wait(60_000)
    newer, older = bench.get("/api/v1/allOrders", pairSymbol="BTCTRY")
    assert (older["id"], older["status"], older["leftAmount"]) == (stop, "Canceled", "0.0100000000000000")
    assert (newer["method"], newer["status"], newer["orderClientId"]) == ("limit", "Closed", "s")
    assert (newer["stopPrice"], newer["time"]) == ("1005000", older["updateTime"])


@pytest.mark.parametrize(
    ("side", "stop", "code"), [("buy", "999000", 1124), ("sell", "1001000", 1125), ("sell", "999000.0", 1128)]
)
def test_stop_prices_lie_on_the_far_side_and_carry_no_needless_decimals(bench, side, stop, code):
    _, payload = bench.order(side, "0.01", stop.split(".")[0], orderMethod="stoplimit", stopPrice=stop)
    assert payload["code"] == code
