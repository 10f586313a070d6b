"""With the live feed on: told to stop, left standing still, cut off, killed. The feed must never hold the bot up."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from btcbot.domain.orders import IN_DOUBT
from btcbot.testing.bench import Bench
from btcbot.testing.chaos_proxy import ChaosProxy, Cut, Trouble
from btcbot.testing.rig import BotProcess, time_of, wait_until
from btcbot.testing.staged_run import Stage
from proof import network

pytestmark = pytest.mark.slow

END_SECONDS_MAX = 5.0
#: Longer than any connection may be silent.
STANDSTILL_S = 12.5
LONG_CYCLE_S = 30.0


@pytest.fixture
def feed(busy: Bench) -> Iterator[ChaosProxy]:
    """A network of the feed's own, between the busy bots and their venue."""
    with ChaosProxy(busy.venue.ws_url) as made:
        yield made


class Told:
    """What a bot has logged so far."""

    def __init__(self, bot: BotProcess) -> None:
        self._bot = bot
        self.events: list[Mapping[str, Any]] = []

    def all(self, name: str) -> Sequence[Mapping[str, Any]]:
        self.events += self._bot.new_events()
        return [event for event in self.events if event["event"] == name]

    def wait_for(self, name: str, count: int = 1, seconds_max: float = 20.0) -> Mapping[str, Any]:
        """The `count`-th event of this name."""

        def is_told() -> bool:
            assert self._bot.status() is None, f"the bot ended with {self._bot.status()}: {self._bot.last_lines()}"
            return len(self.all(name)) >= count

        wait_until(is_told, seconds_max, f"«{name}»; the bot says: {self._bot.last_lines()}")
        return self.all(name)[count - 1]


def in_doubt(bench: Bench) -> int:
    books = bench.books()
    try:
        return len(books.orders(tuple(IN_DOUBT)))
    finally:
        books.close()


@pytest.mark.parametrize("state", ["up", "half-open", "refused", "unanswered"])
def test_a_bot_that_waits_on_the_feed_ends_at_once_when_it_is_told_to(
    busy: Bench, feed: ChaosProxy, state: str
) -> None:
    busy.cycle_seconds = LONG_CYCLE_S
    if state == "refused":
        feed.cut(Cut.REFUSED)
    if state == "unanswered":
        feed.cause(Trouble.BLACK_HOLE)
    bot = busy.start_bot(BTCTURK_WS_URL=feed.ws_url)
    told = Told(bot)
    told.wait_for("cycle_ended")
    if state in ("up", "half-open"):
        told.wait_for("feed_logged_in")
    if state == "half-open":
        assert feed.hush() == 1
    busy.venue.control("/market", action="pause")  # a change of the market would wake it
    time.sleep(2.0)  # what came of the first orders has had its cycles: now it waits
    began = time.monotonic()
    bot.signal(signal.SIGTERM)
    assert bot.wait(END_SECONDS_MAX) == 0, bot.last_lines()
    assert time.monotonic() - began < END_SECONDS_MAX / 2
    assert "btcbot run: ended" in bot.last_lines(1)


def test_a_bot_that_stood_still_for_too_long_trusts_no_book_from_before(busy: Bench, feed: ChaosProxy) -> None:
    busy.cycle_seconds = 0.5
    bot = busy.start_bot(BTCTURK_WS_URL=feed.ws_url)
    told = Told(bot)
    told.wait_for("book_trusted", 3)
    wait_until(lambda: len(busy.posts()) > 3, 20.0, "orders")
    bot.signal(signal.SIGSTOP)
    time.sleep(STANDSTILL_S)
    goes_on_ms = time.time_ns() // 1_000_000
    bot.signal(signal.SIGCONT)

    told.wait_for("feed_connected", 2)
    lost = told.wait_for("feed_disconnected")
    assert time_of(lost) - goes_on_ms < 1_000
    again_ms = time_of(told.wait_for("feed_connected", 2))
    stale = [
        cycle
        for cycle in told.all("cycle_ended")
        if goes_on_ms + cycle["seconds"] * 1000 < time_of(cycle) < again_ms and cycle.get("quotes_from_feed")
    ]
    assert stale == [], "cycles that began after the standstill and before the new connection, on the feed's quotes"
    told.wait_for("cycle_ended", len(told.all("cycle_ended")) + 3)
    assert busy.faults_at_rest(bot) == []


