"""A failing story gets short, and stays a failing one."""

from __future__ import annotations

import pytest

from btcbot.testing.fault import Firing
from btcbot.testing.shrink import shrink, smallest
from btcbot.testing.world import World


def firings(*cycles: int) -> list[Firing]:
    return [Firing(cycle, "somewhere", 0, "crash") for cycle in cycles]


@pytest.mark.parametrize("needed", [{3}, {0, 9}, {2, 3, 7}, set()])
def test_what_is_left_is_needed(needed: set[int]) -> None:
    left = smallest(firings(*range(10)), lambda some: needed <= {firing.cycle for firing in some})

    assert {firing.cycle for firing in left} == needed


def test_a_mistake_is_told_in_one_fault_and_no_cycle_too_many(sends_again: None) -> None:
    story = next(story for seed in range(1, 80) if (story := World(seed, cycles=12, profile="run").run()).violation)

    short = shrink(story)

    assert short.violation is not None
    assert short.violation[0] == "I1"
    assert len(short.fired) == 1 < len(story.fired)
    assert short.fired[0].place == "POST /api/v1/order"
    assert short.swarm.cycles == short.fired[0].cycle + 1 < story.swarm.cycles


def test_no_attempt_left_gives_the_story_back(sends_again: None) -> None:
    story = next(story for seed in range(1, 80) if (story := World(seed, cycles=12, profile="run").run()).violation)

    assert shrink(story, attempts_max=0) is story
