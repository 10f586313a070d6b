"""I25: each cycle of an overseen profile leaves one result, and its numbers are those of the books."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from btcbot.testing.checkers.closing import Unit
from btcbot.testing.checkers.scene import ZERO, Invariant, Scene
from btcturk_sim.money import exact

_FILLS: Final = "SELECT side, price, quantity, fee, tax FROM fills"
_COSTS: Final = "SELECT cost FROM positions"


class I25Results(Invariant):
    """Fees and taxes are those of all fills; what was realised is what sells brought and buys took, less what the
    positions that are left have cost; turnover is what was filled; no fill is counted twice, or left out."""

    name = "I25"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._is_on = scene.rig.profile.is_overseen
        self._fills = 0

    @exact
    def unit_committed(self, unit: Unit) -> None:
        if not self._is_on:
            return
        closing = self.scene.closing(unit)
        if closing is None:
            return
        results = closing.notes.get("snapshot", ())
        if len(results) != 1 or results[0]["cycle_id"] != closing.cycle_id:
            self.violated(f"cycle {closing.cycle_id} leaves {len(results)} results")
        (result,) = results
        fees = taxes = turnover = flow = ZERO
        fills = self.scene.sql(_FILLS)
        for side, price, quantity, fee, tax in fills:
            value = Decimal(price) * Decimal(quantity)
            turnover += value
            fees += Decimal(fee)
            taxes += Decimal(tax)
            flow += value if side == "sell" else -value
        costs = sum((Decimal(cost) for (cost,) in self.scene.sql(_COSTS)), ZERO)
        books = {"fees": fees, "taxes": taxes, "turnover": turnover, "realized": flow - fees - taxes + costs}
        for field, right in books.items():
            if Decimal(result[field]) != right:
                self.violated(f"cycle {closing.cycle_id} tells of {field} {result[field]}, and the books say {right}")
        self._fills += result["fills"]
        if self._fills != len(fills):
            self.violated(
                f"results up to cycle {closing.cycle_id} count {self._fills} fills, and there are {len(fills)}"
            )
