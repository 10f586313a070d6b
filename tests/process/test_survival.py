"""A bot that is killed, loses answers or is told to stop never loses a fill and never doubles an order."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import pytest
from tests.process.conftest import Rig

from btcbot.domain.ledger import EntryKind
from btcbot.domain.orders import OrderStatus
from btcbot.testing.rig import bare_environment, wait_until

pytestmark = pytest.mark.slow


def test_killed_again_and_again_the_books_equal_the_venue(rig: Rig) -> None:
    moments = random.Random(20221108)
    for _ in range(8):
        bot = rig.start_bot()
        rig.wait_for_cycles(1, bot)
        time.sleep(moments.uniform(0.0, 1.2))
        bot.kill()
    bot = rig.start_bot()
    rig.wait_for_cycles(2, bot)
    judgement = rig.settle(bot)
    assert judgement.faults == []
    assert judgement.fills > 0
    rig.demand_nothing_doubled()


def test_restart_after_a_kill_needs_no_waiting_and_no_unlocking(rig: Rig) -> None:
    bot = rig.start_bot()
    rig.wait_for_cycles(1, bot)
    bot.kill()
    before, started = rig.cycles(), time.monotonic()
    again = rig.start_bot()
    wait_until(lambda: rig.cycles() > before, 20.0, "the first cycle after a kill")
    assert time.monotonic() - started < 10.0  # a lock-out would take minutes; the exact figure is a benchmark
    assert again.status() is None


def test_the_answer_of_a_post_is_lost_and_the_bot_is_killed(rig: Rig) -> None:
    rig.venue.control("/faults", kind="lost_after", match={"method": "POST", "path": "/api/v1/order"}, count=1)
    bot = rig.start_bot()
    wait_until(lambda: bool(rig.posts()), 20.0, "a POST")
    time.sleep(0.3)
    bot.kill()
    again = rig.start_bot()
    rig.wait_for_cycles(3, again)
    judgement = rig.settle(again)
    assert judgement.faults == []
    rig.demand_nothing_doubled()
    struck = rig.venue.state()["faults_struck"]
    assert struck.get("lost_after") == 1


def test_a_post_that_never_arrived_is_proved_absent_and_not_sent_again(rig: Rig) -> None:
    rig.venue.control("/faults", kind="lost_before", match={"method": "POST", "path": "/api/v1/order"}, count=1)
    bot = rig.start_bot()

    def is_proved() -> bool:
        books = rig.books()
        try:
            return bool(books.orders((OrderStatus.NOT_PLACED,)))
        finally:
            books.close()

    rig.wait_for_cycles(1, bot)
    wait_until(is_proved, 40.0, "the proof that the lost order was never placed")
    judgement = rig.settle(bot)
    assert judgement.faults == []
    rig.demand_nothing_doubled()


def test_a_deposit_is_booked_as_what_it_is(rig: Rig) -> None:
    bot = rig.start_bot()
    rig.wait_for_cycles(2, bot)
    rig.venue.control("/deposit", key=rig.credentials.key, asset="TRY", amount="1234.56")
    rig.venue.control("/deposit", key=rig.credentials.key, asset="BTC", amount="0.01")
    rig.venue.control("/withdraw", key=rig.credentials.key, asset="TRY", amount="100", fee="3")
    rig.wait_for_cycles(6, bot)
    judgement = rig.settle(bot)
    assert judgement.faults == []
    books = rig.books()
    transfers = [entry for entry in books.entries() if entry.kind is EntryKind.TRANSFER]
    books.close()
    assert len(transfers) == 3


def test_a_trade_by_hand_moves_the_balance_and_not_the_position(rig: Rig) -> None:
    bot = rig.start_bot()
    rig.wait_for_cycles(2, bot)
    rig.venue.control(
        "/foreign-order",
        key=rig.credentials.key,
        pairSymbol="BTCTRY",
        orderType="buy",
        orderMethod="market",
        quantity="500",
    )
    rig.wait_for_cycles(4, bot)
    judgement = rig.settle(bot)
    assert judgement.faults == []
    assert judgement.foreign_trades >= 1


def test_sigterm_ends_the_loop_with_zero_and_names_what_rests(rig: Rig) -> None:
    bot = rig.start_bot()
    rig.wait_for_cycles(1, bot)
    started = time.monotonic()
    assert bot.terminate() == 0
    assert time.monotonic() - started < 5.0
    assert "btcbot run: ended" in bot.last_lines(1)


def test_a_second_bot_on_the_same_database_is_refused(rig: Rig) -> None:
    bot = rig.start_bot()
    rig.wait_for_cycles(1, bot)
    second = rig.start_bot()
    wait_until(lambda: second.status() is not None, 10.0, "the second bot's refusal")
    assert second.status() == 2
    assert f"pid {bot.pid}" in second.last_lines(1)
    bot.kill()
    third = rig.start_bot()
    rig.wait_for_cycles(1, third)


def test_the_kill_file_stops_orders_within_a_cycle(rig: Rig) -> None:
    bot = rig.start_bot()
    rig.wait_for_cycles(1, bot)
    done = run_btcbot("kill", "on", "--db", str(rig.database))
    assert done.returncode == 0, done.stderr
    sent = len(rig.posts())
    rig.wait_for_cycles(4, bot)
    assert len(rig.posts()) == sent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_end_it_as_well(rig: Rig, number: signal.Signals) -> None:
    bot = rig.start_bot()
    rig.wait_for_cycles(1, bot)
    subprocess.run(["kill", f"-{number.value}", str(bot.pid)], check=True)
    wait_until(lambda: bot.status() is not None, 5.0, "the end")
    assert bot.status() == 0


def test_operator_cancel_reaches_the_running_bot(rig: Rig) -> None:
    bot = rig.start_bot(TTL_SECONDS="600")
    rig.wait_for_cycles(2, bot)
    done = run_btcbot("orders", "cancel", "--all", "--db", str(rig.database))
    assert done.returncode == 0, done.stderr


def run_btcbot(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "btcbot", *arguments],
        env=bare_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
