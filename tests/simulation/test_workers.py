"""Several processes share a batch; its result is that of one."""

from __future__ import annotations

import pytest

from btcbot.testing.simulate import Tally, simulate
from btcbot.testing.world import World


def result(tally: Tally) -> tuple[object, ...]:
    return tally.report(), tally.instruments, tally.comparisons, tally.cycles


@pytest.mark.parametrize("count", [1, 11])
def test_two_processes_see_what_one_sees(count: int) -> None:
    seen: list[int] = []

    shared = simulate(40, count, cycles=4, workers=2, watch=lambda story: seen.append(story.seed))

    assert result(shared) == result(simulate(40, count, cycles=4))
    assert seen == list(range(40, 40 + count))


def test_traces_stay_behind_unless_they_are_wanted() -> None:
    lengths: list[int] = []

    bare = simulate(40, 3, cycles=3, workers=2, with_traces=False, watch=lambda story: lengths.append(len(story.trace)))
    told = simulate(40, 3, cycles=3, workers=2, watch=lambda story: lengths.append(len(story.trace)))

    assert lengths[:3] == [0, 0, 0]
    assert min(lengths[3:]) > 10
    assert bare.trace_sha256 == told.trace_sha256


def test_only_some_failing_stories_are_kept_whole() -> None:
    """However many fail, the memory that they take is bounded."""
    story = World(40, cycles=2).run()
    story.violation = ("I1", "it is said to have failed")
    tally = Tally()

    for _ in range(25):
        tally.add(story)

    assert (tally.seeds, tally.violations, len(tally.failing)) == (25, 25, 20)
