"""What lists show, when, and how much of it."""

from decimal import Decimal

from btcturk_sim.api import ApiOptions

RISE = [("1000000", "1010000", "1000000", "1010000", "0.8")] * 2
TRADES = "/api/v1/users/transactions/trade"


def test_trades_appear_later_than_they_happen(make_bench):
    bench = make_bench(transactions_lag_ms=150)
    order_id = bench.place("buy", "1000")
    bench.wait(149)
    assert bench.fills(order_id) == []
    assert bench.get(TRADES) == []
    bench.wait(1)
    assert len(bench.fills(order_id)) == 1
    assert len(bench.get(TRADES)) == 1


def test_settling_makes_trades_and_cancels_visible_at_once(make_bench):
    bench = make_bench(transactions_lag_ms=60_000, cancel_lag_ms=60_000)
    bought = bench.place("buy", "1000")
    resting = bench.place("buy", "0.01", "990000")
    bench.cancel(resting)
    assert (bench.fills(bought), bench.status(resting)) == ([], "Untouched")
    bench.control("POST", "/settle")
    assert (len(bench.fills(bought)), bench.status(resting)) == (1, "Canceled")


def test_at_most_200_trades_newest_first(make_bench):
    bench = make_bench(balances={"TRY": "10000000"})
    for _ in range(205):
        bench.place("buy", "100")
        bench.wait(1)
    rows = bench.get(TRADES)
    assert len(rows) == 200
    assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), reverse=True)
    assert rows[0]["timestamp"] == bench.now_ms - 1
    assert all(len(str(row["id"])) == 19 for row in rows)
    older = bench.get(TRADES, endDate=rows[-1]["timestamp"] - 1)
    assert len(older) == 5


def test_trade_filters(make_bench):
    bench = make_bench(balances={"TRY": "100000", "BTC": "1"})
    bench.place("buy", "1000")
    sold = bench.place("sell", "0.001")
    assert [row["orderType"] for row in bench.get(TRADES, type="sell")] == ["sell"]
    assert len(bench.get(TRADES, type=["buy", "sell"], symbol=["btc"], pairSymbol="BTCTRY")) == 2
    assert bench.get(TRADES, symbol="eth") == []
    assert bench.call("GET", TRADES, orderId=sold, pairSymbol="BTCTRY")[0] == 400
    assert bench.call("GET", TRADES, orderId="abc")[0] == 400


def test_precise_amount_is_a_json_number_with_16_decimals_written_exactly(bench):
    bench.place("buy", "777.77")
    body = bench.send(bench.request("GET", TRADES)).body.decode()
    literal = body.split('"preciseAmount":')[1].split(",")[0]
    assert len(literal.split(".")[1]) == 16
    (held,) = (row["free"] for row in bench.get("/api/v1/users/balances") if row["asset"] == "BTC")
    assert Decimal(literal) == Decimal(held) - 1


def test_open_orders_have_no_time_and_all_orders_do(bench):
    placed_ms = bench.now_ms
    sell, buy = bench.place("sell", "0.01", "1100000"), bench.place("buy", "0.01", "990000")
    bench.wait(1_000)
    payload = bench.get("/api/v1/openOrders", pairSymbol="BTC_TRY")
    assert [row["id"] for row in payload["asks"]] == [sell]
    assert [row["id"] for row in payload["bids"]] == [buy]
    assert (payload["bids"][0]["time"], payload["bids"][0]["updateTime"]) == (0, placed_ms)
    newest, oldest = bench.get("/api/v1/allOrders", pairSymbol="btctry")
    assert (newest["id"], oldest["id"], oldest["time"]) == (buy, sell, placed_ms)


def test_all_orders_takes_seconds_and_refuses_milliseconds(bench):
    order_id = bench.place("buy", "0.01", "990000")
    second = bench.now_ms // 1000
    query = {"pairSymbol": "BTCTRY"}
    assert [row["id"] for row in bench.get("/api/v1/allOrders", startTime=second, endTime=second, **query)] == [
        order_id
    ]
    assert bench.get("/api/v1/allOrders", startTime=second + 1, **query) == []
    status, payload = bench.call("GET", "/api/v1/allOrders", startTime=bench.now_ms, **query)
    assert (status, payload["message"]) == (400, "START_DATE_END_DATE_INVALID")
    assert bench.call("GET", "/api/v1/allOrders")[0] == 400


def test_all_orders_pages_and_starts_from_an_id(make_bench):
    bench = make_bench(balances={"TRY": "100000"})
    ids = [bench.place("buy", "0.001", "990000") for _ in range(5)]

    def page(**query):
        return [row["id"] for row in bench.get("/api/v1/allOrders", pairSymbol="BTCTRY", **query)]

    assert page(limit=2, page=1) == ids[:2:-1]
    assert page(limit=2, page=2) == ids[2:0:-1]
    assert page(limit=2, page=3) == ids[:1]
    assert page(limit=2, page=4) == []
    assert page(orderId=ids[3]) == ids[:2:-1]


