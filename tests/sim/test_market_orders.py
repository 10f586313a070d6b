"""Market orders within 5 % of the best price, what is left of them, and an account that meets itself.

The book of these examples is one synthetic level a side at 999,500 and 1,000,500, too thin for what is asked of it,
and what BOB has put behind it.
"""

from decimal import Decimal

import pytest

from btcturk_sim.book import BookOptions

THIN = BookOptions(depth_try=Decimal(1_000), levels=1)
ASK, BID = Decimal(1_000_500), Decimal(999_500)


@pytest.fixture
def make_thin(make_bench):
    def make(**engine):
        return make_bench(
            balances={"TRY": "1000000", "BTC": "2"},
            others={"BOB": {"TRY": "1000000", "BTC": "2"}},
            book=THIN,
            **engine,
        )

    return make


def level(bench, side):
    """What the one synthetic level of a side holds."""
    return Decimal(bench.get("/api/v2/orderbook", pairSymbol="BTCTRY")[side][0][1])


def test_a_buy_takes_up_to_5_percent_above_the_best_ask_and_its_rest_is_cancelled(make_thin):
    bench = make_thin()
    there = level(bench, "asks")
    bench.place("sell", "0.01", str(int(ASK * Decimal("1.05"))), key="BOB")  # 1,050,525: just within
    beyond = bench.place("sell", "0.01", str(int(ASK * Decimal("1.05")) + 1), key="BOB")
    order_id = bench.place("buy", "50000")
    fills = bench.fills(order_id)
    assert {Decimal(fill["price"]) for fill in fills} == {ASK, ASK * Decimal("1.05")}
    assert sum(fill["preciseAmount"] for fill in fills) == there + Decimal("0.01")
    row = bench.get(f"/api/v1/order/{order_id}")
    assert row["status"] == "Canceled"
    assert Decimal(row["leftAmount"]) > 0
    assert bench.status(beyond, "BOB") == "Untouched"
    assert bench.balance("TRY")[1] == "0"


def test_a_sell_takes_down_to_5_percent_below_the_best_bid_and_its_rest_is_cancelled(make_thin):
    bench = make_thin()
    there = level(bench, "bids")
    bench.place("buy", "0.01", "949525", key="BOB")  # 999,500 less 5 %: just within
    beyond = bench.place("buy", "0.01", "949524", key="BOB")
    order_id = bench.place("sell", "1")
    fills = bench.fills(order_id)
    assert {Decimal(fill["price"]) for fill in fills} == {BID, Decimal(949_525)}
    row = bench.get(f"/api/v1/order/{order_id}")
    assert (row["status"], Decimal(row["leftAmount"])) == ("Canceled", Decimal("0.99") - there)
    assert bench.status(beyond, "BOB") == "Untouched"
    assert bench.balance("BTC") == (format(Decimal("1.99") - there, "f"), "0")


def test_the_collar_is_measured_from_the_best_price_at_submission_not_from_the_first_fill(make_thin):
    """BOB asks less than the rest of the world: 5 % above his price is where it ends."""
    bench = make_thin()
    bench.place("sell", "0.01", "1000000", key="BOB")
    beyond = bench.place("sell", "0.01", "1050001", key="BOB")
    bench.place("buy", "50000")
    assert bench.status(beyond, "BOB") == "Untouched"


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_the_rest_may_count_as_filled(make_thin, side):
    """Closed with nothing left, and `quantity` tells what was not filled: as a recorded market order shows it."""
    bench = make_thin(market_remainder="closed")
    order_id = bench.place(side, "50000" if side == "buy" else "1")
    row = bench.get(f"/api/v1/order/{order_id}")
    traded = sum(abs(fill["preciseAmount"]) for fill in bench.fills(order_id))
    assert (row["status"], Decimal(row["leftAmount"])) == ("Closed", 0)
    assert Decimal(row["quantity"]) == Decimal(row["amount"]) - traded > 0
    assert (bench.balance("TRY")[1], bench.balance("BTC")[1]) == ("0", "0")


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_or_an_order_too_big_for_the_collar_is_refused_whole(make_thin, side):
    bench = make_thin(market_remainder="refused")
    status, payload = bench.order(side, "50000" if side == "buy" else "1")
    assert (status, payload["message"], payload["code"]) == (400, "FAILED_MARKET_ORDER", 1118)
    assert bench.get("/api/v1/allOrders", pairSymbol="BTCTRY") == []
    small = bench.place(side, "500" if side == "buy" else "0.0005")
    assert bench.status(small) == "Closed"


@pytest.mark.parametrize("remainder", ["canceled", "closed", "refused"])
def test_a_market_order_that_finds_room_is_filled_whatever_becomes_of_others(make_thin, remainder):
    bench = make_thin(market_remainder=remainder)
    order_id = bench.place("sell", "0.0005")
    row = bench.get(f"/api/v1/order/{order_id}")
    assert (row["status"], row["quantity"], Decimal(row["leftAmount"])) == ("Closed", "0", 0)


# --- an account meets itself ----------------------------------------------------------------------------------------


def test_an_account_may_trade_with_itself(make_thin):
    bench = make_thin()
    mine = bench.place("sell", "0.01", "1000000")
    order_id = bench.place("buy", "0.01", "1000000")
    assert [bench.status(one) for one in (mine, order_id)] == ["Closed", "Closed"]
    assert bench.balance("BTC") == ("2", "0")
    assert bench.balance("TRY")[0] == "999964"  # twice commission: 12 as maker, 24 as taker


def test_or_the_incoming_order_is_cancelled(make_thin):
    bench = make_thin(self_trades="cancel-incoming")
    other = bench.place("sell", "0.01", "999900", key="BOB")
    mine = bench.place("sell", "0.01", "1000000")
    order_id = bench.place("buy", "0.03", "1000000")
    assert [bench.status(mine), bench.status(order_id), bench.status(other, "BOB")] == [
        "Untouched", "Canceled", "Closed"]  # fmt: skip
    assert bench.get(f"/api/v1/order/{order_id}")["leftAmount"] == "0.0200000000000000"
    assert bench.balance("TRY")[1] == "0"


def test_or_the_resting_order_is_cancelled_and_matching_goes_on(make_thin):
    bench = make_thin(self_trades="cancel-resting")
    mine = bench.place("sell", "0.01", "999900")
    bench.place("sell", "0.01", "1000000", key="BOB")
    order_id = bench.place("buy", "0.01", "1000000")
    assert [bench.status(one) for one in (mine, order_id)] == ["Canceled", "Closed"]
    assert [fill["price"] for fill in bench.fills(order_id)] == ["1000000"]
    assert bench.balance("BTC") == ("2.01", "0")
