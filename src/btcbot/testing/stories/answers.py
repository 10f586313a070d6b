"""Stories of answers: lost, late, spoiled, refused, untrue; and of lists that tell the past."""

from __future__ import annotations

from typing import Final

from btcbot.testing.stories.story import (
    ALL_ORDERS,
    BALANCES,
    OPEN_ORDERS,
    RESTING,
    SELLING,
    SINGLE_ORDER,
    TAKING,
    TRADES,
    Act,
    Story,
    fault,
    fine,
    once,
    stranger,
    wait,
    wish,
)
from btcturk_sim.auth import NonceRule
from btcturk_sim.engine import EngineOptions

#: Within the settle horizon of 10 s: beyond it caps are not promised.
_LAG_MS: Final = 7_000


def _lagging(what: str, path: str, *trouble: Act, life: str = "ACCEPTED", strikes: int = 2) -> Story:
    """A resting order fills in part, then a holding is sold, while one list tells the past."""
    return Story(
        name=f"{what} lag",
        acts={
            0: [fault("lag", "GET", path, count=None, lag_ms=_LAG_MS), *trouble, wish(*RESTING)],
            1: [stranger("sell", "0.0002")],
            2: [stranger("sell", "0.0003")],
            3: [wish(*SELLING)],
        },
        cycles=5,
        lives=[f"{life} PARTIALLY_FILLED FILLED", "ACCEPTED FILLED"],
        struck={"lag": strikes},
    )