def test_an_unknown_order_is_400_not_404(bench):
    status, payload = bench.call("GET", "/api/v1/order/17")
    assert (status, payload) == (400, {"success": False, "message": "NO_ORDER_MATCHES_YOUR_REQUEST", "code": 1052})


def test_a_partly_filled_order_shows_amount_minus_left(make_bench):
    bench = make_bench({"BTCTRY": [("1000000", "1000000", "999000", "1000000", "0.8")]}, {"TRY": "200000"})
    bench.place("buy", "0.1", "999000")
    bench.wait(50_000)
    (row,) = bench.get("/api/v1/openOrders")["bids"]
    assert (row["amount"], row["leftAmount"], row["status"]) == ("0.1", "0.0750000000000000", "Partial")
    assert bench.balance("TRY")[1] == "75014.91"  # 0.075 × 999,000 and the maker's 0.12 %


def test_a_market_buy_is_listed_in_base_currency(bench):
    order_id = bench.place("buy", "1000")
    row = bench.get(f"/api/v1/order/{order_id}")
    assert (row["status"], row["quantity"], row["leftAmount"]) == ("Closed", "0", "0.0000000000000000")
    assert Decimal(row["amount"]) == bench.fills(order_id)[0]["preciseAmount"]
    assert row["price"] == "1000500"


def test_deposits_and_withdrawals_stand_in_their_lists(bench):
    bench.control("POST", "/deposit", {"key": "ALICE", "asset": "TRY", "amount": "480"})
    bench.control("POST", "/withdraw", {"key": "ALICE", "asset": "BTC", "amount": "0.1", "fee": "0.0005"})
    (fiat,) = bench.get("/api/v1/users/transactions/fiat")
    (crypto,) = bench.get("/api/v1/users/transactions/crypto")
    assert (fiat["balanceType"], fiat["amount"], fiat["fee"]) == ("deposit", "480", "0")
    assert (crypto["balanceType"], crypto["amount"], crypto["fee"]) == ("withdrawal", "-0.1", "-0.0005")
    assert (bench.balance("TRY")[0], bench.balance("BTC")[0]) == ("100480", "0.8995")
    assert bench.get("/api/v1/users/transactions/fiat", type="withdrawal") == []
    status, payload = bench.control("POST", "/withdraw", {"key": "ALICE", "asset": "BTC", "amount": "5"})
    assert (status, payload) == (400, {"error": "only 0.8995 BTC is free"})


def test_balances_can_be_written_with_a_decimal_comma(make_bench):
    bench = make_bench(balances={"TRY": "1000.5"}, api=ApiOptions(decimal_comma=True))
    assert bench.balance("TRY") == ("1000,5", "0")


def test_ticker_and_candles_follow_the_bars(make_bench):
    bench = make_bench({"BTCTRY": RISE})
    bench.wait(59_000)
    (row,) = bench.get("/api/v2/ticker", pairSymbol="BTC_TRY")
    assert (row["open"], row["high"], row["low"], row["last"]) == (1000000, 1010000, 1000000, 1010000)
    assert (row["daily"], row["dailyPercent"]) == (10505, 1)  # ask less open, and last less open in percent
    assert row["volume"] == Decimal("0.8")
    assert row["bid"] < row["last"] < row["ask"]


def test_public_trades_are_at_most_50_newest_first(make_bench):
    bench = make_bench({"BTCTRY": RISE * 10})
    bench.wait(600_000)
    rows = bench.get("/api/v2/trades", pairSymbol="BTCTRY", last=500)
    assert len(rows) == 50
    assert [int(row["tid"]) for row in rows] == sorted((int(row["tid"]) for row in rows), reverse=True)
    assert len(bench.get("/api/v2/trades", pairSymbol="BTCTRY", last=3)) == 3


def test_the_book_has_100_levels_a_side_with_clients_among_them(bench):
    bench.place("buy", "0.01", "999600")
    book = bench.get("/api/v2/orderbook", pairSymbol="BTCTRY", limit=1000)
    assert (len(book["bids"]), len(book["asks"])) == (100, 100)
    assert book["bids"][0] == ["999600", "0.01000000"]
    assert (book["bids"][1][0], book["asks"][0][0]) == ("999500", "1000500")
    assert all(Decimal(p) * Decimal(q) >= 19_000 for p, q in book["bids"][1:])
    prices = [Decimal(price) for price, _ in book["bids"]]
    assert prices == sorted(prices, reverse=True)
    assert len(bench.get("/api/v2/orderbook", pairSymbol="BTCTRY", limit=5)["asks"]) == 5
