"""What a batch of seeds has to have seen before «no violation» means anything, as data.

A simulation that is quiet by accident passes too: a bot that never trades breaks nothing. So the averages of a batch
are enforced, wherever a batch is run: by the command, by the tests, by the proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from btcbot.testing.faults import FAULTS

#: Least averages per seed, by the name of the count.
DEMANDS: Final[Mapping[str, float]] = {
    "submits": 10,
    "fault firings": 20,
    "crashes": 1.5,
    "fills": 5,
    "instruments": 2,  # pairs that an order was really sent for
    "woken cycles": 5,  # two of three worlds have a live feed
    "woken orders": 0.8,
}
#: Averages of fewer seeds say little.
SEEDS_MIN: Final = 200
#: From so many seeds on, every fault has been seen.
SEEDS_MIN_FOR_EACH_KIND: Final = 500
#: From so many seeds on, every fault has struck often: 100 times in 5,000 seeds.
SEEDS_MIN_FOR_RATES: Final = 5_000
FIRINGS_PER_SEED_MIN: Final = 0.02


class Sums(Protocol):
    """Sums over a batch. `sums` are by the names of DEMANDS."""

    @property
    def seeds(self) -> int: ...
    @property
    def faults(self) -> Mapping[str, int]: ...
    @property
    def sums(self) -> Mapping[str, int]: ...


def missed(batch: Sums) -> Sequence[str]:
    """What the batch fell short of, each in a few words; nothing for a batch too small to be judged."""
    found = []
    if batch.seeds >= SEEDS_MIN:
        for name, least in DEMANDS.items():
            average = batch.sums[name] / batch.seeds
            if average < least:
                found.append(f"{average:.2f} {name} a seed, at least {least:g} wanted")
    if batch.seeds >= SEEDS_MIN_FOR_EACH_KIND:
        least_often = FIRINGS_PER_SEED_MIN * batch.seeds if batch.seeds >= SEEDS_MIN_FOR_RATES else 1
        rare = [f"{name} {batch.faults.get(name, 0)}" for name in FAULTS if batch.faults.get(name, 0) < least_often]
        if rare:
            found.append(f"faults that struck less than {least_often:g} times: {', '.join(rare)}")
    return found
