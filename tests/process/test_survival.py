"""A bot that is killed, loses answers or meets a deposit never loses a fill and never doubles an order."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from btcbot.domain.ledger import EntryKind
from btcbot.domain.orders import OrderStatus
from btcbot.testing.bench import Bench
from btcbot.testing.chaos_proxy import Trouble
from btcbot.testing.rig import bare_environment, wait_until
from proof import instances, kill_switch, kills, network

pytestmark = pytest.mark.slow


def test_killed_again_and_again_the_books_equal_the_venue() -> None:
    result = kills.run(count=12, first=1)

    assert result.failures == []
    assert result.counts["kills"] == 12
    assert result.counts["kills_with_feed"] >= 4
    assert result.counts["feeds_connected"] >= 3
    assert result.counts["comparisons"] == 1
    assert result.counts["fills_at_venue"] > 0


def test_restart_after_a_kill_needs_no_waiting_and_no_unlocking(bench: Bench) -> None:
    bot = bench.start_bot()
    bench.wait_for_cycles(1, bot)
    bot.kill()
    before, started = bench.cycles(), time.monotonic()
    again = bench.start_bot()
    wait_until(lambda: bench.cycles() > before, 20.0, "the first cycle after a kill")
    assert time.monotonic() - started < 10.0  # a lock-out would take minutes; the exact figure is in the proof
    assert again.status() is None


def test_the_answer_of_a_post_is_lost_and_the_bot_is_killed(bench: Bench) -> None:
    bench.venue.control("/faults", kind="lost_after", match={"method": "POST", "path": "/api/v1/order"}, count=1)
    bot = bench.start_bot()
    wait_until(lambda: bool(bench.posts()), 20.0, "a POST")
    time.sleep(0.3)
    bot.kill()
    again = bench.start_bot()
    bench.wait_for_cycles(3, again)
    assert bench.faults_at_rest(again) == []
    assert bench.venue.state()["faults_struck"].get("lost_after") == 1


def test_a_post_that_never_arrived_is_proved_absent_and_not_sent_again(busy: Bench) -> None:
    assert busy.network is not None
    busy.network.cause(Trouble.LOST_BEFORE, method="POST", count=1)
    bot = busy.start_bot()

    def is_proved() -> bool:
        books = busy.books()
        try:
            return bool(books.orders((OrderStatus.NOT_PLACED,)))
        finally:
            books.close()

    busy.wait_for_cycles(1, bot)
    wait_until(is_proved, 40.0, "the proof that the lost order was never placed")
    assert busy.faults_at_rest(bot) == []
    lost = [one.client_order_id for one in busy.network.passed() if one.trouble is Trouble.LOST_BEFORE]
    assert len(lost) == 1
    assert lost[0] not in {order["orderClientId"] for order in busy.account()["orders"]}


def test_a_deposit_is_booked_as_what_it_is(busy: Bench) -> None:
    bot = busy.start_bot()
    busy.wait_for_cycles(2, bot)
    busy.venue.control("/deposit", key=busy.credentials.key, asset="TRY", amount="1234.56")
    busy.venue.control("/deposit", key=busy.credentials.key, asset="BTC", amount="0.01")
    busy.venue.control("/withdraw", key=busy.credentials.key, asset="TRY", amount="100", fee="3")
    busy.kill_switch.turn_on("balances are compared with the lists of transfers when trading is quiet", 0)

    def transfers() -> int:
        books = busy.books()
        try:
            return sum(entry.kind is EntryKind.TRANSFER for entry in books.entries())
        finally:
            books.close()

    wait_until(lambda: transfers() == 3, 20.0, "all three to be booked")
    assert busy.faults_at_rest(bot) == []
    assert transfers() == 3


def test_a_trade_by_hand_moves_the_balance_and_not_the_position(busy: Bench) -> None:
    bot = busy.start_bot()
    busy.wait_for_cycles(2, bot)
    busy.venue.control(
        "/foreign-order",
        key=busy.credentials.key,
        pairSymbol="BTCTRY",
        orderType="buy",
        orderMethod="market",
        quantity="500",
    )
    busy.wait_for_cycles(4, bot)
    judgement = busy.settle(bot)
    assert judgement.faults == []
    assert judgement.foreign_trades >= 1


def test_of_several_bots_exactly_one_speaks_to_the_venue() -> None:
    result = instances.run(count=8, first=1)

    assert result.failures == []
    assert result.counts["starts"] >= 8
    assert result.counts["losers"] >= 2


def test_a_second_bot_as_shipped_is_refused_and_a_third_starts_after_a_kill(bench: Bench) -> None:
    bot = bench.start_bot()
    bench.wait_for_cycles(1, bot)
    second = bench.start_bot()
    assert second.wait(10.0) == 2
    assert f"pid {bot.pid}" in second.last_lines(1)
    bot.kill()
    third = bench.start_bot()
    bench.wait_for_cycles(1, third)


def test_no_order_starts_once_the_kill_file_is_there() -> None:
    result = kill_switch.run(count=8, first=1)

    assert result.failures == []
    assert result.counts["flips"] == 8
    assert result.counts["late_orders"] == 0
    assert result.counts["orders"] >= 8


def test_the_kill_command_stops_a_running_bot_within_a_cycle(bench: Bench) -> None:
    bot = bench.start_bot()
    bench.wait_for_cycles(1, bot)
    done = run_btcbot("kill", "on", "--db", str(bench.database))
    assert done.returncode == 0, done.stderr
    sent = len(bench.posts())
    bench.wait_for_cycles(2, bot)
    assert len(bench.posts()) == sent


def test_operator_cancel_reaches_the_running_bot(bench: Bench) -> None:
    bot = bench.start_bot(TTL_SECONDS="600")
    bench.wait_for_cycles(2, bot)
    done = run_btcbot("orders", "cancel", "--all", "--db", str(bench.database))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["orders come after our patience, and are taken", "the network is silent"])
def test_a_network_that_fails_and_is_well_again(name: str, tmp_path: Path) -> None:
    [story] = [one for one in network.STORIES if one.name == name]

    told = network.tell(story, tmp_path)

    assert told.failures == []


def run_btcbot(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "btcbot", *arguments],
        env=bare_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
