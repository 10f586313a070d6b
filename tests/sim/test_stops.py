"""Stop orders: where they wait, what sets them off, and what follows them."""

from decimal import Decimal

import pytest

from btcturk_sim.fees import FeeSchedule

RISE = [("1000000", "1010000", "1000000", "1010000", "0.8")] * 2
FALL = [("1000000", "1000000", "990000", "990000", "0.8")] * 2


def orders(bench):
    """The stop and what followed it, if anything did."""
    rows = bench.get("/api/v1/allOrders", pairSymbol="BTCTRY")[::-1]
    return rows[0], rows[1] if len(rows) > 1 else None


def hold(bench, price):
    assert bench.control("POST", "/market", {"symbol": "BTCTRY", "price": price})[0] == 200


@pytest.mark.parametrize(
    ("side", "bars", "stop", "limit", "price"),
    [("buy", RISE, "1005000", "1009000", 1005002), ("sell", FALL, "995000", "991000", 994997)],
)
def test_a_stop_limit_becomes_a_limit_order_that_trades_at_once_where_it_can(make_bench, side, bars, stop, limit,
                                                                              price):  # fmt: skip
    bench = make_bench({"BTCTRY": bars})
    bench.place(side, "0.01", limit, orderMethod="stoplimit", stopPrice=stop, newOrderClientId="s")
    bench.wait(60_000)
    older, newer = orders(bench)
    assert (older["method"], older["status"], older["leftAmount"]) == ("stoplimit", "Canceled", "0.0100000000000000")
    assert (newer["method"], newer["status"], newer["orderClientId"]) == ("limit", "Closed", "s")
    assert (newer["stopPrice"], newer["time"]) == (stop, older["updateTime"])
    assert newer["id"] > older["id"]
    assert bench.fills(older["id"]) == []
    assert abs(Decimal(bench.fills(newer["id"])[0]["price"]) - price) < 4_000


def test_a_stop_limit_rests_where_the_market_has_run_beyond_its_price(make_bench):
    bench = make_bench()
    bench.place("buy", "0.01", "1001000", orderMethod="stoplimit", stopPrice="1000600")
    hold(bench, "1020000")
    _, newer = orders(bench)
    assert (newer["status"], newer["price"]) == ("Untouched", "1001000")
    assert [row["id"] for row in bench.get("/api/v1/openOrders")["bids"]] == [newer["id"]]


def test_a_stop_market_sell_sells_what_it_said(make_bench):
    bench = make_bench({"BTCTRY": FALL})
    bench.place("sell", "0.01", orderMethod="stopmarket", stopPrice="995000")
    assert bench.balance("BTC") == ("0.99", "0.01")
    bench.wait(60_000)
    older, newer = orders(bench)
    assert (older["status"], newer["method"], newer["status"]) == ("Canceled", "market", "Closed")
    assert bench.balance("BTC") == ("0.99", "0")
    assert sum(fill["preciseAmount"] for fill in bench.fills(newer["id"])) == Decimal("-0.01")


def test_a_stop_market_buy_counts_quote_currency_commission_included(make_bench):
    """A recorded one shows 0.1997491904775655 ETH at 1,800.1: that is 360 USDT less 0.12 %, to the last digit."""
    bench = make_bench({"ETHUSDT": [("1790.0", "1810.0", "1790.0", "1810.0", "80")] * 2}, {"USDT": "1000"},
                       fees={"USDT": FeeSchedule.published("0.12", "0.12")})  # fmt: skip
    stop = bench.place("buy", "360", symbol="ETHUSDT", orderMethod="stopmarket", stopPrice="1800.1")
    assert bench.balance("USDT") == ("640", "360")
    row = bench.get(f"/api/v1/order/{stop}")
    assert (row["price"], row["amount"], row["leftAmount"]) == ("1800.1", "0.1997491904775655", "0.1997491904775655")
    bench.wait(60_000)
    spent = Decimal(1_000) - Decimal(bench.balance("USDT")[0])
    assert 0 <= 360 - spent < Decimal("0.00000003")
    assert bench.balance("USDT")[1] == "0"


def test_or_it_counts_base_currency_and_spends_what_that_costs_at_the_stop_price(make_bench):
    bench = make_bench({"BTCTRY": RISE}, stop_market_buy="base")
    stop = bench.place("buy", "0.01", orderMethod="stopmarket", stopPrice="1005000")
    assert bench.balance("TRY")[1] == "10074.12"  # 10,050 and the taker's 0.24 %
    row = bench.get(f"/api/v1/order/{stop}")
    assert (row["amount"], row["leftAmount"]) == ("0.01", "0.0100000000000000")
    bench.wait(60_000)
    older, newer = orders(bench)
    assert (older["status"], newer["status"], newer["method"]) == ("Canceled", "Closed", "market")
    bought = sum(fill["preciseAmount"] for fill in bench.fills(newer["id"]))
    assert Decimal("0.0099") < bought < Decimal("0.0101")
    status, payload = bench.order("buy", "0.00009", orderMethod="stopmarket", stopPrice="1100000")
    assert (status, payload["message"]) == (400, "FAILED_MIN_TOTAL_AMOUNT")
    assert bench.order("buy", "0.000000001", orderMethod="stopmarket", stopPrice="1100000")[1]["code"] == 1127


