"""Told to stop, a bot finishes the write in hand, starts no other, and is gone within seconds; told twice, at once."""

from __future__ import annotations

import random
import signal
import time

import pytest

from btcbot.domain.orders import OrderStatus
from btcbot.testing.bench import Bench
from btcbot.testing.chaos_proxy import ChaosProxy, Passed, Trouble
from btcbot.testing.rig import BotProcess, wait_until

pytestmark = pytest.mark.slow

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
END_SECONDS_MAX = 5.0


def network_of(bench: Bench) -> ChaosProxy:
    assert bench.network is not None
    return bench.network


def orders_sent(bench: Bench) -> list[Passed]:
    return [one for one in network_of(bench).passed() if one.client_order_id is not None]


def trade(bench: Bench, bot: BotProcess) -> None:
    """Until it has sent some orders more than its predecessors."""
    before = len(orders_sent(bench))
    wait_until(lambda: len(orders_sent(bench)) >= before + 3, 20.0, f"orders; the bot says: {bot.last_lines()}")


def stuck_in_an_order(bench: Bench, trouble: Trouble, seconds: float = 0.0) -> BotProcess:
    """A bot that waits for the answer of an order."""
    network = network_of(bench)
    bot = bench.start_bot()
    bench.wait_for_cycles(1, bot)
    before = network.struck[trouble.value]
    network.cause(trouble, method="POST", seconds=seconds)
    wait_until(lambda: network.struck[trouble.value] > before, 20.0, "an order in trouble")
    return bot


def test_at_any_moment_it_ends_with_zero_and_starts_no_other_order(busy: Bench) -> None:
    moments = random.Random(5)
    for number in SIGNALS:
        bot = busy.start_bot()
        trade(busy, bot)
        time.sleep(moments.uniform(0.0, 0.1))
        bot.signal(number)
        told_ms = time.time_ns() // 1_000_000
        assert bot.wait(END_SECONDS_MAX) == 0, bot.last_lines()
        assert "btcbot run: ended" in bot.last_lines(1)
        # The one that had its permit when the signal came may still leave.
        assert len([one for one in orders_sent(busy) if one.at_ms > told_ms]) <= 1
    assert busy.faults_at_rest(busy.start_bot()) == []


def test_the_order_in_hand_is_finished_and_written_down(busy: Bench) -> None:
    bot = stuck_in_an_order(busy, Trouble.DELAY_ANSWER, seconds=0.7)
    wait_until(lambda: orders_sent(busy)[-1].trouble is not None, 5.0, "the order in trouble, in the proxy's list")
    in_hand = orders_sent(busy)[-1]
    bot.signal(signal.SIGTERM)
    assert bot.wait(END_SECONDS_MAX) == 0, bot.last_lines()
    assert orders_sent(busy)[-1] == in_hand
    books = busy.books()
    order = books.order(str(in_hand.client_order_id))
    books.close()
    assert order is not None
    assert order.status is OrderStatus.ACCEPTED
    assert order.venue_order_id is not None


def test_the_second_signal_ends_it_at_once_and_leaves_what_a_crash_leaves(busy: Bench) -> None:
    for number in SIGNALS:
        bot = stuck_in_an_order(busy, Trouble.HALF_OPEN)
        bot.signal(number)
        assert bot.wait(0.3) is None, "it finishes the order in hand first"
        bot.signal(number)
        assert bot.wait(1.0) == 128 + number
        books = busy.books()
        interrupted = [order.client_order_id for order in books.orders((OrderStatus.SUBMITTED,))]
        books.close()
        assert interrupted == [orders_sent(busy)[-1].client_order_id]
        network_of(busy).heal()
    assert busy.faults_at_rest(busy.start_bot()) == []
