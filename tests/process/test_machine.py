"""The machine under the bot: a disk that is full, clocks that part."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from btcbot.testing.bench import Bench
from btcbot.testing.rig import BotProcess, time_of, wait_until
from btcbot.testing.staged_run import Stage

pytestmark = pytest.mark.slow

#: The self-check wants 64 MiB free before it lets orders leave.
DISK_BYTES = 72 * 1024 * 1024
#: Of a start and its first cycle: the mark of stamps, the cycle's number, verdicts, orders before and after sending.
COMMITS = (3, 12, 13, 14, 15)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "btcbot-test", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system can only be mounted by root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_with_a_disk_that_is_full_before_commit_n_nothing_leaves_that_is_not_written_down(
    tmp_path: Path, disk: Path
) -> None:
    ballast = disk / "ballast"
    with Bench.busy(tmp_path, 3, database=disk / "bot.db") as bench:
        first = bench.start_bot("--max-cycles", "3")
        assert first.wait(20.0) == 0, first.last_lines()
        for commit in COMMITS:
            stage = Stage(limits_factor=0, busy_seed=commit, full_at=commit, full_file=str(ballast))
            bot = bench.start_bot(stage=stage)
            assert bot.wait(20.0) == 1, bot.last_lines()
            words = bot.last_lines(4)
            assert "no space is left" in words
            assert "Traceback" not in words
            ballast.unlink()
            sent = {json.loads(row["body"])["newOrderClientId"] for row in bench.posts()}
            books = bench.books()
            written = {order.client_order_id for order in books.recent_orders(10_000)}
            books.close()
            assert sent <= written, f"commit {commit}"
        assert bench.faults_at_rest(bench.start_bot()) == []


def reasons_of_cycles(bot: BotProcess) -> list[tuple[int, list[str]]]:
    """(time in ms, reasons) of the cycles since the last call."""
    return [
        (time_of(event), [str(reason) for reason in event["reasons"]])
        for event in bot.new_events()
        if event["event"] == "cycle_ended"
    ]


def wait_for_gate(bot: BotProcess, *, closed: bool) -> None:
    """Until a cycle says that the clock's gate is closed, or that nothing is."""

    def is_so() -> bool:
        assert bot.status() is None, bot.last_lines()
        found = [reasons for _, reasons in reasons_of_cycles(bot)]
        return bool(found) and any("clock_skew" in reason for reason in found[-1]) is closed

    wait_until(is_so, 20.0, f"the clock's gate; the bot says: {bot.last_lines()}")


def demand_no_orders(bench: Bench, bot: BotProcess) -> None:
    sent, cycles = len(bench.posts()), bench.cycles()
    wait_until(lambda: bench.cycles() >= cycles + 5, 20.0, f"cycles; the bot says: {bot.last_lines()}")
    assert len(bench.posts()) == sent


def demand_orders(bench: Bench, bot: BotProcess) -> None:
    sent = len(bench.posts())
    wait_until(lambda: len(bench.posts()) > sent, 20.0, f"orders again; the bot says: {bot.last_lines()}")


def test_no_order_leaves_while_the_venues_clock_is_far_from_ours(tmp_path: Path) -> None:
    with Bench.busy(tmp_path, 4) as bench:
        bot = bench.start_bot(BTCTURK_CLOCK_SYNC_INTERVAL_SECONDS="1")
        for skew_ms in (2_600, -2_600):
            demand_orders(bench, bot)
            bench.venue.control("/clock", skew_ms=skew_ms)
            wait_for_gate(bot, closed=True)
            demand_no_orders(bench, bot)
            bench.venue.control("/clock", skew_ms=0)
            wait_for_gate(bot, closed=False)
        demand_orders(bench, bot)
        assert bench.faults_at_rest(bot) == []  # stamps that only rise among them


def test_no_order_leaves_while_our_own_clock_is_wrong(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    with Bench.busy(tmp_path, 5, stage=Stage(limits_factor=0, busy_seed=5, clock_file=str(clock))) as bench:
        bot = bench.start_bot()
        for step_ms in (3_000, -3_000):
            demand_orders(bench, bot)
            clock.write_text(str(step_ms))
            wait_for_gate(bot, closed=True)
            demand_no_orders(bench, bot)
            clock.write_text("0")
            wait_for_gate(bot, closed=False)
        demand_orders(bench, bot)
        assert bench.faults_at_rest(bot) == []
