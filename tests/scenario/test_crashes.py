"""The process dies, or the disk does, at any point; a new one goes on from the file as if nothing had been."""

from __future__ import annotations

import shutil
import tempfile
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from btcbot.bootstrap import strategy_of
from btcbot.domain.orders import OrderStatus
from btcbot.errors import StoreFailed
from btcbot.profiles import RUN
from btcbot.services.gatekeeper import Gatekeeper
from btcbot.services.operator import ANSWER, REQUEST, OperatorService, Request
from btcbot.services.order_lifecycle import OrderLifecycle
from btcbot.testing.points import Crash
from btcbot.testing.stories import SHORT, STORIES
from btcbot.testing.stories.harm import POST, Crashes, Kill
from btcbot.testing.stories.placement import place, told

RESTING = ("buy", "0.0005", "1000000")
TAKING = ("buy", "0.0005", "1000500")


def test_after_the_reserve(rig):
    rig.points.crash_when(lambda name: name == "after commit" and OrderStatus.SUBMITTED in rig.statuses())
    rig.wish(*RESTING)
    rig.crashing_cycle()
    rig.start()
    rig.cycle()
    assert rig.order().status is OrderStatus.UNKNOWN
    rig.heal()
    assert rig.order().status is OrderStatus.NOT_PLACED
    assert rig.venue.requests("POST") == []
    assert rig.faults() == []


@pytest.mark.parametrize("wish", [RESTING, TAKING], ids=["resting", "taking"])
def test_after_the_send_and_before_the_record(rig, wish):
    rig.points.crash_when(lambda name: name.startswith("after POST"))
    rig.wish(*wish)
    rig.crashing_cycle()
    rig.start()
    rig.cycle()
    assert rig.order().venue_order_id is not None
    rig.heal()
    assert rig.faults() == []


def test_a_wish_of_the_next_life_is_another_intent(rig):
    """The cycle that died is not numbered again: else two orders of two decisions would share one intent's name."""
    rig.points.crash_when(lambda name: name.startswith("after POST"))
    rig.wish(*TAKING)
    rig.crashing_cycle()
    rig.start()
    rig.wish(*TAKING)
    rig.cycle()
    rig.heal()
    assert [order.status for order in rig.orders()] == [OrderStatus.FILLED] * 2
    assert len({order.intent_id for order in rig.orders()}) == 2
    assert rig.faults() == []


def test_between_two_fills(rig):
    rig.wish(*RESTING)
    rig.cycle()
    rig.venue.stranger_orders("sell", "BTCTRY", "0.0002", "1000000")
    rig.venue.stranger_orders("sell", "BTCTRY", "0.0003", "1000000")
    rig.wait(1)
    rig.points.crash_when(lambda name: name == "after commit" and rig.store.fill_count() == 1)
    rig.crashing_cycle()
    rig.start()
    assert rig.store.fill_count() == 1
    rig.cycle()
    assert rig.order().status is OrderStatus.FILLED
    rig.heal()
    assert rig.faults() == []


def test_between_the_cancel_and_its_record(rig):
    rig.wish(*RESTING)
    rig.cycle()
    rig.wait(60)
    rig.points.crash_when(lambda name: name.startswith("after DELETE"))
    rig.crashing_cycle()
    rig.start()
    rig.cycle(2)
    assert rig.order().status is OrderStatus.CANCELED
    rig.heal()
    assert rig.faults() == []


def test_a_full_disk_before_the_send_sends_nothing(rig):
    rig.disk_is_full = True
    rig.wish(*RESTING)
    with pytest.raises(StoreFailed):
        rig.cycle()
    assert rig.venue.requests("POST") == []
    rig.restart()
    rig.heal()
    assert rig.faults() == []


@pytest.mark.parametrize("wish", [RESTING, TAKING], ids=["resting", "taking"])
def test_a_disk_that_fills_up_after_the_send(rig, wish):
    def fill_up(name: str) -> None:
        rig.disk_is_full = rig.disk_is_full or name.startswith("after POST")

    rig.points.watch = fill_up
    rig.wish(*wish)
    with pytest.raises(StoreFailed):
        rig.cycle()
    assert rig.order().status is OrderStatus.SUBMITTED
    rig.points.watch, rig.disk_is_full = None, False
    rig.restart()
    rig.cycle()
    assert rig.order().venue_order_id is not None
    rig.heal()
    assert rig.faults() == []


def test_a_cancel_noted_by_a_clock_that_ran_ahead_is_asked_again_at_once(rig):
    """The wish was written down an hour ahead, and the process died before the venue heard of it."""
    rig.wish(*RESTING)
    rig.cycle()
    rig.clock.step(3_600)
    rig.points.crash_when(lambda name: name.startswith("before DELETE"))
    rig.crashing_cycle()
    rig.clock.step(-3_600)
    rig.start()
    rig.cycle(2)
    assert rig.order().status is OrderStatus.CANCELED
    rig.heal()
    assert rig.faults() == []


def test_what_the_operator_asks_for_is_done_once_although_the_process_died_before_it_answered(rig):
    rig.venue.human_orders("buy", "BTCTRY", "0.0020", "1001000")
    rig.cycle(2)
    asked = Request(
        request_id="one",
        kind="adopt",
        arguments={"symbol": "BTCTRY", "quantity": "0.0010", "cost": "1200"},
        made_at_ms=rig.clock.now_ms(),
        wait_ms=60_000,
    )
    with rig.store.transaction() as tx:
        tx.put_value(REQUEST, msgspec.json.encode(asked).decode())
    rig.points.crash_when(lambda name: name == "after commit" and rig.position().quantity > 0)
    rig.crashing_cycle()
    rig.start()
    rig.cycle()
    assert rig.position().quantity == Decimal("0.0010")
    assert '"done":true' in rig.store.value(ANSWER)
    rig.heal()
    assert rig.faults() == []


