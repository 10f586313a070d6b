"""When something strikes: the same draws as ever, and nothing is asked where nothing can strike."""

from random import Random

from btcbot.testing.chance import Chance, beat_of, crash_of, place_of
from btcbot.testing.fault import Firing

BEAT = beat_of("human_cancel")


def struck(chance: Chance, times: int) -> list[int]:
    return [number for number in range(times) if chance.occasion("beat", BEAT) is not None]


def test_occasions_are_drawn_as_a_number_below_a_million_is_drawn() -> None:
    rate, random, expected = 300_000, Random("7/beat"), []
    chance = Chance(7, {"human_cancel": rate}, None)
    fault = next(fault for _, fault in chance._menu("beat", BEAT))
    for number in range(400):
        if random.randrange(1_000_000) < rate:
            fault.draw(random)
            expected.append(number)
    assert struck(chance, 400) == expected
    assert 60 < len(expected) < 200


def test_a_fault_that_a_world_does_not_know_never_strikes_and_costs_no_draw() -> None:
    chance = Chance(7, {"human_cancel": 300_000}, None)
    expected = struck(Chance(7, {"human_cancel": 300_000}, None), 100)
    assert not chance.may_strike("beat", beat_of("whole_fill"))
    assert chance.may_strike("beat", BEAT)
    found = []
    for number in range(100):
        assert chance.occasion("beat", beat_of("whole_fill")) is None
        if chance.occasion("beat", BEAT) is not None:
            found.append(number)
    assert found == expected


def test_a_story_that_is_told_again_may_strike_wherever_it_struck() -> None:
    told = Firing(0, BEAT, 2, "human_cancel", (5, 7))
    chance = Chance(7, {}, [told])
    chance.begin(0)
    assert chance.may_strike("beat", BEAT)
    assert [chance.occasion("beat", BEAT) for _ in range(4)] == [None, None, told, None]


def test_all_single_orders_are_one_place() -> None:
    assert place_of("before GET /api/v1/order/21771006215") == "before GET /api/v1/order/N"
    assert crash_of("after GET /api/v1/order/1") == "crash:after GET /api/v1/order/N"
    assert crash_of("before commit") == "crash:before commit"
