"""A failing story gets short, and stays a failing one."""

from __future__ import annotations

import pytest
from tests.simulation.test_planted_bugs import BUGS, plant

from btcbot.testing.faults import Firing
from btcbot.testing.shrink import shrink, smallest
from btcbot.testing.world import World


def firings(*cycles: int) -> list[Firing]:
    return [Firing(cycle, "somewhere", 0, "crash") for cycle in cycles]


@pytest.mark.parametrize("needed", [{3}, {0, 9}, {2, 3, 7}, set()])
def test_what_is_left_is_needed(needed: set[int]) -> None:
    left = smallest(firings(*range(10)), lambda some: needed <= {firing.cycle for firing in some})

    assert {firing.cycle for firing in left} == needed


def test_a_planted_bug_is_told_in_one_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(BUGS["an order is sent again when its answer is lost"], monkeypatch)
    story = next(story for seed in range(1, 50) if (story := World(seed, cycles=12).run()).violation)

    short = shrink(story, 12)

    assert short.violation is not None
    assert short.violation[0] == "I1"
    assert len(short.fired) == 1 < len(story.fired)
    assert short.fired[0].place == "POST /api/v1/order"
