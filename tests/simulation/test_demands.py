"""A batch in which too little happened proves nothing, and says so."""

from __future__ import annotations

from collections import Counter

import pytest

from btcbot.testing.demands import DEMANDS, missed
from btcbot.testing.faults import FAULTS
from btcbot.testing.simulate import Tally


def batch(seeds: int, each_fault: int, **less: int) -> Tally:
    """So many seeds that did what is demanded, but for what is given."""
    enough = {"submits": 10 * seeds, "crashes": 2 * seeds, "fills": 5 * seeds, "instruments": 2 * seeds}
    sums = {**enough, "woken": 5 * seeds, "woken_submits": seeds, **less}
    faults = Counter(dict.fromkeys(FAULTS, each_fault))
    faults["lost_before"] += 20 * seeds
    return Tally(seeds=seeds, faults=faults, **sums)


def test_enough_is_enough() -> None:
    assert missed(batch(200, 0)) == []
    assert missed(batch(500, 1)) == []
    assert missed(batch(5_000, 100)) == []


@pytest.mark.parametrize("name", ["submits", "crashes", "fills", "instruments"])
def test_an_average_below_its_demand_is_named_with_both_numbers(name: str) -> None:
    (told,) = missed(batch(200, 0, **{name: 199}))

    assert told == f"0.99 {name} a seed, at least {DEMANDS[name]:g} wanted"


def test_a_feed_that_wakes_nothing_is_named() -> None:
    assert missed(batch(200, 0, woken=999, woken_submits=0)) == [
        "5.00 woken cycles a seed, at least 5 wanted",
        "0.00 woken orders a seed, at least 0.8 wanted",
    ]


def test_too_few_firings() -> None:
    quiet = batch(200, 0)
    quiet.faults["lost_before"] = 3_999

    assert missed(quiet) == ["20.00 fault firings a seed, at least 20 wanted"]


def test_from_500_seeds_on_each_kind_is_seen_and_from_5000_on_often() -> None:
    unseen, rare = batch(500, 1), batch(5_000, 100)
    unseen.faults["self_trade"], rare.faults["self_trade"] = 0, 99

    assert missed(unseen) == ["faults that struck less than 1 times: self_trade 0"]
    assert missed(rare) == ["faults that struck less than 100 times: self_trade 99"]
    unseen.seeds = 499
    assert not any("self_trade" in told for told in missed(unseen))


def test_few_seeds_are_not_judged() -> None:
    assert missed(batch(199, 0, submits=0, crashes=0)) == []