def test_a_short_standstill_costs_neither_connection_nor_order(busy: Bench, feed: ChaosProxy) -> None:
    busy.cycle_seconds = 0.5
    bot = busy.start_bot(BTCTURK_WS_URL=feed.ws_url)
    told = Told(bot)
    told.wait_for("book_trusted", 3)
    for _ in range(2):
        bot.signal(signal.SIGSTOP)
        time.sleep(1.0)
        bot.signal(signal.SIGCONT)
        told.wait_for("cycle_ended", len(told.all("cycle_ended")) + 3)
    assert told.all("feed_disconnected") == []
    assert busy.faults_at_rest(bot) == []


def test_an_order_in_doubt_is_settled_by_the_lists_though_the_feed_told_of_it(busy: Bench, feed: ChaosProxy) -> None:
    assert busy.network is not None
    bot = busy.start_bot(BTCTURK_WS_URL=feed.ws_url)
    told = Told(bot)
    told.wait_for("feed_logged_in")
    told.wait_for("order_recorded")
    busy.network.cause(Trouble.RESET_AFTER, method="POST", count=2)
    wait_until(lambda: busy.network is not None and busy.network.struck["reset_after"] == 2, 20.0, "two lost answers")
    wait_until(lambda: in_doubt(busy) == 0, 20.0, "the lists to say what became of them")
    assert busy.faults_at_rest(bot) == []


def test_restarts_with_a_flapping_feed_neither_lose_nor_double_an_order(busy: Bench, feed: ChaosProxy) -> None:
    for ending in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        bot = busy.start_bot(BTCTURK_WS_URL=feed.ws_url)
        told = Told(bot)
        for _ in range(2):
            told.wait_for("feed_connected", len(told.all("feed_disconnected")) + 1)
            told.wait_for("order_recorded", len(told.all("order_recorded")) + 1)
            lost = len(told.all("feed_disconnected")) + 1
            assert feed.drop() == 1
            told.wait_for("feed_disconnected", lost)
        bot.signal(ending)
        assert bot.wait(END_SECONDS_MAX) == (0 if ending is signal.SIGTERM else -ending)
    assert busy.faults_at_rest(busy.start_bot(BTCTURK_WS_URL=feed.ws_url)) == []


@pytest.mark.parametrize(
    "name",
    [
        "the feed alone is refused",
        "the feed and the rest are refused",
        "a bot that takes the feed's quotes alone has none",
    ],
)
def test_a_feed_that_fails_and_is_well_again(name: str, tmp_path: Path) -> None:
    [story] = [one for one in network.STORIES if one.name == name]

    told = network.tell(story, tmp_path)

    assert told.failures == []


def test_a_stage_gives_the_feed_a_quicker_heartbeat(busy: Bench, feed: ChaosProxy) -> None:
    """With pings every half second, silence is noticed long before the ten seconds as shipped."""
    busy.cycle_seconds = 0.5
    bot = busy.start_bot(stage=Stage(limits_factor=0, busy_seed=7, feed_factor=0.1), BTCTURK_WS_URL=feed.ws_url)
    told = Told(bot)
    told.wait_for("feed_logged_in")
    hushed_ms = time.time_ns() // 1_000_000
    assert feed.hush() == 1
    assert time_of(told.wait_for("feed_disconnected")) - hushed_ms < 4_500


def test_orders_in_trouble_while_the_feed_is_well(tmp_path: Path) -> None:
    [story] = [one for one in network.STORIES if one.name == "the answers of orders are reset"]

    told = network.tell(story, tmp_path, with_feed=True)

    assert told.failures == []
    assert told.in_doubt
