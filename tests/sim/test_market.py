"""How bars are played, and that the generated market is worth playing."""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest

from btcturk_sim.bars import Bar
from btcturk_sim.generator import DEFAULT_SYMBOLS, GeneratedBars
from btcturk_sim.market import STEPS_PER_BAR, AtEnd, Market, walk

UP = ("100", "110", "90", "105", "8")
DOWN = ("105", "106", "80", "85", "8")


def prices(bar):
    return [str(price) for price in walk(Bar(*map(Decimal, bar)), 0)]


def test_a_bar_is_walked_through_its_nearer_extreme_first():
    assert prices(UP) == ["100", "95", "90", "97", "103", "110", "108", "105"]
    assert prices(DOWN) == ["105", "106", "106", "97", "89", "80", "83", "85"]


def test_steps_come_at_times_that_depend_on_the_speed_alone(make_bench):
    slow, fast = make_bench(speed=1), make_bench(speed=600)
    assert slow.engine.market.next_step_ms() - slow.now_ms == 60_000 // STEPS_PER_BAR
    assert fast.engine.market.next_step_ms() - fast.now_ms == 100 // STEPS_PER_BAR


def test_catching_up_in_one_leap_or_many_steps_is_the_same(make_bench):
    """Same orders, same time: ten thousand small advances or a single one."""
    results = []
    for leap_ms in (1_000, 60_000):
        bench = make_bench({"BTCTRY": [("1000000", "1010000", "985000", "990000", "0.9")] * 5})
        order_id = bench.place("buy", "0.05", "987000")
        while bench.now_ms < 1_790_133_600_000 + 240_000:
            bench.wait(leap_ms)
        results.append((bench.fills(order_id), bench.get("/api/v1/users/balances"),
                        bench.get("/api/v2/orderbook", pairSymbol="BTCTRY")))  # fmt: skip
    assert results[0] == results[1]


@pytest.mark.parametrize(("at_end", "price", "over"), [("hold", 85, False), ("loop", 95, False), ("exit", 85, True)])
def test_after_the_last_bar(make_bench, at_end, price, over):
    bench = make_bench({"BTCTRY": [UP, DOWN]}, at_end=AtEnd(at_end))
    bench.wait(2 * 60_000 + 7_500)
    assert bench.engine.pairs["BTCTRY"].price == price
    assert bench.simulator.is_over is over


def test_pausing_stops_prices_and_resuming_continues_where_they_stood(make_bench):
    bench = make_bench({"BTCTRY": [UP, DOWN]})
    bench.wait(10_000)
    bench.control("POST", "/market", {"action": "pause"})
    bench.wait(600_000)
    assert bench.engine.pairs["BTCTRY"].price == 95
    bench.control("POST", "/market", {"action": "resume"})
    bench.wait(5_000)
    assert bench.engine.pairs["BTCTRY"].price == 90


def test_a_held_price_moves_orders_and_lets_go_again(make_bench):
    bench = make_bench()
    order_id = bench.place("sell", "0.001", "1050000")
    status, payload = bench.control("POST", "/market", {"symbol": "BTCTRY", "price": "1060000"})
    assert (status, payload["prices"]["BTCTRY"]["overridden"]) == (200, True)
    assert bench.status(order_id) == "Closed"
    bench.wait(60_000)
    assert bench.engine.pairs["BTCTRY"].price == 1060000
    bench.control("POST", "/market", {"symbol": "BTCTRY", "price": None})
    bench.wait(60_000)
    assert bench.engine.pairs["BTCTRY"].price == 1000000


def test_a_halted_pair_takes_no_orders_and_no_cancels(make_bench):
    bench = make_bench()
    order_id = bench.place("sell", "0.001", "1050000")
    bench.control("POST", "/market", {"symbol": "BTC_TRY", "halted": True})
    assert bench.order("buy", "0.001", "990000")[1]["message"] == "SYSTEM_UNDER_MAINTENANCE"
    assert bench.cancel(order_id)[1]["message"] == "ORDER_CANCEL_BLOCKED"
    bench.control("POST", "/market", {"symbol": "BTC_TRY", "halted": False})
    assert bench.cancel(order_id)[0] == 200


def test_the_generator_repeats_itself_per_seed_and_pair():
    def closes(seed, symbols=("BTCTRY", "XRPTRY")):
        bars = GeneratedBars(symbols, seed)
        return [bars.bar("XRPTRY", n).close for n in range(50)]

    assert closes(1) == closes(1) == closes(1, ("XRPTRY",))
    assert closes(1) != closes(2)


@pytest.mark.parametrize("seed", range(5))
def test_generated_bars_are_sound(seed):
    source = GeneratedBars(DEFAULT_SYMBOLS, seed)
    for instrument in source.instruments:
        bars = [source.bar(instrument.symbol, n) for n in range(2_400)]
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
        assert all(bar.low > 0 and bar.volume > 0 for bar in bars)
        assert all(earlier.close == later.open for earlier, later in pairwise(bars))
        start = source.opening_price(instrument.symbol)
        assert start / 2 < min(bar.low for bar in bars)
        assert max(bar.high for bar in bars) < start * 2


def test_generated_bars_are_lively():
    """Whenever one buys, the price is 0.8 % higher within 1,200 bars (two minutes at speed 600) four times in five."""
    reached = []
    for seed in range(5):
        source = GeneratedBars(("BTCTRY", "ETHTRY", "XRPTRY", "SOLTRY"), seed)
        for symbol in ("BTCTRY", "ETHTRY", "XRPTRY", "SOLTRY"):
            bars = [source.bar(symbol, n) for n in range(2_400)]
            for n in range(0, 1_200, 50):
                target = bars[n].close * Decimal("1.008")
                reached.append(any(bar.high >= target for bar in bars[n + 1 : n + 1_200]))
    assert sum(reached) > 0.8 * len(reached)


def test_speed_may_be_a_fraction():
    market = Market(GeneratedBars(("BTCTRY",)), speed=Fraction("0.5"), start_ms=0)
    market.step()
    assert market.next_step_ms() == 15_000