@pytest.mark.parametrize(
    ("side", "stop", "message", "code"),
    [
        ("buy", "999000", "FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK", 1124),
        ("buy", "1000000", "FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK", 1124),
        ("sell", "1001000", "FAILED_STOP_PRICE_LESS_THAN_BEST_BID", 1125),
        ("sell", "1000000", "FAILED_STOP_PRICE_LESS_THAN_BEST_BID", 1125),
        ("sell", "999000.0", "FAILED_INVALID_STOP_PRICE_SCALE", 1128),
        ("sell", "0", "FAILED_ORDER_PARAMETER", 1121),
        ("sell", None, "FAILED_ORDER_PARAMETER", 1121),
    ],
)
def test_stop_prices_lie_on_the_far_side_and_carry_no_needless_decimals(bench, side, stop, message, code):
    _, payload = bench.order(side, "0.01", "1000000", orderMethod="stoplimit", stopPrice=stop)
    assert (payload["message"], payload["code"]) == (message, code)


def test_a_stop_price_written_as_a_number_with_a_zero_behind_the_dot_is_refused_too(bench):
    body = (b'{"pairSymbol":"BTCTRY","orderType":"sell","orderMethod":"stoplimit","quantity":0.01,"price":900000,'
            b'"stopPrice":900000.0}')  # fmt: skip
    assert bench.call("POST", "/api/v1/order", body)[1]["code"] == 1128
    assert bench.call("POST", "/api/v1/order", body.replace(b"000.0}", b"000}"))[0] == 200


def test_stops_may_look_at_the_book_instead_of_the_price(make_bench):
    """The best ask stands at 1,000,500 while the price is 1,000,000: between them lies the difference."""
    by_price, by_book = make_bench(), make_bench(stop_reference="book")
    for bench, status in ((by_price, 200), (by_book, 400)):
        assert bench.order("buy", "0.01", "1010000", orderMethod="stoplimit", stopPrice="1000300")[0] == status
    for bench, follows in ((by_price, False), (by_book, True)):
        bench.place("buy", "0.01", "1020000", orderMethod="stoplimit", stopPrice="1004000", newOrderClientId="x")
        hold(bench, "1003900")
        rows = [row for row in bench.get("/api/v1/allOrders", pairSymbol="BTCTRY") if row["orderClientId"] == "x"]
        assert (len(rows) == 2) is follows


def test_a_waiting_stop_can_be_cancelled_and_gives_its_funds_back(bench):
    stop = bench.place("sell", "0.25", orderMethod="stopmarket", stopPrice="900000")
    assert bench.balance("BTC") == ("0.75", "0.25")
    assert bench.cancel(stop)[0] == 200
    bench.wait(1)
    assert (bench.status(stop), bench.balance("BTC")) == ("Canceled", ("1", "0"))
    hold(bench, "800000")
    assert len(bench.get("/api/v1/allOrders", pairSymbol="BTCTRY")) == 1


def test_stops_may_lock_nothing_before_they_go_off(make_bench):
    bench = make_bench(stop_funds="free")
    bench.place("buy", "0.05", "1010000", orderMethod="stoplimit", stopPrice="1005000")
    bench.place("sell", "0.5", orderMethod="stopmarket", stopPrice="900000")
    assert (bench.balance("TRY")[1], bench.balance("BTC")[1]) == ("0", "0")
    hold(bench, "1005000")
    assert bench.balance("BTC") == ("1.05", "0")
    hold(bench, "890000")
    assert bench.balance("BTC") == ("0.55", "0")


def test_and_end_without_a_successor_when_the_money_is_gone_by_then(make_bench):
    bench = make_bench(stop_funds="free")
    stop = bench.place("buy", "0.05", "1010000", orderMethod="stoplimit", stopPrice="1005000")
    bench.place("buy", "0.06", "900000")
    hold(bench, "1005000")
    assert bench.status(stop) == "Canceled"
    assert len(bench.get("/api/v1/allOrders", pairSymbol="BTCTRY")) == 2


@pytest.mark.parametrize(("left", "follows"), [("1002.39", False), ("1002.4", True)])
def test_commission_must_be_there_too_when_a_stop_market_buy_goes_off(make_bench, left, follows):
    bench = make_bench(balances={"TRY": "2000"}, stop_funds="free")
    bench.place("buy", "1002.4", orderMethod="stopmarket", stopPrice="1005000")
    gone = format(Decimal(2000) - Decimal(left), "f")
    assert bench.control("POST", "/withdraw", {"key": "ALICE", "asset": "TRY", "amount": gone})[0] == 200
    hold(bench, "1005000")
    assert (len(bench.get("/api/v1/allOrders", pairSymbol="BTCTRY")) == 2) is follows
