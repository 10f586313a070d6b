"""The part of a book that the feed shows, and what has changed from one showing to the next."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from btcturk_sim.book import LEVELS_MAX
from btcturk_sim.money import plain, round_down
from btcturk_sim.orders import Side
from btcturk_sim.pair import Pair

UPDATED: Final = 0
INSERTED: Final = 1
DELETED: Final = 3

#: Price → (price, amount) as the wire writes them, best first.
Levels = dict[Decimal, tuple[str, str]]
Row = dict[str, object]


class Window(msgspec.Struct, frozen=True):
    """The hundred best levels of either side at one time."""

    time_ms: int
    asks: Levels
    bids: Levels

    def full(self) -> dict[str, list[Row]]:
        """AO and BO of a whole book (431)."""
        return {"AO": _rows(self.asks), "BO": _rows(self.bids)}


def window_of(pair: Pair, time_ms: int, limit: int = LEVELS_MAX) -> Window:
    return Window(time_ms, _levels(pair, Side.SELL, limit), _levels(pair, Side.BUY, limit))


def _levels(pair: Pair, side: Side, limit: int) -> Levels:
    scale = pair.instrument.quantity_scale
    shown: Levels = {}
    for price, quantity in pair.levels(side, limit):
        amount = plain(round_down(quantity, scale))
        if amount != "0":  # the fraction of a step that a market buy left behind
            shown[price] = (plain(price), amount)
    return shown


def _rows(levels: Levels) -> list[Row]:
    return [{"A": amount, "P": price} for price, amount in levels.values()]


def changes(before: Window, after: Window) -> dict[str, list[Row]] | None:
    """AO and BO of a delta (432), best price first; None where nothing has changed.

    A level beyond the hundredth is deleted like one that has gone, and inserted when it comes back into sight.
    """
    asks, bids = _changed(before.asks, after.asks), _changed(before.bids, after.bids)
    if not asks and not bids:
        return None
    return {
        "AO": [row for _, row in sorted(asks, key=lambda one: one[0])],
        "BO": [row for _, row in sorted(bids, key=lambda one: one[0], reverse=True)],
    }


def _changed(before: Levels, after: Levels) -> list[tuple[Decimal, Row]]:
    rows: list[tuple[Decimal, Row]] = []
    for key, (price, amount) in after.items():
        earlier = before.get(key)
        if earlier is None:
            rows.append((key, {"CP": INSERTED, "P": price, "A": amount}))
        elif earlier[1] != amount:
            rows.append((key, {"CP": UPDATED, "P": price, "A": amount}))
    # The amount of a deleted level is its last one; readers are to ignore it.
    rows += [
        (key, {"CP": DELETED, "P": price, "A": amount}) for key, (price, amount) in before.items() if key not in after
    ]
    return rows
