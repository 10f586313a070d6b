"""Stories of orders that make room for others: at rest, while they fill, with answers lost, or to no avail.

Upkeep works by what is wished, so a story wishes twice: once for the order, once for what is to stand in its place. The
old one is past its time when the second wish comes, unless the market has moved away from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Final

from btcbot.domain.notes import NoteKind
from btcbot.profiles import Profile, UniverseKind, UpkeepKind
from btcbot.testing.stories.story import RESTING, Story, fault, kill, once, price, reborn, stranger, wait, wish
from btcturk_sim.engine import EngineOptions

if TYPE_CHECKING:
    from btcbot.testing.stories.performance import Performance

#: Symbols as configured, and everything else that belongs to a profile that replaces.
REPLACING: Final = Profile(
    name="run",
    universe=UniverseKind.CONFIGURED,
    strategy="profit_v1",
    upkeep=UpkeepKind.REPLACE,
    is_overseen=True,
)
_SETTINGS: Final = {
    "REPLACE_MIN_AGE_SECONDS": "5",
    "REPLACE_MAX_SECONDS": "120",
    "MAX_INTENT_NOTIONAL_TRY": "5000",
}
#: A little more than `RESTING`, at the same price.
_MORE: Final = ("buy", "0.0007", "1000000")
_SLOW: Final = EngineOptions(cancel_lag_ms=3_000)


def _ends(it: Performance) -> list[tuple[str, str]]:
    """How the replacements ended so far, oldest first."""
    bodies = [json.loads(note.body) for note in it.rig.store.notes(NoteKind.REPLACEMENT)]
    return [(body["outcome"], body["reason"]) for body in bodies]


def _is_over(it: Performance) -> Mapping[str, bool]:
    """Whatever struck: no record stays open, and each replacement came to one order at most."""
    old_ids = [order.intent_id for order in it.rig.orders() if order.intent_id.startswith("replace:")]
    return {
        "no replacement is left open": it.named_value("replacements") in ("", "[]"),
        "each replacement came to one order at most": len(old_ids) == len(set(old_ids)),
    }


def _new(it: Performance, quantity: str) -> bool:
    """The newest order stands in the place of the oldest one, and is so large."""
    old, new = it.rig.orders()[0], it.rig.order()
    return new.intent_id == f"replace:{old.client_order_id}" and new.quantity == Decimal(quantity)


#: What these stories have in common; a replacement is over after four cycles, unless its story needs more.
_replacing: Final = partial(Story, profile=REPLACING, settings=_SETTINGS, always=_is_over, cycles=4)

REPLACEMENTS: Final = (
    _replacing(
        name="an order at rest is replaced where the market went",
        acts={
            0: [wish(*RESTING)],
            1: [price("1004000"), wait(1), wish("buy", "0.0006", "1003000")],
        },
        lives=["ACCEPTED PENDING_CANCEL CANCELED", "ACCEPTED"],
        shows=lambda it: {
            "it is the one that was wished": _new(it, "0.0006"),
            "it is done": _ends(it) == [("DONE", "replacement:done")],
        },
    ),
    _replacing(
        name="an order is replaced while it fills",
        acts={0: [wish(*RESTING)], 1: [wait(30), wish(*_MORE), once("after DELETE", stranger("sell", "0.0002"))]},
        lives=["ACCEPTED PENDING_CANCEL CANCELED", "ACCEPTED"],
        engine=_SLOW,
        shows=lambda it: {"what it filled is not bought again": _new(it, "0.0005")},
    ),
    _replacing(
        name="an order is replaced while it fills, and the fills are told late",
        acts={0: [wish(*RESTING)], 1: [wait(30), wish(*_MORE), once("after DELETE", stranger("sell", "0.0002"))]},
        cycles=6,
        lives=["ACCEPTED PENDING_CANCEL CANCELED", "ACCEPTED"],
        engine=EngineOptions(cancel_lag_ms=3_000, transactions_lag_ms=15_000),
        shows=lambda it: {"the fill is waited for": _new(it, "0.0005")},
    ),
    _replacing(
        name="an order that is to be replaced fills whole",
        acts={
            0: [wish(*RESTING)],
            1: [wait(30), wish("buy", "0.0004", "1000000"), once("after DELETE", stranger("sell", "0.0005"))],
        },
        lives=["ACCEPTED PENDING_CANCEL FILLED"],
        engine=_SLOW,
        shows=lambda it: {"nothing is left to buy": _ends(it) == [("ABANDONED", "replacement:old_order_filled")]},
    ),
    _replacing(
        name="the answer to a replacement's cancellation is lost",
        acts={0: [wish(*RESTING)], 1: [wait(30), fault("lost_after", "DELETE"), wish(*_MORE)]},
        lives=["ACCEPTED PENDING_CANCEL CANCELED", "ACCEPTED"],
        struck={"lost_after": 1},
        shows=lambda it: {"it was replaced": _new(it, "0.0007")},
    ),
    _replacing(
        name="a replacement's cancellation is confirmed and forgotten",
        acts={0: [wish(*RESTING)], 1: [wait(30), fault("cancel_lost", "DELETE"), wish(*_MORE)], 2: [wish(*_MORE)]},
        cycles=8,
        lives=["ACCEPTED PENDING_CANCEL CANCELED", "ACCEPTED"],
        struck={"cancel_lost": 1},
        shows=lambda it: {
            "it was asked for twice": it.cancels == 2,
            "it was replaced": _new(it, "0.0007"),
            "the wish in between was told why not": "draft_block:cancellation_under_way" in it.verdicts(),
        },
    ),
    _replacing(
        name="too little is left of a replacement",
        acts={
            0: [wish(*RESTING)],
            1: [wait(30), wish("buy", "0.00055", "1000000"), once("after DELETE", stranger("sell", "0.00046"))],
        },
        lives=["ACCEPTED PENDING_CANCEL CANCELED"],
        engine=_SLOW,
        shows=lambda it: {"it is too little": _ends(it) == [("ABANDONED", "risk_block:min_notional")]},
    ),
    _replacing(
        name="risk refuses a replacement that is resumed",
        acts={0: [wish(*RESTING)], 1: [wait(30), wish(*_MORE)], 2: [reborn(MAX_TOTAL_EXPOSURE_TRY="90")]},
        lives=["ACCEPTED PENDING_CANCEL CANCELED"],
        shows=lambda it: {"the lower cap holds": _ends(it) == [("ABANDONED", "risk_block:max_total_exposure")]},
    ),
    _replacing(
        name="a fresh wish gives a replacement its price",
        acts={
            0: [wish(*RESTING)],
            1: [wait(30), wish(*_MORE)],
            2: [wish("buy", "0.0006", "999900")],
        },
        lives=["ACCEPTED PENDING_CANCEL CANCELED", "ACCEPTED"],
        shows=lambda it: {
            "one order came of both": _new(it, "0.0006") and it.rig.order().price == Decimal(999_900),
            "the wish was told so": "draft_block:ordered_as_a_replacement" in it.verdicts(),
        },
    ),
    _replacing(
        name="the answer to a replacement's new order is lost",
        acts={0: [wish(*RESTING)], 1: [wait(30), wish(*_MORE)], 2: [fault("lost_after", "POST")]},
        cycles=5,
        lives=["ACCEPTED PENDING_CANCEL CANCELED", "UNKNOWN ACCEPTED"],
        struck={"lost_after": 1},
        shows=lambda it: {
            "it left once": it.posts == 2,
            "it is done": _ends(it) == [("DONE", "replacement:done")],
        },
    ),
    _replacing(
        name="a kill file comes between a cancellation and its replacement",
        acts={
            0: [wish(*RESTING)],
            1: [wait(30), wish(*_MORE)],
            2: [kill(is_on=True)],
            3: [wait(120), kill(is_on=False)],
        },
        cycles=5,
        lives=["ACCEPTED PENDING_CANCEL CANCELED"],
        has_brakes=True,
        shows=lambda it: {"it is too late for it": _ends(it) == [("ABANDONED", "replacement:too_late")]},
    ),
)
