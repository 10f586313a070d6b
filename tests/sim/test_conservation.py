"""Money can neither appear nor vanish, whatever clients, market and people do."""

from collections import Counter
from decimal import Decimal
from functools import partial
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btcturk_sim.assumptions import QUESTIONS
from btcturk_sim.errors import ConservationError
from btcturk_sim.fees import TRY_LEVEL_1

SIDES = st.sampled_from(["buy", "sell"])
KEYS = st.sampled_from(["ALICE", "BOB"])
PAIRS = st.sampled_from(["BTCTRY", "ADATRY"])
PRICE_BPS = st.integers(-120, 120)

#: Every answer to what is not known of orders: it may change while they rest.
ANSWERS = [(name, answer)
           for name in ("self-trades", "market-remainder", "stop-market-buy", "stop-reference", "stop-funds")
           for answer in QUESTIONS[name].answers]  # fmt: skip

ACTIONS = st.one_of(
    st.tuples(st.just("assume"), st.sampled_from(ANSWERS)),
    st.tuples(st.just("limit"), KEYS, PAIRS, SIDES, PRICE_BPS, st.integers(110, 40_000)),
    st.tuples(st.just("market"), KEYS, PAIRS, SIDES, st.integers(110, 40_000)),
    st.tuples(st.just("stop"), KEYS, PAIRS, SIDES, st.integers(1, 100), st.integers(110, 40_000)),
    st.tuples(st.just("cancel"), KEYS, st.integers(0, 30)),
    st.tuples(st.just("wait"), st.integers(1, 40_000)),
    st.tuples(st.just("deposit"), KEYS, st.sampled_from(["TRY", "BTC", "ADA"]), st.integers(1, 10**6)),
    st.tuples(st.just("withdraw"), KEYS, st.sampled_from(["TRY", "BTC", "ADA"]), st.integers(1, 10**6)),
    st.tuples(st.just("price"), PAIRS, st.one_of(st.none(), PRICE_BPS)),
    st.tuples(st.just("halt"), PAIRS, st.booleans()),
    st.tuples(st.just("cancel_only"), PAIRS, st.booleans()),
    st.tuples(st.just("delisted"), PAIRS, st.booleans()),
    st.tuples(st.just("rules"), PAIRS, st.integers(0, 8), st.integers(0, 6), st.integers(1, 500)),
    st.tuples(st.just("bust"), KEYS, st.integers(-9, 9)),
    st.tuples(st.just("doomed"), KEYS, PAIRS, SIDES, PRICE_BPS, st.integers(110, 40_000), st.integers(0, 9_000)),
)
BARS = st.lists(st.tuples(PRICE_BPS, PRICE_BPS, st.integers(0, 3_000)), min_size=2, max_size=6)


def bars_from(moves, start, places):
    """Bars that open where the last one closed; moves are (close, swing) in bps and volume in thousandths."""
    rows, price = [], Decimal(start)
    for close_bps, swing_bps, volume in moves:
        close = (price * (10_000 + close_bps) / 10_000).quantize(Decimal(1).scaleb(-places))
        high = (max(price, close) * (10_000 + abs(swing_bps)) / 10_000).quantize(Decimal(1).scaleb(-places))
        low = min(price, close)
        rows.append(tuple(map(str, (price, high, low, close, Decimal(volume) / 1000))))
        price = close
    return rows


