"""Effects that last for some cycles, and end: what all effects on a world have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from btcbot.testing.fault import Firing
from btcturk_sim.faults import FaultRule
from btcturk_sim.pair import Pair

if TYPE_CHECKING:
    from btcbot.testing.bodies import Numbers
    from btcbot.testing.world import World


class Lasting:
    """A fault's effect is the method of its name: it gets the numbers that chance drew, and says whether it struck."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rig = world.rig
        self._chance = world.chance
        #: What lasts: the cycle before which it ends, and how.
        self._until: dict[str, tuple[int, Callable[[], None]]] = {}

    def strike(self, firing: Firing) -> bool:
        """Whether it made a difference."""
        # A fault is told by its name, in scripts too; here the method of that name does it.
        effect: Callable[[Numbers], bool] = getattr(self, firing.fault)
        return effect(firing.numbers)

    def _lasts(self, name: str, cycles: int, end: Callable[[], None]) -> None:
        self._until[name] = self._chance.cycle + cycles, end

    def end_due(self) -> None:
        """A cycle is about to begin: what has lasted long enough ends."""
        for name, (due, end) in list(self._until.items()):
            if self._chance.cycle >= due:
                del self._until[name]
                end()

    def end_all(self) -> None:
        for _, end in self._until.values():
            end()
        self._until.clear()

    def _rule_lasts(self, name: str, cycles: int, kind: str, **options: Any) -> bool:
        """A rule of the venue that holds for some cycles, once at a time."""
        if name in self._until:
            return False
        faults = self._rig.venue.simulator.faults
        rule: FaultRule = faults.add(kind, **options)

        def end() -> None:
            faults.remove(rule.id)

        self._lasts(name, cycles, end)
        return True

    def _managed(self, act: Callable[[], object]) -> bool:
        """Whether the venue let somebody do it."""
        try:
            act()
        except AssertionError:
            return False
        return True

    def _pair(self, symbol: str) -> Pair:
        return self._world.market.pair(symbol)

    def _symbol(self, number: int) -> str:
        symbols = self._world.swarm.symbols
        return symbols[number % len(symbols)]
