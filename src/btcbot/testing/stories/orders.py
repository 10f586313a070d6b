"""Stories of orders that do what orders do: trade, rest, fill in parts, get cancelled, by us or by others."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from btcbot.testing.stories.story import (
    ALL_ORDERS,
    BOOK,
    OPEN_ORDERS,
    RESTING,
    SELLING,
    TAKING,
    Story,
    answer,
    fault,
    human_cancels,
    once,
    price,
    stranger,
    wait,
    wish,
)
from btcturk_sim.engine import EngineOptions
from btcturk_sim.fees import FeeSchedule

_TWO: Final = ("BTCTRY", "ETHTRY")
_SOLD_FOR: Final = Decimal("0.0002")

ORDERS: Final = (
    Story(
        name="buys and sells",
        acts={3: [price("1020000")]},
        cycles=6,
        lives=["ACCEPTED FILLED", "ACCEPTED FILLED"],
        is_traded=True,
        settings={"COOLDOWN_SECONDS": "30"},
        shows=lambda it: {"one was a sell": [one.side for one in it.rig.orders()] == ["buy", "sell"]},
    ),
    Story(
        name="an order rests",
        acts={0: [wish(*RESTING)]},
        cycles=1,
        lives=["ACCEPTED"],
        shows=lambda it: {"it works at the venue": len(it.rig.venue.working()) == 1},
        is_short=True,
    ),
    Story(
        name="an order trades at once",
        acts={0: [wish(*TAKING)]},
        cycles=1,
        lives=["ACCEPTED"],
        shows=lambda it: {"it is filled at the venue": [o["status"] for o in it.rig.venue.orders()] == ["Closed"]},
        is_short=True,
    ),
    Story(
        name="two orders of two symbols",
        acts={
            0: [wish(*TAKING), wish("buy", "0.0004", "1000000", "ETHTRY")],
            1: [stranger("sell", "0.0002", symbol="ETHTRY")],
        },
        cycles=3,
        lives=["ACCEPTED FILLED", "ACCEPTED PARTIALLY_FILLED"],
        symbols=_TWO,
    ),
    Story(
        name="an answer is lost and the other symbol waits",
        acts={0: [fault("lost_after", "POST"), wish(*TAKING), wish(*TAKING, symbol="ETHTRY")]},
        cycles=2,
        lives=["UNKNOWN FILLED"],
        struck={"lost_after": 1},
        symbols=_TWO,
        shows=lambda it: {"one order left": it.posts == 1},
    ),
    Story(
        name="filled part by part, in many trades",
        acts={
            0: [wish(*RESTING)],
            1: [stranger("sell", "0.0001"), stranger("sell", "0.0001"), stranger("sell", "0.0001"), wait(1)],
            2: [stranger("sell", "0.0002"), wait(1)],
        },
        cycles=3,
        lives=["ACCEPTED PARTIALLY_FILLED FILLED"],
        shows=lambda it: {"four trades are booked": it.rig.store.fill_count() == 4},
    ),
    Story(
        name="a part is filled, the rest is stale and cancelled",
        acts={0: [wish(*RESTING)], 1: [stranger("sell", "0.0002")]},
        cycles=6,
        lives=["ACCEPTED PARTIALLY_FILLED PENDING_CANCEL CANCELED"],
    ),
    Story(
        name="a part is filled while the cancellation is under way",
        acts={0: [wish(*RESTING)], 1: [wait(30), once("after DELETE", stranger("sell", "0.0002"))]},
        cycles=3,
        lives=["ACCEPTED PENDING_CANCEL CANCELED"],
        shows=lambda it: {"a part was filled": it.rig.order().filled_quantity == _SOLD_FOR},
        engine=EngineOptions(cancel_lag_ms=3_000),
    ),
    Story(
        name="all is filled while the cancellation is under way",
        acts={0: [wish(*RESTING)], 1: [wait(30), once("after DELETE", stranger("sell", "0.0005"))]},
        cycles=3,
        lives=["ACCEPTED PENDING_CANCEL FILLED"],
        engine=EngineOptions(cancel_lag_ms=3_000),
    ),
    Story(
        name="a cancellation that is confirmed and forgotten",
        acts={0: [wish(*RESTING)], 1: [wait(30), fault("cancel_lost", "DELETE")]},
        cycles=7,
        lives=["ACCEPTED PENDING_CANCEL CANCELED"],
        struck={"cancel_lost": 1},
        shows=lambda it: {"it was asked for twice": it.cancels == 2},
    ),
    Story(
        name="the answer to a cancellation is lost",
        acts={0: [wish(*RESTING)], 1: [wait(30), fault("lost_after", "DELETE")]},
        cycles=3,
        lives=["ACCEPTED PENDING_CANCEL CANCELED"],
        struck={"lost_after": 1},
    ),
    Story(
        name="a cancellation comes too late: the order is filled",
        acts={0: [wish(*RESTING)], 1: [wait(30), once("before DELETE", stranger("sell", "0.0005"))]},
        cycles=3,
        lives=["ACCEPTED FILLED"],
        shows=lambda it: {"a cancellation left": it.cancels == 1},
    ),
    Story(
        name="somebody cancels our order by hand",
        acts={0: [wish(*RESTING)], 1: [stranger("sell", "0.0002"), human_cancels, wait(1)]},
        cycles=4,
        lives=["ACCEPTED PARTIALLY_FILLED CANCELED"],
        shows=lambda it: {"no cancellation of ours left": it.cancels == 0},
    ),
    Story(
        name="a stale order is cancelled",
        acts={-1: [wish(*RESTING)], 0: [wait(35)]},
        cycles=1,
        prelude=2,
        lives=["ACCEPTED PENDING_CANCEL"],
        is_short=True,
    ),
    Story(
        name="two books of one price, and client ids that are not unique",
        acts={
            0: [fault("lost_after", "POST"), wish(*TAKING)],
            1: [wish(*TAKING)],
            2: [fault("hide_new", "GET", OPEN_ORDERS, count=2, lag_ms=7_000), wish(*SELLING)],
        },
        cycles=4,
        lives=["UNKNOWN FILLED", "ACCEPTED FILLED", "ACCEPTED FILLED"],
        struck={"lost_after": 1, "hide_new": 1},
        engine=EngineOptions(unique_client_ids=False, transactions_lag_ms=2_000),
    ),
    Story(
        name="fees of another tier, and the maker's part comes back",
        acts={0: [wish("buy", "0.0009", "1000500")], 1: [stranger("sell", "0.0003", "1000500"), wait(1)], 2: [wait(1)]},
        cycles=3,
        lives=["ACCEPTED FILLED"],
        engine=EngineOptions(fees={"TRY": FeeSchedule.published("0.05", "0.45")}),
        shows=lambda it: {"the dearer fee was learned": it.taker_rate() > Decimal("0.0024")},
    ),
    Story(
        name="idle cash becomes bids",
        acts={1: [price("997000"), wait(1)]},
        cycles=2,
        lives=["ACCEPTED FILLED", "ACCEPTED"],
        symbols=_TWO,
        balances={"TRY": "1000"},
        settings={"SWEEP_ENABLED": "true"},
        prelude=0,
    ),
    Story(
        name="a dry run",
        acts={},
        cycles=2,
        lives=["SIMULATED"],
        is_traded=True,
        balances={"TRY": "1000"},
        settings={"DRY_RUN": "true", "LIVE_TRADING": "false", "COOLDOWN_SECONDS": "60"},
        always=lambda it: {"nothing left": it.posts == it.cancels == 0},
        is_short=True,
    ),
    Story(
        name="one symbol has no quote and the other trades",
        acts={
            0: [
                answer(BOOK, {"data": {"timestamp": 1, "bids": [], "asks": []}, "success": True, "message": None,
                              "code": 0}),
                wish(*TAKING), wish(*TAKING, symbol="ETHTRY"),
            ]
        },
        cycles=2,
        lives=["ACCEPTED FILLED"],
        symbols=_TWO,
        shows=lambda it: {"it was the other": it.rig.order().symbol == "ETHTRY"},
    ),
    Story(
        name="two orders in a row, the second of them lost",
        acts={
            0: [wish(*TAKING)],
            1: [fault("lost_before", "POST"), fault("lag", "GET", ALL_ORDERS, count=1, lag_ms=5_000), wish(*TAKING)],
        },
        cycles=6,
        lives=["ACCEPTED FILLED", "UNKNOWN NOT_PLACED"],
        struck={"lost_before": 1},
        cycle_seconds=4.0,
        settings={"SETTLE_HORIZON_SECONDS": "5"},
    ),
)  # fmt: skip
