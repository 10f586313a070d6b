"""The parts of the proof that play worlds, in small."""

from __future__ import annotations

import pytest

from btcbot.testing.demands import SEEDS_MIN_FOR_RATES
from btcbot.testing.faults import FAULTS
from btcbot.testing.simulate import simulate
from proof import same_trace, seeds


def test_a_slice_of_seeds_counts_what_the_simulation_saw() -> None:
    result, tally = seeds.run(first=50, count=6), simulate(50, 6)

    assert result.failures == []
    assert result.counts["seeds"] == 6
    assert result.counts["comparisons"] == 18
    assert result.counts["faults"] == tally.faults.total() > 0
    assert {name: count for name, count in result.counts.items() if name.startswith("fault:")} == {
        f"fault:{name}": count for name, count in tally.faults.items()
    }
    assert result.notes["trace_sha256"] == tally.trace_sha256


def test_summed_slices_are_held_to_the_same_demands() -> None:
    count = SEEDS_MIN_FOR_RATES
    enough = {"seeds": count, "faults": 20 * count, "crashes": 2 * count, "submits": 10 * count, "fills": 5 * count,
              "instruments": 2 * count, "woken cycles": 5 * count, "woken orders": count,
              **{f"fault:{name}": 100 for name in FAULTS}}  # fmt: skip

    assert seeds.shortfalls(enough) == []
    assert seeds.shortfalls({**enough, "submits": 9 * count}) == ["9.00 submits a seed, at least 10 wanted"]
    (rare,) = seeds.shortfalls({**enough, "fault:self_trade": 99})
    assert "self_trade 99" in rare


@pytest.mark.timeout(200)
def test_a_few_seeds_are_the_same_in_other_processes() -> None:
    result = same_trace.run(first=60, count=3)

    assert result.failures == []
    assert result.counts["pairs"] == 3 + len(same_trace.other_pythons())  # others play a quarter of them, one at least
