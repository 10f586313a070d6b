"""The process dies, or the disk does, at any point; a new one goes on from the file as if nothing had been."""

from __future__ import annotations

import pytest

from btcbot.bootstrap import strategy_of
from btcbot.domain.orders import OrderStatus
from btcbot.errors import StoreFailed
from btcbot.profiles import RUN
from btcbot.testing.in_process import Crash, Rig

RESTING = ("buy", "0.0005", "1000000")
TAKING = ("buy", "0.0005", "1000500")


def profit(settings):
    return strategy_of(RUN, settings)


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


# -- every point of a story -------------------------------------------------------------------------------------------


def buys_and_sells(rig: Rig, number: int) -> None:
    if number == 3:
        rig.venue.price("BTCTRY", "1020000")


def loses_an_answer(rig: Rig, number: int) -> None:
    if number == 0:
        rig.venue.fault("lost_after", "POST")


def is_refused_and_placed(rig: Rig, number: int) -> None:
    if number == 0:
        rig.venue.fault("refused_but_placed", "POST")


def is_never_placed(rig: Rig, number: int) -> None:
    if number == 0:
        rig.venue.fault("lost_before", "POST")


def rests_fills_in_part_and_is_cancelled(rig: Rig, number: int) -> None:
    if number == 0:
        rig.wish(*RESTING)
    if number == 1:
        rig.venue.stranger_orders("sell", "BTCTRY", "0.0002", "1000000")
    if number == 4:
        rig.venue.stranger_orders("sell", "BTCTRY", "0.0001", "1000000")


def receives_a_deposit_and_a_foreign_trade(rig: Rig, number: int) -> None:
    if number == 1:
        rig.venue.deposit("TRY", "77.7")
    if number == 2:
        rig.venue.human_orders("buy", "BTCTRY", "0.001", "1000500")


#: Each with the number of its cycles, and whether the real strategy wishes in it.
STORIES = {
    "buys and sells": (buys_and_sells, 6, True),
    "loses an answer": (loses_an_answer, 3, True),
    "is refused and placed": (is_refused_and_placed, 3, True),
    "is never placed": (is_never_placed, 5, True),
    "rests, fills in part, is cancelled": (rests_fills_in_part_and_is_cancelled, 6, False),
    "deposit and foreign trade": (receives_a_deposit_and_a_foreign_trade, 4, True),
}


def made_for(make_rig, is_real: bool) -> Rig:
    return make_rig(strategy=profit if is_real else None, COOLDOWN_SECONDS="30", TTL_SECONDS="35")


def played(rig: Rig, story, cycles: int) -> None:
    """Play it, whatever happens to the process: who dies is born again and goes on."""
    for number in range(cycles):
        story(rig, number)
        try:
            if rig._bot is None:
                rig.start()
            rig.cycle()
        except (Crash, StoreFailed):
            rig.crash()
            rig.disk_is_full = False
            rig.wait(rig.cycle_seconds)


@pytest.mark.parametrize("way", ["crash", "disk"])
@pytest.mark.parametrize(("story", "cycles", "is_real"), STORIES.values(), ids=STORIES)
def test_at_every_point(make_rig, story, cycles, is_real, way):
    rig = made_for(make_rig, is_real)
    start = len(rig.points.passed)
    played(rig, story, cycles)
    points = rig.points.passed[start:]
    rig.heal()
    assert rig.faults() == []
    assert len(points) > 60
    wrong: list[str] = []
    for number, name in enumerate(points, start=1):
        if way == "disk" and name != "before commit":
            continue
        rig = made_for(make_rig, is_real)
        if way == "crash":
            rig.points.crash_at(number)
        else:
            last = len(rig.points.passed) + number

            def fail(_: str, rig: Rig = rig, last: int = last) -> None:
                rig.disk_is_full = len(rig.points.passed) == last

            rig.points.watch = fail
        try:
            played(rig, story, cycles)
            rig.heal()
            wrong += [f"{way} at {number} ({name}): {fault}" for fault in rig.faults()]
        except Exception as error:  # noqa: BLE001 - all points are tried, then told together
            wrong.append(f"{way} at {number} ({name}): {type(error).__name__}: {error}")
        rig.crash()
    assert wrong == []