# -- every point of a file's story -------------------------------------------------------------------------------------


def buys_and_sells(rig):
    """Six cycles, whatever happens to the process: who dies is born again and goes on."""
    for number in range(6):
        if number == 3:
            rig.venue.price("BTCTRY", "1020000")
        try:
            if not rig.is_up:
                rig.start()
            rig.cycle()
        except Crash:
            rig.crash()
            rig.wait(rig.cycle_seconds)


def test_a_database_in_a_file_at_every_fifth_point(make_rig):
    """The stories below keep their database in memory; this one opens a real file again."""
    made = {"strategy": lambda settings: strategy_of(RUN, settings), "COOLDOWN_SECONDS": "30", "TTL_SECONDS": "35"}
    whole = make_rig(**made)
    start = len(whole.points.passed)
    buys_and_sells(whole)
    points = whole.points.passed[start:]
    assert [order.side for order in whole.orders()] == ["buy", "sell"]
    for number in range(3, len(points), 5):
        rig = make_rig(**made)
        rig.points.crash_at(number)
        buys_and_sells(rig)
        rig.heal()
        assert rig.faults() == [], f"crash at {number} ({points[number - 1]})"
        rig.crash()


# -- every point of every story ----------------------------------------------------------------------------------------

#: One place in so many is tried here; `proof/crash_points.py` tries all of them, and pairs of crashes.
EVERY = 17
EVERY_OF_SHORT = 5


@pytest.fixture
def folder(tmp_path):
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="stories-", dir=memory if memory.is_dir() else tmp_path))
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("name", STORIES)
def test_a_story_is_what_it_says_and_survives_harm_at_some_of_its_places(folder, name):
    story, number = STORIES[name], list(STORIES).index(name)
    assert told(story, folder).wrong == []
    every = EVERY_OF_SHORT if story.is_short else EVERY
    harmed = place(story, folder, share=1 + number % (every - 1), of=every)
    assert harmed.failures == []
    assert harmed.counts["placements"] > 0
    assert harmed.counts["disk_positions"] > 0


def test_there_are_stories_enough_and_six_of_them_are_short(folder):
    assert len(STORIES) >= 30
    assert len(SHORT) == 6
    assert all(len(told(story, folder).points) <= 50 for story in SHORT)


def test_two_crashes_in_a_row(folder):
    """In the middle of sending, and again in the middle of the recovery from that."""
    story = STORIES["the answer is lost and the order trades"]
    sending = told(story, folder).points.index(POST) + 1
    for second in range(1, 30, 4):
        harm = Crashes(sending + 1, second)
        assert told(story, folder, harm).wrong == []
        assert len(harm.struck) == 2


# -- the race of the kill switch ---------------------------------------------------------------------------------------


def test_the_kill_file_stops_an_order_until_the_last_look_at_it(folder):
    """One point lies between the last look and the socket: a file that appears there is too late for this one order."""
    story = STORIES["an order rests"]
    sending = told(story, folder).points.index(POST) + 1
    in_time, too_late = told(story, folder, Kill(sending - 1)), told(story, folder, Kill(sending))
    assert in_time.wrong == too_late.wrong == []
    assert in_time.posts == 0
    assert list(in_time.lives.values()) == [["SUBMITTED", "DENIED"]]
    assert too_late.posts == 1


# -- the judges can see ------------------------------------------------------------------------------------------------


def test_a_story_that_is_not_what_it_says_is_told_so(folder):
    story = msgspec.structs.replace(STORIES["an order rests"], lives=["DENIED"], struck={"lost_after": 1})
    assert [line.partition(" ")[0] for line in told(story, folder).wrong] == ["the", "lost_after"]


class Remembers:
    """A kill switch that says what it said first."""

    def __init__(self, first: tuple[bool, str]) -> None:
        self._first = first

    def is_on(self) -> tuple[bool, str]:
        return self._first


def test_a_kill_file_that_is_read_once_a_life_is_found(folder, monkeypatch):
    real = Gatekeeper._look

    def look(self):
        if not hasattr(self, "_first"):
            self._first = self._kill_switch.is_on()
            self._kill_switch = Remembers(self._first)
        return real(self)

    monkeypatch.setattr(Gatekeeper, "_look", look)
    story = STORIES["an order rests"]
    sending = told(story, folder).points.index(POST) + 1
    assert "I8" in " ".join(told(story, folder, Kill(sending - 1)).wrong)


def test_an_order_that_a_dead_process_left_and_nobody_doubts_is_found(folder, monkeypatch):
    monkeypatch.setattr(OrderLifecycle, "doubt_interrupted", lambda self: 0)
    story = STORIES["an order rests"]
    sending = told(story, folder).points.index(POST) + 1
    assert told(story, folder, Crashes(sending)).wrong != []


def test_a_request_of_the_operator_that_is_carried_out_in_two_lives_is_found(folder, monkeypatch):
    """Adopting twice leaves books and venue equal; only the story knows what was asked for."""
    real = OperatorService.adopt

    def adopt(self, arguments):
        return real(self, {**arguments, "request_id": str(self._clock.now_ms())})

    story = STORIES["the operator adopts and releases while the bot runs"]
    monkeypatch.setattr(OperatorService, "adopt", adopt)
    found = [line for number in range(1, 16) for line in told(story, folder, Crashes(number)).wrong]
    assert found
    assert all("0.0010 were adopted" in line for line in found)
