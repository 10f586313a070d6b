"""How the market of a world moves: from beat to beat, in the pauses between them, and by rules that change.

All of it comes from the seed and the number of the cycle alone, so that taking one fault out of a story leaves the
rest of it in place.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from btcbot.domain import money
from btcturk_sim.pair import Pair

if TYPE_CHECKING:
    from btcbot.testing.in_process_feed import InProcessFeed
    from btcbot.testing.world import World

#: For so long the bot may believe rules that it has read.
RULES_AGE_MS: Final = 300_000


class MovingMarket:
    """The prices of a world's pairs, and the least value that an order of each may have."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._minimums: dict[str, list[tuple[int, Decimal]]] = {}

    def beat(self) -> None:
        """Before each cycle: some prices move."""
        world = self._world
        random = Random(f"{world.seed}/market/{world.cycle}")  # noqa: S311 (no secret)
        for symbol in world.swarm.symbols:
            if random.random() < 0.6:
                self.move(symbol, random.randint(-world.swarm.volatility_bps, world.swarm.volatility_bps))

    def moves_on(self, feed: InProcessFeed, pause_ms: int) -> None:
        """In the pause after a cycle too: prices move, and other people take what we offer."""
        world = self._world
        assert world.swarm.feed is not None, "there is a feed"
        random = Random(f"{world.seed}/pause/{world.cycle}")  # noqa: S311 (no secret)
        for _ in range(random.randint(0, world.swarm.feed.moves_max)):
            symbol = random.choice(world.swarm.symbols)
            bps = random.randint(-world.swarm.volatility_bps, world.swarm.volatility_bps)
            after_ms, which, takes = random.randrange(pause_ms), random.randrange(1_000), random.random() < 0.15
            if takes:
                feed.at(after_ms, partial(world.effects.partial_fill, (which, 1 + which)))
            else:
                feed.at(after_ms, partial(self.move, symbol, bps))

    def move(self, symbol: str, bps: int) -> None:
        """Move the price by so many hundredths of a percent, as of now."""
        rig, pair = self._world.rig, self.pair(symbol)
        places = pair.instrument.price_scale if pair.instrument.has_fraction else 0
        price = money.round_down(pair.price * (10_000 + bps) / 10_000, places)
        rig.venue.simulator.engine.override_price(symbol, price, rig.clock.true_ms())

    def pair(self, symbol: str) -> Pair:
        return self._world.rig.venue.simulator.engine.pairs[symbol]

    def remember_minimum(self, symbol: str) -> None:
        """The least value of an order of this pair is about to change."""
        told = self._minimums.setdefault(symbol, [])
        told.append((self._world.rig.clock.true_ms(), self._minimum(symbol)))

    def minimum_lately(self, symbol: str) -> Decimal:
        """The lowest minimum of the pair within the time for which the bot may believe rules."""
        since_ms = self._world.rig.clock.true_ms() - RULES_AGE_MS - 60_000
        lately = [value for changed_ms, value in self._minimums.get(symbol, ()) if changed_ms >= since_ms]
        return min([self._minimum(symbol), *lately])

    def _minimum(self, symbol: str) -> Decimal:
        return self.pair(symbol).instrument.min_exchange_value