ANSWERS: Final = (
    Story(
        name="the answer is lost and the order trades",
        acts={0: [fault("lost_after", "POST"), wish(*TAKING)]},
        cycles=2,
        lives=["UNKNOWN FILLED"],
        struck={"lost_after": 1},
        is_short=True,
    ),
    Story(
        name="the answer is lost and the order rests",
        acts={0: [fault("lost_after", "POST"), wish(*RESTING)]},
        cycles=3,
        lives=["UNKNOWN ACCEPTED"],
        struck={"lost_after": 1},
        shows=lambda it: {"the order works at the venue": len(it.rig.venue.working()) == 1},
    ),
    Story(
        name="the request is lost and absence proved",
        acts={0: [fault("lost_before", "POST"), wish(*RESTING)]},
        cycles=5,
        lives=["UNKNOWN NOT_PLACED"],
        struck={"lost_before": 1},
        shows=lambda it: {"the venue never saw an order": it.rig.venue.orders() == []},
    ),
    Story(
        name="refused and placed all the same",
        acts={0: [fault("refused_but_placed", "POST"), wish(*TAKING)]},
        cycles=2,
        lives=["REFUSED_PROVISIONAL FILLED"],
        struck={"refused_but_placed": 1},
        is_short=True,
    ),
    Story(
        name="refused, and really so",
        acts={
            0: [
                once("before POST", lambda it: it.rig.venue.human_orders("buy", "BTCTRY", "0.0098", "990000")),
                wish(*RESTING),
            ]
        },
        cycles=4,
        lives=["REFUSED_PROVISIONAL REJECTED"],
    ),
    Story(
        name="refused, given up, and then listed",
        acts={
            0: [
                fault("refused_but_placed", "POST"),
                fault("hide_new", "GET", OPEN_ORDERS, count=None, lag_ms=45_000),
                fault("hide_new", "GET", ALL_ORDERS, count=None, lag_ms=45_000),
                fault("lag", "GET", BALANCES, count=None, lag_ms=45_000),
                wish(*RESTING),
            ]
        },
        cycles=7,
        lives=["REFUSED_PROVISIONAL REJECTED ACCEPTED PENDING_CANCEL"],
        struck={"refused_but_placed": 1},
        not_promised={"I7": "the lists are older than the settle horizon"},
        settings={"TTL_SECONDS": "55"},
    ),
    Story(
        name="taken for not placed, and then it turns up",
        acts={
            0: [
                fault("lost_after", "POST"),
                fault("hide_new", "GET", OPEN_ORDERS, count=None, lag_ms=45_000),
                fault("hide_new", "GET", ALL_ORDERS, count=None, lag_ms=45_000),
                fault("lag", "GET", BALANCES, count=None, lag_ms=45_000),
                wish(*RESTING),
            ]
        },
        cycles=7,
        lives=["UNKNOWN NOT_PLACED ACCEPTED PENDING_CANCEL"],
        struck={"lost_after": 1},
        not_promised={"I7": "the lists are older than the settle horizon"},
        settings={"TTL_SECONDS": "55"},
    ),
    Story(
        name="a new order is hidden until its trade tells of it",
        acts={
            0: [
                fault("lost_after", "POST"),
                fault("hide_new", "GET", OPEN_ORDERS, count=None, lag_ms=60_000),
                fault("hide_new", "GET", ALL_ORDERS, count=None, lag_ms=60_000),
                wish(*TAKING),
            ]
        },
        cycles=3,
        lives=["UNKNOWN FILLED"],
        struck={"lost_after": 1, "hide_new": 1},
    ),
    Story(
        name="a request arrives late, within its stamp",
        acts={0: [fault("delay_before", "POST", delay_ms=4_300), wish(*RESTING)]},
        cycles=3,
        lives=["UNKNOWN ACCEPTED"],
        struck={"delay_before": 1},
    ),
    Story(
        name="a request arrives when its stamp is too old",
        acts={0: [fault("delay_before", "POST", delay_ms=9_000), wish(*RESTING)]},
        cycles=5,
        lives=["UNKNOWN NOT_PLACED"],
        struck={"delay_before": 1},
        nonce=NonceRule.WINDOWED,
    ),
    Story(
        name="a server error before the act",
        acts={0: [fault("status_before", "POST", status=503), wish(*TAKING)]},
        cycles=5,
        lives=["UNKNOWN NOT_PLACED"],
        struck={"status_before": 1},
    ),
    Story(
        name="a server error after the act",
        acts={0: [fault("status_after", "POST", status=500), wish(*TAKING)]},
        cycles=2,
        lives=["UNKNOWN FILLED"],
        struck={"status_after": 1},
    ),
    Story(
        name="a page of HTML after the act",
        acts={0: [fault("html_after", "POST", status=200), wish(*TAKING)]},
        cycles=2,
        lives=["UNKNOWN FILLED"],
        struck={"html_after": 1},
    ),
    Story(
        name="half an answer",
        acts={0: [fault("truncated", "POST"), fault("truncated", "GET", BALANCES), wish(*TAKING)]},
        cycles=3,
        lives=["UNKNOWN FILLED"],
        struck={"truncated": 2},
    ),
    Story(
        name="a burst of answers 401",
        acts={0: [wish(*RESTING)], 1: [fault("unauthorized", count=3)], 2: [wish(*TAKING)]},
        cycles=4,
        lives=["ACCEPTED"],
        struck={"unauthorized": 3},
        shows=lambda it: {"nobody halted": it.halts == 0},
    ),
    Story(
        name="a key that is refused halts, and a human resumes",
        acts={0: [wish(*RESTING)], 1: [fault("unauthorized", count=None)], 2: [wish(*TAKING)]},
        cycles=8,
        lives=["ACCEPTED"],
        struck={"unauthorized": 5},
        halts=True,
        shows=lambda it: {"the halt is kept": it.named_value("trading_state") == "HALTED"},
    ),
    Story(
        name="too many requests, says the venue",
        acts={0: [fault("rate_limited", "POST", retry_after=15), wish(*RESTING)], 3: [wish(*RESTING)]},
        cycles=5,
        lives=["REFUSED_PROVISIONAL REJECTED", "ACCEPTED"],
        struck={"rate_limited": 1},
    ),
    Story(
        name="no connection to the venue",
        acts={
            0: [once("before POST", lambda it: it.network(is_up=False)), wish(*RESTING)],
            1: [wait(1)],
            2: [lambda it: it.network(is_up=True), wish(*RESTING)],
        },
        cycles=3,
        lives=["DENIED", "ACCEPTED"],
    ),
    Story(
        name="a request is delivered twice where client ids are unique",
        acts={0: [fault("duplicate", "POST"), wish(*RESTING)]},
        cycles=2,
        lives=["ACCEPTED"],
        struck={"duplicate": 1},
        engine=EngineOptions(unique_client_ids=True),
    ),
    _lagging("open orders", OPEN_ORDERS),
    _lagging(
        "all orders",
        ALL_ORDERS,
        fault("lost_after", "POST"),
        fault("hide_new", "GET", OPEN_ORDERS, count=2, lag_ms=_LAG_MS + 4_000),
        life="UNKNOWN ACCEPTED",
        strikes=1,
    ),
    _lagging("single orders", SINGLE_ORDER, strikes=1),
    _lagging("trades", TRADES),
    _lagging("balances", BALANCES),
    Story(
        name="everything about the account comes from a replica that is behind",
        acts={
            0: [fault("lag", "GET", "/api/v1", count=None, lag_ms=_LAG_MS), wish(*TAKING)],
            2: [wish(*SELLING)],
            4: [fine],
        },
        cycles=5,
        lives=["ACCEPTED FILLED", "ACCEPTED FILLED"],
        struck={"lag": 10},
    ),
)
