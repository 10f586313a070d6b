"""Makes a failing story short: which faults are needed to break the invariant, and how long a storm?

Whole kinds of fault first, then the cycles after the last one that strikes, then single firings by halves (delta
debugging); what is left cannot lose any one of its firings. Every attempt plays the world again with the firings as its
script, so chance has no say any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from btcbot.testing.fault import Firing
from btcbot.testing.swarm import Swarm
from btcbot.testing.world import Story, World

ATTEMPTS_MAX: Final = 250


def shrink(story: Story, attempts_max: int = ATTEMPTS_MAX) -> Story:
    """The shortest story found that breaks the same invariant in the same world; at worst the one given."""
    return _Shrinking(story, attempts_max).shortest()


class _Shrinking:
    def __init__(self, story: Story, attempts_max: int) -> None:
        assert story.violation is not None, "only a failing story is made shorter"
        self._invariant = story.violation[0]
        self._best = story
        self._attempts_left = attempts_max

    def shortest(self) -> Story:
        firings = list(self._best.fired)
        if not self._fails(firings):
            return self._best  # it does not fail by its firings alone; then all of them are the story
        for kind in sorted({firing.fault for firing in firings}):
            fewer = [firing for firing in firings if firing.fault != kind]
            if len(fewer) < len(firings) and self._fails(fewer):
                firings = fewer
        firings = self._with_fewer_cycles(firings)
        smallest(firings, self._fails)
        self._with_fewer_cycles(self._best.fired)
        return self._best

    def _with_fewer_cycles(self, firings: Sequence[Firing]) -> list[Firing]:
        """End the storm as early as it still fails: halves, then quarters, … of what may go."""
        left, fewest = list(firings), 1
        while fewest < self._best.swarm.cycles:
            cycles = (fewest + self._best.swarm.cycles) // 2
            early = [firing for firing in left if firing.cycle < cycles]
            if self._fails(early, msgspec.structs.replace(self._best.swarm, cycles=cycles)):
                left = early
            else:
                fewest = cycles + 1
        return left

    def _fails(self, firings: Sequence[Firing], swarm: Swarm | None = None) -> bool:
        """Whether these are enough; then it is the best story so far."""
        if self._attempts_left <= 0:
            return False
        self._attempts_left -= 1
        told = World(self._best.seed, script=firings, swarm=swarm or self._best.swarm).run()
        if told.violation is None or told.violation[0] != self._invariant:
            return False
        self._best = told
        return True


def smallest(items: Sequence[Firing], fails: Callable[[Sequence[Firing]], bool]) -> list[Firing]:
    """Items none of which can be left out alone without `fails` becoming false. It must be true of all of them."""
    left = list(items)
    if left and fails([]):
        return []
    size = max(len(left) // 2, 1)
    while left:
        for start in range(0, len(left), size):
            fewer = left[:start] + left[start + size :]
            if fewer and fails(fewer):
                left = fewer
                break
        else:
            if size == 1:
                break
            size = max(size // 2, 1)
            continue
        size = min(size, max(len(left) // 2, 1))
    return left
