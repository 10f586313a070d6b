"""A slice of the fault simulation: a hundred and fifty worlds, no invariant broken, every fault seen."""

from __future__ import annotations

import pytest

from btcbot.testing.faults import ABSENT, FAULTS
from btcbot.testing.simulate import simulate

SEEDS = 150


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_slice_of_seeds_breaks_no_invariant() -> None:
    tally = simulate(1, SEEDS)

    assert [(story.seed, story.violation) for story in tally.failing] == []
    assert tally.unseen == [], "a fault that never strikes tests nothing"
    assert tally.crashes > SEEDS // 2
    assert tally.submits > 5 * SEEDS
    assert tally.fills > 5 * SEEDS
    assert tally.faults.total() > 20 * SEEDS


def test_what_is_absent_is_absent_and_says_why() -> None:
    assert not FAULTS.keys() & ABSENT.keys()
    assert all(why for why in ABSENT.values())
    assert all(fault.what and fault.name == name for name, fault in FAULTS.items())
