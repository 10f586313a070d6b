"""Who checks the checkers? Each deliberate mistake in the product has to be found by the invariant that it breaks.

All of them are looked for by `python -m proof run planted`; here stands that all of them can still be planted, and for
each invariant that the first mistake named for it is found.
"""

from __future__ import annotations

import pytest
from proof.bugs import BUGS, Bug, Way
from proof.planted import PAGE, QUICK_WAYS, TO_SPEAK_FIRST, judged, misfits, nothing_planted, silent
from proof.planting import DoesNotFit, Patch, planted
from proof.ways import Found, look_for, speaker

from btcbot.decisions import booking, gates

#: One mistake for each invariant, the first of the list that it alone has to notice.
ONE_EACH = {
    invariant: next(bug for bug in BUGS if bug.caught_by == (invariant,))
    for invariant in TO_SPEAK_FIRST
    if invariant not in silent()
}


def test_there_are_many_and_each_has_a_name_of_its_own():
    assert len(BUGS) >= 45
    assert len({bug.name for bug in BUGS}) == len(BUGS)


def test_every_mistake_can_still_be_planted():
    assert misfits() == []


def test_every_invariant_is_the_first_to_notice_something():
    assert silent() == []


def test_a_mistake_is_gone_when_nobody_looks_for_it_any_more():
    bug = next(bug for bug in BUGS if bug.name == "safe mode stops nothing")
    before = gates._brakes.__code__
    with planted(*bug.patches):
        assert gates._brakes.__code__ is not before
    assert gates._brakes.__code__ is before


def test_a_mistake_whose_place_has_changed_is_told():
    patch = Patch(booking.__name__, "hold_for", "a text that is not there", "pass")
    with pytest.raises(DoesNotFit, match="0 times"), planted(patch):
        raise AssertionError("it was planted")


def test_what_is_not_found_or_is_found_by_another_is_a_failure():
    bug = Bug(name="a mistake", patches=(), caught_by=("I1",))
    assert judged(bug, None) == "a mistake: nothing notices it (seeds 1 to 500)"
    assert judged(bug, Found("I7", "what it says", "seed 3")) == (
        "a mistake: I7 speaks first and not I1; seed 3: what it says"
    )
    assert judged(bug, Found("I1", "what it says", "seed 3")) is None


@pytest.mark.parametrize(
    ("invariant", "text", "who"),
    [
        ("I7", "an order is taken for closed", "I7"),
        ("HALT", "I9_OVERFILL: an order has more filled than it had", "HALT I9"),
        ("I0", "AssertionError: I14: a price off the tick never leaves", "ASSERT I14"),
        ("I0", "KeyError: 'BTCTRY'", "I0"),
    ],
)
def test_who_spoke_first(invariant: str, text: str, who: str):
    assert speaker(invariant, text) == who


@pytest.mark.parametrize("way", QUICK_WAYS)
def test_where_nothing_is_planted_nothing_is_found(way: Way):
    assert look_for(nothing_planted(way)) is None


def test_the_page_tells_of_every_mistake():
    told = PAGE.read_text(encoding="utf-8")
    assert [bug.name for bug in BUGS if f"| {bug.name} |" not in told] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("invariant", ONE_EACH)
def test_the_first_mistake_of_each_invariant_is_found(invariant: str):
    bug = ONE_EACH[invariant]
    found = look_for(bug)
    assert judged(bug, found) is None
    assert found is not None
    print(f"{bug.name}: {found.by}, {found.where}: {found.text}")
