"""Stories of the live feed: cycles that it wakes, what it tells of our account, and its end at the wrong moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from btcbot.testing.stories.story import (
    RESTING,
    Story,
    fault,
    feed_breaks,
    feed_fault,
    later,
    once,
    price,
    stranger,
    wish,
)
from btcturk_sim.engine import EngineOptions

if TYPE_CHECKING:
    from btcbot.testing.stories.performance import Performance

#: At a market that has moved to 1,010,000, as the feed is about to tell.
_RESTING_THEN: Final = ("buy", "0.0005", "1005000")
_TAKING_THEN: Final = ("buy", "0.0005", "1012000")
_MOVES: Final = price("1010000")


def _woken_orders(it: Performance) -> list[int]:
    """How many orders each of the cycles sent that the feed woke and that came to one."""
    return [cycle.counts["submitted"] for cycle in it.rig.store.cycles(20) if cycle.counts.get("woken_by_feed")]


FEED: Final = (
    Story(
        name="the feed wakes a cycle, whose order rests",
        has_feed=True,
        prelude=2,
        acts={0: [later(3, _MOVES, wish(*_RESTING_THEN))]},
        cycles=1,
        lives=["ACCEPTED"],
        shows=lambda it: {"a woken cycle sent it": _woken_orders(it) == [1]},
    ),
    Story(
        name="the feed is lost while an order of a woken cycle travels",
        has_feed=True,
        prelude=2,
        acts={0: [once("before POST", feed_breaks), later(3, _MOVES, wish(*_TAKING_THEN))]},
        cycles=3,
        lives=["ACCEPTED FILLED"],
        struck={"socket_aborted": 1},
        shows=lambda it: {"a woken cycle sent it": _woken_orders(it) == [1]},
    ),
    Story(
        name="the answer to an order of a woken cycle is lost, and the feed has told of it",
        has_feed=True,
        prelude=2,
        acts={0: [fault("lost_after", "POST"), later(3, _MOVES, wish(*_TAKING_THEN))]},
        cycles=3,
        lives=["UNKNOWN ACCEPTED FILLED"],
        struck={"lost_after": 1},
        shows=lambda it: {"a woken cycle sent it": _woken_orders(it) == [1]},
    ),
    Story(
        name="the feed tells of a fill before the lists do",
        has_feed=True,
        prelude=2,
        engine=EngineOptions(transactions_lag_ms=2_500),
        acts={0: [wish(*RESTING)], 1: [later(3, stranger("sell", "0.0005"))]},
        cycles=7,
        lives=["ACCEPTED FILLED"],
    ),
    Story(
        name="the feed tells of fills that never were, twice",
        has_feed=True,
        prelude=2,
        acts={
            0: [
                feed_fault("value_replaced", channel="private", types=[423], field="id", value="77"),
                feed_fault("frame_doubled", channel="private", types=[423]),
                wish(*RESTING),
            ],
            1: [later(3, stranger("sell", "0.0002"))],
        },
        cycles=4,
        lives=["ACCEPTED PARTIALLY_FILLED"],
        struck={"value_replaced": 1, "frame_doubled": 1},
        shows=lambda it: {"one fill is booked": len(it.rig.store.fills()) == 1},
    ),
)
