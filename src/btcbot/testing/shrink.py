"""Makes a failing story short: which of the faults that struck are needed to break the invariant?

Whole kinds of fault first, then single firings by halves (delta debugging); what is left cannot lose any one of its
firings. Every attempt plays the world again with the firings as its script, so chance has no say any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from btcbot.testing.faults import Firing
from btcbot.testing.world import Story, World

ATTEMPTS_MAX: Final = 250


def shrink(story: Story, cycles: int | None, attempts_max: int = ATTEMPTS_MAX) -> Story:
    """The shortest story found that breaks the same invariant in the same world; at worst the one given."""
    assert story.violation is not None, "only a failing story is made shorter"
    invariant = story.violation[0]
    best = story
    attempts = 0

    def fails(firings: Sequence[Firing]) -> bool:
        nonlocal best, attempts
        if attempts >= attempts_max:
            return False
        attempts += 1
        told = World(story.seed, cycles=cycles, script=firings).run()
        if told.violation is None or told.violation[0] != invariant:
            return False
        best = told
        return True

    firings: list[Firing] = list(story.fired)
    if not fails(firings):
        return story  # it does not fail by its firings alone; then all of them are the story
    for kind in sorted({firing.fault for firing in firings}):
        fewer = [firing for firing in firings if firing.fault != kind]
        if len(fewer) < len(firings) and fails(fewer):
            firings = fewer
    smallest(firings, fails)
    return best


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
