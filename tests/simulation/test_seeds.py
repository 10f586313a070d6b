"""A slice of the fault simulation: two hundred worlds, no invariant broken, and enough happened to say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from btcbot.testing.demands import SEEDS_MIN, missed
from btcbot.testing.simulate import simulate
from btcbot.testing.world import World


def once_failing() -> list[int]:
    lines = (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_slice_of_seeds_breaks_no_invariant() -> None:
    tally = simulate(1, SEEDS_MIN)

    assert [(story.seed, story.violation) for story in tally.failing] == []
    assert missed(tally) == [], tally.averages()
    assert len(tally.unseen) <= 3, "a fault that never strikes tests nothing"
    assert tally.comparisons == 3 * SEEDS_MIN


@pytest.mark.parametrize("seed", once_failing())
def test_a_seed_that_once_failed(seed: int) -> None:
    assert World(seed).run().violation is None
