"""Properties: deltas applied without second thoughts give the full book, and no mixture of faults harms anything."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sim.bench import SECRET, T0, Bench
from tests.sim.feed_client import FeedClient, NaiveBook, rows_of

from btcturk_sim.api import ApiOptions
from btcturk_sim.auth import signature
from btcturk_sim.feed.faults import FeedKind
from btcturk_sim.generator import GeneratedBars
from btcturk_sim.limits import LimitsMode
from btcturk_sim.simulator import Simulator, SimulatorOptions, account

SYMBOLS = ("BTCTRY", "XRPTRY")
SIGNATURE = signature(b"bench secret", "ALICE", "3000")

orders = st.tuples(
    st.just("order"),
    st.sampled_from(SYMBOLS),
    st.sampled_from(["buy", "sell"]),
    st.integers(-300, 300),  # ten-thousandths away from the price
    st.integers(1, 40),
)
actions = st.one_of(
    orders,
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.integers(1, 9_000)),
    st.tuples(st.just("market"), st.sampled_from(SYMBOLS), st.sampled_from(["buy", "sell"])),
    st.tuples(st.just("hold"), st.sampled_from(SYMBOLS), st.integers(-200, 200)),
)


def bench_of(seed):
    held = {"TRY": "1000000000", "BTC": "1000", "XRP": "10000000"}
    options = SimulatorOptions(api=ApiOptions(limits=LimitsMode.parse("off")), speed=Fraction(7), seed=seed)
    accounts, source = [account("ALICE", SECRET, held)], GeneratedBars(SYMBOLS, seed)
    return Bench(Simulator(accounts=accounts, source=source, now_ms=T0, options=options))


def act(bench, action):
    pairs = bench.engine.pairs
    match action:
        case ("order", symbol, side, away, size):
            one = pairs[symbol].instrument
            price = (pairs[symbol].price * (10_000 + away) / 10_000).quantize(one.price_step)
            quantity = (Decimal(size * 1_000) / price).quantize(Decimal(1).scaleb(-one.quantity_scale))
            bench.order(side, str(quantity), str(price), symbol=symbol)
        case ("cancel", number):
            open_orders = list(bench.engine.books.accounts["ALICE"].open_orders)
            if number < len(open_orders):
                bench.cancel(open_orders[number])
        case ("market", symbol, side):
            quantity = "30000" if side == "buy" else "0.01" if symbol == "BTCTRY" else "200"
            bench.order(side, quantity, symbol=symbol)
        case ("hold", symbol, away):
            price = (pairs[symbol].price * (10_000 + away) / 10_000).quantize(pairs[symbol].instrument.price_step)
            bench.control("POST", "/market", {"symbol": symbol, "price": str(price) if away else None})


class Reader:
    """Two subscriptions of each book, deltas and whole ones, compared at every step."""

    def __init__(self, bench):
        self.client = FeedClient(bench)
        self.books, self.full, self.compared = {}, {}, 0
        for symbol in SYMBOLS:
            self.client.join("obdiff", symbol)
            self.books[symbol] = NaiveBook(self.client.pop(431)[0])
            self.client.join("orderbook", symbol)
            self.full[symbol] = self.client.pop(431)[0]

    def read(self):
        changed = set()
        for kind, body, _ in self.client.inbox:
            if kind == 432:
                self.books[body["PS"]].apply(body)
                changed.add(body["PS"])
            elif kind == 431:
                assert body["CS"] == self.full[body["PS"]]["CS"] + 1
                self.full[body["PS"]] = body
                for side in ("AO", "BO"):
                    rows = self.books[body["PS"]].rows(side)
                    assert rows == rows_of(body, side)
                    assert 0 < len(rows) <= 100
                changed.discard(body["PS"])
                self.compared += 1
        assert not changed  # a delta never comes without the whole book beside it
        self.client.inbox.clear()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(1, 10**6), script=st.lists(actions, min_size=5, max_size=25))
def test_deltas_make_the_full_book(seed, script):
    bench = bench_of(seed)
    reader = Reader(bench)
    reader.client.wait(2_500)  # two steps of the market, whatever follows
    for action in script:
        if action[0] == "wait":
            reader.client.wait(action[1])
        else:
            act(bench, action)
            reader.client.read()
        reader.read()
    # When all is quiet, the REST API shows the same book.
    bench.control("POST", "/market", {"action": "pause"})
    reader.client.wait(1_000)
    reader.read()
    assert reader.compared > 0
    for symbol in SYMBOLS:
        rest = bench.call("GET", "/api/v2/orderbook", pairSymbol=symbol, key=None)[1]["data"]
        for side, name in (("AO", "asks"), ("BO", "bids")):
            shown = [(Decimal(price), Decimal(amount)) for price, amount in rest[name] if Decimal(amount)]
            assert [(Decimal(p), Decimal(a)) for p, a in reader.books[symbol].rows(side)] == shown
    assert bench.control("GET", "/state")[1]["conservation"] == "ok"


FIELDS = ("P", "A", "AO", "BO", "CS", "D", "S", "symbol", "items", "price", "timestamp", "type", "preciseAmount")
PARAMS = {
    "frame_doubled": {"times": st.integers(0, 3)},
    "frame_delayed": {"delay_ms": st.integers(0, 3_000)},
    "flood": {"frames": st.integers(0, 5)},
    "snapshot_stale": {"age_ms": st.integers(0, 2_000)},
    "wrong_symbol": {"symbol": st.sampled_from(["XRPTRY", "", "NOPE"])},
    "value_replaced": {"field": st.sampled_from(FIELDS), "value": st.sampled_from(["0", "-1", "NaN", ""])},
    "type_changed": {"field": st.sampled_from(FIELDS)},
    "time_back": {"by_ms": st.integers(0, 10**6)},
    "frame_truncated": {"cut_at": st.integers(0, 200)},
    "frame_huge": {"bytes": st.integers(0, 100)},
    "frame_deep": {"depth": st.sampled_from([0, 3, 5_000])},
    "garbage": {"text": st.sampled_from(["", "[]", "[432,7]", "[432,{}]", "{}", "null"])},
}
EVERY = sorted(FeedKind)
# Left out, these make a thousand frames or megabytes of one; together, gigabytes.
BOUNDED = {"flood", "frame_huge", "frame_deep"}
NEEDED = {"frame_delayed", "wrong_symbol", "value_replaced", "type_changed", "time_back"} | BOUNDED


def params_of(kind):
    named = PARAMS.get(kind, {})
    return st.fixed_dictionaries(named) if kind in NEEDED else st.fixed_dictionaries({}, optional=named)


rules = st.sampled_from(EVERY).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        st.sampled_from([(), (431,), (432,), (402, 422), (423, 441)]),
        params_of(kind),
        st.integers(1, 3),
    )
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(chosen=st.lists(rules, max_size=6), script=st.lists(actions, min_size=3, max_size=10))
def test_no_mixture_of_faults_harms_the_exchange(chosen, script):
    bench = bench_of(5)
    feed = bench.simulator.feed
    clients = [FeedClient(bench), FeedClient(bench)]
    for kind, types, params, count in chosen:
        feed.faults.add(kind, types=types, count=count, **params)
    for client in clients:
        for channel in ("obdiff", "orderbook", "ticker", "trade"):
            client.ask(151, channel=channel, event="BTCTRY", join=True)
        client.ask(114, publicKey="ALICE", timestamp=bench.now_ms, nonce=3000, signature=SIGNATURE)
    for action in script:
        if action[0] == "wait":
            clients[0].wait(action[1])
        else:
            act(bench, action)
        for client in clients:
            client.read()
    status, state = bench.control("GET", "/state")
    assert (status, state["conservation"]) == (200, "ok")
    # Who comes when all that is over finds everything in order.
    bench.control("DELETE", "/faults")
    late = FeedClient(bench)
    late.join("obdiff")
    book = NaiveBook(late.pop(431)[0])
    late.wait(5_000)
    for delta in late.pop(432):
        book.apply(delta)


def test_the_same_calls_give_the_same_frames():
    def play():
        bench = bench_of(11)
        reader = Reader(bench)
        reader.client.log_in()
        for action in (("order", "BTCTRY", "buy", 20, 10), ("order", "XRPTRY", "sell", 5, 30)):
            act(bench, action)
        reader.client.wait(20_000)
        return reader.client.inbox

    first, second = play(), play()
    assert len(first) > 20
    assert first == second