class Player:
    """Carries out random actions; what the exchange refuses is fine, what it makes of money is checked."""

    def __init__(self, bench):
        self.bench = bench
        self.placed = []
        self.busted = 0

    def near(self, symbol, bps):
        pair = self.bench.engine.pairs[symbol]
        return (pair.price * (10_000 + bps) / 10_000).quantize(pair.instrument.price_step)

    def play(self, action):
        getattr(self, action[0])(*action[1:])
        self.bench.engine.audit()

    def send(self, side, quantity, price, symbol, key, **fields):
        status, payload = self.bench.order(side, str(quantity), price and str(price), symbol=symbol, key=key, **fields)
        assert status in (200, 400)
        if status == 200:
            self.placed.append((key, payload["data"]["id"]))

    def quantity(self, symbol, worth, price):
        scale = self.bench.engine.pairs[symbol].instrument.quantity_scale
        return format((Decimal(worth) / price).quantize(Decimal(1).scaleb(-scale)), "f")

    def limit(self, key, symbol, side, bps, worth):
        price = self.near(symbol, bps)
        self.send(side, self.quantity(symbol, worth, price), price, symbol, key)

    def market(self, key, symbol, side, worth):
        quantity = worth if side == "buy" else self.quantity(symbol, worth, self.near(symbol, 0))
        self.send(side, quantity, None, symbol, key)

    def stop(self, key, symbol, side, bps, worth):
        price = self.near(symbol, bps if side == "buy" else -bps)
        method = "stopmarket" if worth % 2 else "stoplimit"
        quantity = worth if side == "buy" and method == "stopmarket" else self.quantity(symbol, worth, price)
        self.send(side, quantity, price, symbol, key, orderMethod=method, stopPrice=str(price))

    def cancel(self, key, index):
        if self.placed:
            owner, order_id = self.placed[index % len(self.placed)]
            status, payload = self.bench.cancel(order_id, key=key)
            assert status in (200, 400)
            if key != owner:
                assert payload["message"] == "NO_ORDER_MATCHES_YOUR_REQUEST"

    def wait(self, milliseconds):
        self.bench.wait(milliseconds)

    def deposit(self, key, asset, amount):
        self.bench.control("POST", "/deposit", {"key": key, "asset": asset, "amount": f"{amount}.12345678"})

    def withdraw(self, key, asset, amount):
        self.bench.control("POST", "/withdraw", {"key": key, "asset": asset, "amount": str(amount), "fee": "0.5"})

    def price(self, symbol, bps):
        price = None if bps is None else str(self.near(symbol, bps))
        assert self.bench.control("POST", "/market", {"symbol": symbol, "price": price})[0] == 200

    def cancel_only(self, symbol, on):
        assert self.bench.control("POST", "/market", {"symbol": symbol, "cancel_only": on})[0] == 200

    def delisted(self, symbol, gone):
        assert self.bench.control("POST", "/market", {"symbol": symbol, "delisted": gone})[0] == 200

    def rules(self, symbol, quantity_scale, price_scale, minimum):
        rules = {"quantity_scale": quantity_scale, "price_scale": price_scale, "min_exchange_value": str(minimum)}
        status, payload = self.bench.control("POST", "/market", {"symbol": symbol, "rules": rules})
        assert status == 200, payload

    def bust(self, key, index):
        fills = self.bench.engine.books.accounts[key].fills
        if fills:
            trade_id = fills[index % len(fills)].id
            status, payload = self.bench.control("POST", "/bust", {"id": trade_id})
            assert status == 200 or "to give back" in payload["error"]
            self.busted += status == 200

    def doomed(self, key, symbol, side, bps, worth, after_ms):
        self.bench.simulator.faults.add("accepted_then_canceled", after_ms=after_ms)
        self.limit(key, symbol, side, bps, worth)
        self.bench.simulator.faults.clear()

    def assume(self, question):
        assert self.bench.control("POST", "/assumptions", dict([question]))[0] == 200

    def halt(self, symbol, halted):
        assert self.bench.control("POST", "/market", {"symbol": symbol, "halted": halted})[0] == 200


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(btc=BARS, ada=BARS, actions=st.lists(ACTIONS, min_size=10, max_size=60))
def test_whatever_happens_the_books_add_up(make_bench, btc, ada, actions):
    bench = make_bench(
        {"BTCTRY": bars_from(btc, "1000000", 0), "ADATRY": bars_from(ada, "7.0350", 4)},
        {"TRY": "60000", "BTC": "0.05", "ADA": "5000"},
        {"BOB": {"TRY": "60000.0000000012345678", "BTC": "0.05", "ADA": "5000"}},
        cancel_lag_ms=5_000,
    )
    player = Player(bench)
    for action in actions:
        player.play(action)
    assert bench.control("GET", "/state")[1]["conservation"] == "ok"


