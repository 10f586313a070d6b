"""Trades that the exchange takes back: money, orders and lists are then as if they had never been."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btcturk_sim.events import OrderMatched, TradeBusted

TRADES = "/api/v1/users/transactions/trade"
DIP = [("1000000", "1000000", "999000", "1000000", "0.8")] * 2


def bust(bench, trade_id):
    return bench.control("POST", "/bust", {"id": trade_id})


def row_of(bench, order_id, key="ALICE"):
    row = bench.get(f"/api/v1/order/{order_id}", key=key)
    return row["status"], row["amount"], row["leftAmount"].rstrip("0").rstrip(".")


def test_a_bought_coin_is_given_back_with_its_commission(bench):
    order_id = bench.place("buy", "0.01", "1001000")
    assert (bench.balance("TRY")[0], bench.balance("BTC")[0]) == ("89970.988", "1.01")
    (trade,) = bench.fills(order_id)
    status, payload = bust(bench, trade["id"])
    assert (status, [one["id"] for one in payload["taken_back"]]) == (200, [trade["id"]])
    assert (bench.balance("TRY"), bench.balance("BTC")) == (("100000", "0"), ("1", "0"))
    assert row_of(bench, order_id) == ("Canceled", "0.01", "0.01")
    assert bench.get(TRADES) == bench.fills(order_id) == []
    assert bench.get("/api/v2/trades", pairSymbol="BTCTRY") == []
    assert bench.control("GET", "/state")[1]["totals"]["TRY"]["fees"] == "0"


def test_both_sides_lose_a_trade_that_two_clients_made_with_each_other(make_bench):
    bench = make_bench(others={"BOB": {"TRY": "100000"}})
    resting = bench.place("buy", "0.02", "1000000", key="BOB")
    sold = bench.place("sell", "0.01", "999900")
    assert (row_of(bench, resting, "BOB"), row_of(bench, sold)) == (
        ("Partial", "0.02", "0.01"), ("Closed", "0.01", "0"))  # fmt: skip
    (sale,), (purchase,) = bench.fills(sold), bench.fills(resting, "BOB")
    _, payload = bust(bench, sale["id"])
    assert {one["id"] for one in payload["taken_back"]} == {sale["id"], purchase["id"]}
    assert (bench.balance("TRY"), bench.balance("BTC")) == (("100000", "0"), ("1", "0"))
    assert bench.fills(sold) == bench.fills(resting, "BOB") == []
    # Whose order still stands in the book has the quantity to trade again, and its money locked for it.
    assert row_of(bench, resting, "BOB") == ("Untouched", "0.02", "0.02")
    assert row_of(bench, sold) == ("Canceled", "0.01", "0.01")
    assert bench.balance("TRY", "BOB") == ("79976", "20024")


def test_an_order_that_is_still_open_goes_on_with_what_is_left(make_bench):
    bench = make_bench({"BTCTRY": DIP}, {"TRY": "200000"})
    order_id = bench.place("buy", "0.1", "999000")
    before = bench.balance("TRY")
    bench.wait(50_000)
    assert row_of(bench, order_id) == ("Partial", "0.1", "0.075")
    (trade,) = bench.fills(order_id)
    bust(bench, trade["id"])
    assert row_of(bench, order_id) == ("Untouched", "0.1", "0.1")
    assert (bench.balance("TRY"), bench.balance("BTC")) == (before, ("0", "0"))
    bench.wait(60_000)
    assert row_of(bench, order_id) == ("Partial", "0.1", "0.075")
    assert bench.cancel(order_id)[0] == 200
    bench.wait(1)
    assert bench.balance("TRY")[1] == "0"


def test_of_several_trades_only_the_one_is_taken_back(make_bench):
    bench = make_bench(balances={"TRY": "1000000"})
    order_id = bench.place("buy", "100000")
    trades = bench.fills(order_id)
    assert len(trades) > 2
    bust(bench, trades[1]["id"])
    assert [one["id"] for one in bench.fills(order_id)] == [one["id"] for one in trades if one is not trades[1]]
    status, _, left = row_of(bench, order_id)
    assert (status, left) == ("Canceled", str(trades[1]["preciseAmount"]).rstrip("0"))


def test_what_was_spent_since_cannot_be_given_back(make_bench):
    bench = make_bench(balances={"TRY": "20000"})
    bought = bench.place("buy", "0.01", "1001000")
    (trade,) = bench.fills(bought)
    resting = bench.place("sell", "0.01", "1200000")
    before = (bench.balance("TRY"), bench.balance("BTC"), row_of(bench, bought))
    assert bust(bench, trade["id"]) == (
        400, {"error": "ALICE lacks 0.01 BTC to give back: it is locked or spent"})  # fmt: skip
    assert (bench.balance("TRY"), bench.balance("BTC"), row_of(bench, bought)) == before
    bench.cancel(resting)
    assert bust(bench, trade["id"])[0] == 200


def test_money_that_never_came_is_not_waited_for(make_bench):
    """Money from a fill is unusable for a while; money from a fill that was taken back is not missed."""
    bench = make_bench(just_filled_ms=60_000)
    (trade,) = bench.fills(bench.place("buy", "0.01", "1001000"))
    assert bench.order("sell", "1.01", "1200000")[1]["message"] == "FAILED_ORDER_WITH_OPEN_ORDERS"
    bust(bench, trade["id"])
    assert bench.order("sell", "1", "1200000")[0] == 200


def test_a_trade_is_taken_back_once(bench):
    (trade,) = bench.fills(bench.place("buy", "0.01", "1001000"))
    assert bust(bench, trade["id"])[0] == 200
    status, payload = bust(bench, trade["id"])
    assert (status, payload["error"].startswith(f"no trade {trade['id']};")) == (400, True)
    assert bust(bench, "one")[0] == 400


def test_listeners_are_told_of_each_side(make_bench):
    bench = make_bench(others={"BOB": {"TRY": "100000"}})
    heard = []
    bench.engine.listeners.append(heard.append)
    bench.place("buy", "0.01", "1000000", key="BOB")
    bench.place("sell", "0.01", "1000000")
    made = {event.fill for event in heard if isinstance(event, OrderMatched)}
    bench.simulator.operations.bust(next(iter(made)).id, bench.now_ms)
    busted = [event for event in heard if isinstance(event, TradeBusted)]
    assert {event.fill for event in busted} == made
    assert {event.account.key for event in busted} == {"ALICE", "BOB"}
    assert all(event.order.filled == 0 for event in busted)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["limit", "limit", "market", "bust", "bust", "cancel", "wait"]),
        st.sampled_from(["ALICE", "BOB"]),
        st.sampled_from(["buy", "sell"]),
        st.integers(-9, 9),
        st.integers(1, 40),
    ),
    min_size=8,
    max_size=40,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_is_taken_back_the_books_add_up(make_bench, steps):
    held = {"TRY": "200000", "BTC": "0.2"}
    bench = make_bench({"BTCTRY": DIP * 3}, held, {"BOB": held}, cancel_lag_ms=3_000)
    placed = []
    for action, key, side, number, size in steps:
        if action == "limit":
            status, payload = bench.order(side, f"0.{size:03}", str(1_000_000 + number * 100), key=key)
            placed += [(key, payload["data"]["id"])] if status == 200 else []
        elif action == "market":
            bench.order(side, f"{size}00" if side == "buy" else f"0.{size:03}", key=key)
        elif action == "cancel" and placed:
            owner, order_id = placed[number % len(placed)]
            bench.cancel(order_id, key=owner)
        elif action == "wait":
            bench.wait(size * 500)
        else:
            fills = list(bench.engine.books.accounts[key].fills)
            if fills:
                assert bust(bench, fills[number % len(fills)].id)[0] in (200, 400)
        bench.engine.audit()
    for account in bench.engine.books.accounts.values():
        for order in account.orders.values():
            assert order.filled == sum(fill.quantity for fill in account.fills_by_order.get(order.id, []))
