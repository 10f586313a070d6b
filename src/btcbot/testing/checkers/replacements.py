"""I5 of replacements: old and new order never work together, and never fill more than was wished of both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from btcbot.testing.checkers.scene import Invariant, Scene, Sent
from btcturk_sim.money import exact

_PREFIX: Final = "replace:"
#: The wish of the order's own cycle that gave a replacement its price and quantity.
_FRESH: Final = """
    SELECT verdicts.quantity FROM verdicts JOIN orders USING (cycle_id)
    WHERE orders.client_order_id = ? AND verdicts.code = 'draft_block:ordered_as_a_replacement'
      AND verdicts.detail LIKE '%' || orders.intent_id"""


def is_replacement(sent: Sent) -> bool:
    """Whether an order takes the place of an earlier one: then it was wished when that began, not in this cycle."""
    return sent.row is not None and str(sent.row[0]).startswith(_PREFIX)


class I5Replacements(Invariant):
    """Of one replacement at most one new order leaves, when the old one is closed at the venue, and with what the old
    one has filled since it began it is no larger than what was wished: by the venue's own count of fills."""

    name = "I5"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        #: By client order id of the old order: what was wished, and what our books had of it when it began.
        self._wished: dict[str, tuple[Decimal, Decimal]] = {}
        self._left: set[str] = set()

    def unit_committed(self, unit: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        for statement, row in unit:
            if statement == "put_value" and row["name"] == "replacements":
                for record in json.loads(row["value"]):
                    self._begun(record)

    def _begun(self, record: Mapping[str, Any]) -> None:
        old = record["old_client_order_id"]
        wished = (Decimal(record["quantity"]), Decimal(record["filled_before"]))
        if self._wished.get(old) == wished:
            return
        if self.scene.stage.is_healing:
            self.violated(f"{old} is to be replaced although nothing was wished")
        if old in self._left:
            self.violated(f"{old} is to be replaced again")
        self._wished[old] = wished

    @exact
    def order_leaves(self, sent: Sent) -> None:
        if not is_replacement(sent):
            return
        assert sent.row is not None, "just looked at"
        name = str(sent.row[0]).removeprefix(_PREFIX)
        old = self.scene.ours.get(name)
        if old is None or name not in self._wished:
            self.violated(f"{sent.client} replaces {name}, which nobody began to replace")
        if old.status.is_open:
            self.violated(f"{sent.client} leaves while {name}, which it replaces, works at the venue")
        if name in self._left:
            self.violated(f"{sent.client} is a second order in the place of {name}")
        self._left.add(name)
        wished, before = self._wished[name]
        fresh = self.scene.sql(_FRESH, sent.client)
        most = Decimal(fresh[0][0]) if fresh else wished - (old.filled - before)
        if sent.quantity > most:
            self.violated(
                f"{sent.client} orders {sent.quantity} in the place of {name}, and {most} of the wish is left"
            )