@pytest.mark.parametrize(("seed", "other_answers"), [(1, 0), (2, 0), (3, 0), (4, 1)])
def test_a_long_and_busy_day_adds_up(make_bench, seed, other_answers):
    """2,000 actions, dense enough that every kind of fill occurs many times; audited after each one."""
    random = Random(seed)
    moves = [(random.randint(-60, 60), random.randint(-40, 40), random.randint(0, 90)) for _ in range(300)]
    held = {"TRY": "4000000", "BTC": "4", "ADA": "500000"}
    bench = make_bench(
        {"BTCTRY": bars_from(moves, "1000000", 0), "ADATRY": bars_from(moves[::-1], "7.0350", 4)},
        held, {"BOB": held}, cancel_lag_ms=2_000, just_filled_ms=150,
    )  # fmt: skip
    player = Player(bench)
    choices = [
        lambda: ("limit", key(), pair(), side(), random.randint(-40, 40), random.randint(100, 300_000)),
        lambda: ("limit", key(), pair(), side(), random.randint(-40, 40), random.randint(100, 300_000)),
        lambda: ("market", key(), pair(), side(), random.randint(100, 20_000)),
        lambda: ("stop", key(), pair(), side(), random.randint(1, 60), random.randint(100, 20_000)),
        lambda: ("cancel", key(), random.randint(-8, -1)),
        lambda: ("wait", random.randint(1, 20_000)),
        lambda: ("wait", random.randint(1, 20_000)),
        lambda: ("bust", key(), random.randint(-20, -1)),
        *(lambda: ("assume", random.choice(ANSWERS)) for _ in range(other_answers)),
    ]
    key, pair, side = (partial(random.choice, of) for of in (("ALICE", "BOB"), ("BTCTRY", "ADATRY"), ("buy", "sell")))
    for _ in range(2_000):
        player.play(random.choice(choices)())
    accounts = bench.control("GET", "/state")[1]["accounts"].values()
    fills = [fill for one in accounts for fill in one["fills"]]
    orders = [order for one in accounts for order in one["orders"]]
    assert player.busted > 20
    assert sum(fill["maker"] for fill in fills) > 50
    assert sum(not fill["maker"] for fill in fills) > 100
    assert sum(order["method"].startswith("stop") and order["status"] == "Canceled" for order in orders) > 20
    assert sum(order["status"] == "Canceled" and Decimal(order["filled"]) > 0 for order in orders) > 3
    prints = Counter((fill["time_ms"], fill["price"], fill["quantity"]) for fill in fills)
    assert sum(count == 2 for count in prints.values()) > 10, "the two accounts hardly traded with each other"


def test_an_account_emptied_to_the_last_digit_is_not_overdrawn(make_bench):
    """Half-up rounding asks for a sliver more than the funds check did; the tax gives way, and the list says so."""
    rate = TRY_LEVEL_1.taker
    quantity = next(
        number
        for number in (Decimal(n) / 1000 for n in range(15_000, 16_000))
        if rate.commission(number * Decimal("7.0387")).total > number * Decimal("7.0387") * rate.total
    )
    gross = quantity * Decimal("7.0387")
    due = rate.commission(gross)
    funds = gross * (1 + rate.total)
    bench = make_bench({"ADATRY": [("7.0351", "7.0351", "7.0351", "7.0351", "7")]}, {"TRY": str(funds)})
    order_id = bench.place("buy", str(quantity), "7.0387", symbol="ADATRY")
    (fill,) = bench.fills(order_id)
    assert fill["price"] == "7.0387"
    assert Decimal(fill["fee"]) == -due.fee
    assert Decimal(fill["tax"]) == -due.tax + Decimal("0.00000001")
    free, locked = bench.balance("TRY")
    assert (0 <= Decimal(free) < Decimal("0.00000001"), locked) == (True, "0")


def test_money_out_of_nothing_is_found_shouted_and_shown(make_bench):
    bench = make_bench()
    bench.simulator.engine.books.accounts["ALICE"].balance("TRY").free += 1
    state = bench.control("GET", "/state")[1]
    assert state["conservation"].startswith("TRY: 100001 inside, 100000")
    with pytest.raises(ConservationError):
        bench.call("GET", "/api/v2/server/ping")
    bench.simulator.engine.books.accounts["ALICE"].balance("TRY").free -= 1


def test_a_step_that_does_not_add_up_stops_at_once(bench):
    books = bench.engine.books
    books.post(books.accounts["ALICE"], "TRY", Decimal(-5), Decimal(0), bench.now_ms)
    with pytest.raises(ConservationError, match="a step made -5 out of nothing"):
        bench.place("buy", "1000")
    books.post(books.accounts["ALICE"], "TRY", Decimal(5), Decimal(0), bench.now_ms)
    books.settle_step()
