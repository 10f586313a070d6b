"""Stories of the account and of the process: other hands, money in and out, the operator, brakes, clocks, settings."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from btcbot.domain.ledger import EntryKind
from btcbot.testing.stories.story import (
    RESTING,
    SELLING,
    TAKING,
    Story,
    clock,
    deposit,
    fault,
    human,
    kill,
    night,
    once,
    price,
    reborn,
    request,
    stranger,
    unseen,
    wait,
    wish,
    withdrawal,
)

if TYPE_CHECKING:
    from btcbot.testing.stories.performance import Performance

_TWO: Final = ("BTCTRY", "ETHTRY")
_DAY_SECONDS: Final = 86_400.0


def _explain(it: Performance) -> None:
    """The operator reads the ledger and says what an amount in suspense was."""
    for entry in it.rig.store.entries() if it.rig.is_up else ():
        if entry.kind is EntryKind.SUSPENSE:
            it.request("explain", entry_id=entry.entry_id, meaning="withdrawal", reason="the venue's mail of today")


ACCOUNT: Final = (
    Story(
        name="opens its books",
        acts={},
        cycles=2,
        lives=[],
        prelude=0,
        balances={"TRY": "10000", "BTC": "0.5"},
        shows=lambda it: {"the opening is booked": set(it.entries()) == {"opening"}},
    ),
    Story(
        name="somebody trades by hand on the account",
        acts={0: [human("buy", "0.001", "1000500"), wish(*TAKING)], 1: [human("sell", "0.0003", "999500"), wait(1)]},
        cycles=3,
        lives=["ACCEPTED FILLED"],
        shows=lambda it: {"two foreign trades are booked": it.entries().count("foreign") == 2},
    ),
    Story(
        name="a deposit, and a withdrawal with its fee",
        acts={0: [deposit("2500.5"), wish(*RESTING)], 1: [withdrawal("1000", "3.5"), deposit("0.02", "BTC"), wait(1)]},
        cycles=4,
        lives=["ACCEPTED"],
        shows=lambda it: {"three transfers are booked": it.entries().count("transfer") == 3},
    ),
    Story(
        name="a deposit while an order is in doubt",
        acts={0: [fault("lost_before", "POST"), wish(*TAKING)], 1: [deposit("700")]},
        cycles=5,
        lives=["UNKNOWN NOT_PLACED"],
        struck={"lost_before": 1},
        shows=lambda it: {"the transfer is booked": it.entries().count("transfer") == 1},
    ),
    Story(
        name="money goes that nobody explains, until the operator does",
        acts={0: [unseen("123.45")], 4: [_explain], 5: [wish(*RESTING)]},
        cycles=6,
        lives=["ACCEPTED"],
        shows=lambda it: {"it was suspense, then explained": it.entries()[-2:] == ["suspense", "explanation"]},
        not_promised={"I3": "no list tells what happened to the money"},
        mends=_explain,
    ),
    Story(
        name="the operator adopts and releases while the bot runs",
        acts={
            -1: [human("buy", "0.0020", "1001000"), wait(1)],
            0: [request("adopt", symbol="BTCTRY", quantity="0.0010", cost="1200")],
            2: [request("release", symbol="BTCTRY", quantity="0.0004", reason="to be kept")],
        },
        cycles=3,
        prelude=3,
        lives=[],
        always=lambda it: {"0.0010 were adopted, 0.0004 released": it.rig.position().quantity == Decimal("0.0006")},
    ),
    Story(
        name="the operator cancels all",
        acts={0: [wish(*RESTING), wish(*RESTING, symbol="ETHTRY")], 1: [request("cancel", client_order_id="all")]},
        cycles=3,
        lives=["ACCEPTED PENDING_CANCEL CANCELED"] * 2,
        symbols=_TWO,
    ),
    Story(
        name="the kill file comes and goes",
        has_brakes=True,
        acts={0: [wish(*RESTING)], 1: [kill(is_on=True), wish(*TAKING)], 3: [kill(is_on=False), wish(*TAKING)]},
        cycles=4,
        lives=["ACCEPTED", "ACCEPTED"],
        settings={"MAX_OPEN_ORDERS_PER_SYMBOL": "3"},
    ),
    Story(
        name="the kill file comes between reserve and permit",
        has_brakes=True,
        acts={
            0: [once("before GET /api/v2/orderbook", lambda it: it.at_next_commits(2, kill(is_on=True))), wish(*TAKING)]
        },
        cycles=2,
        lives=["DENIED"],
        shows=lambda it: {"nothing left": it.posts == 0},
    ),
    Story(
        name="the settings' kill switch cancels and never submits",
        has_brakes=True,
        acts={0: [wish(*RESTING)], 1: [reborn(KILL_SWITCH="true"), wish(*TAKING), wait(30)]},
        cycles=3,
        lives=["ACCEPTED PENDING_CANCEL CANCELED"],
        shows=lambda it: {"one order left": it.posts == 1},
        always=lambda it: {"no second order left": it.posts <= 1},
    ),
    Story(
        name="safe mode for a while",
        has_brakes=True,
        acts={0: [wish(*RESTING)], 1: [reborn(SAFE_MODE="true"), wait(30)], 3: [reborn(SAFE_MODE="false")]},
        cycles=5,
        lives=["ACCEPTED PENDING_CANCEL CANCELED"],
        shows=lambda it: {"one cancellation left": it.cancels == 1},
    ),
    Story(
        name="asked to end in the middle of a cycle",
        acts={
            0: [wish(*TAKING), wish(*TAKING, symbol="ETHTRY"), once("before POST", lambda it: it.rig.stop.set())],
            1: [wait(1)],
        },
        cycles=2,
        lives=["ACCEPTED FILLED"],
        symbols=_TWO,
        shows=lambda it: {"one order left": it.posts == 1},
    ),
    Story(
        name="our clock is set back",
        acts={0: [wish(*TAKING)], 1: [clock(-3_600), wish(*TAKING)], 3: [clock(3_600), wish(*TAKING)]},
        cycles=5,
        lives=["ACCEPTED FILLED", "ACCEPTED FILLED"],
        settings={"MAX_ORDERS_PER_CYCLE": "1"},
    ),
    Story(
        name="our clock is set forward",
        acts={0: [wish(*RESTING)], 1: [clock(3_600), wish(*TAKING)], 3: [clock(-3_600), wish(*TAKING)]},
        cycles=5,
        lives=["ACCEPTED PENDING_CANCEL CANCELED", "ACCEPTED FILLED"],
    ),
    Story(
        name="the venue's clock runs ahead",
        acts={0: [fault("lost_before", "POST"), wish(*TAKING)], 4: [wish(*TAKING)]},
        cycles=6,
        lives=["UNKNOWN NOT_PLACED", "ACCEPTED FILLED"],
        struck={"lost_before": 1},
        skew_seconds=1.5,
    ),
    Story(
        name="the loss of the day stops buys",
        acts={
            0: [wish("buy", "0.0009", "1000500")],
            2: [price("950000"), wish("buy", "0.0005", "950475"), wish("sell", "0.0002", "949525")],
        },
        cycles=4,
        lives=["ACCEPTED FILLED", "ACCEPTED FILLED"],
        settings={"MAX_DAILY_LOSS_TRY": "20"},
        shows=lambda it: {"the limit spoke": "daily_loss" in " ".join(it.verdicts()).lower()},
        always=lambda it: {"no second buy left": it.sent("buy") <= 1},
    ),
    Story(
        name="caps are lowered between two lives",
        acts={
            0: [wish(*TAKING)],
            1: [reborn(MAX_POSITION_TRY_PER_SYMBOL="550", NOTIONAL_CAP_TRY_PER_CYCLE="400"), wish(*TAKING)],
            2: [wish(*SELLING)],
        },
        cycles=4,
        lives=["ACCEPTED FILLED", "ACCEPTED FILLED"],
        shows=lambda it: {"one of each left": [one.side for one in it.rig.orders()] == ["buy", "sell"]},
        always=lambda it: {"no second buy left": it.sent("buy") <= 1},
    ),
    Story(
        name="a symbol with an open order is removed from the settings",
        acts={
            0: [wish(*RESTING), wish(*RESTING, symbol="ETHTRY")],
            1: [stranger("sell", "0.0002", symbol="ETHTRY"), reborn(SYMBOLS="BTCTRY"), wait(30)],
        },
        cycles=4,
        lives=["ACCEPTED PENDING_CANCEL CANCELED", "ACCEPTED PARTIALLY_FILLED PENDING_CANCEL CANCELED"],
        symbols=_TWO,
    ),
    Story(
        name="two days of trading lie in the database",
        acts={
            -5: [wish(*TAKING)],
            -3: [wish("sell", "0.0002", "999500")],
            -2: [night(_DAY_SECONDS), wish(*RESTING), deposit("50")],
            0: [stranger("sell", "0.0002"), wish(*TAKING)],
        },
        cycles=3,
        prelude=6,
        lives=["ACCEPTED FILLED", "ACCEPTED FILLED", "ACCEPTED PARTIALLY_FILLED", "ACCEPTED FILLED"],
        settings={"MAX_OPEN_ORDERS_PER_SYMBOL": "3", "TTL_SECONDS": "70"},
        shows=lambda it: {"it is the second day": it.named_value("pnl_day") == "2026-09-24"},
    ),
)  # fmt: skip
